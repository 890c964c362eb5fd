// The end of a dry run whose real run would be refused.

import Images

/// Ends a dry run as the real run would end, after it has printed its plan.
/// - Parameters:
///   - refusal: the error of the real run; nil if it would not be refused.
///   - problems: the problems that the command has to report.
///   - condition: the start of the message, such as "without --force ".
/// - Throws: `CompletedWithWarnings` with the code of the refusal.
func expectNotRefused(
  _ refusal: (any ExplainedError)?, _ problems: [String] = [], unless condition: String = ""
) throws {
  guard let refusal else { return }
  throw CompletedWithWarnings(
    lines: problems + ["\(condition)this would be refused: \(refusal.messageWithHint)"],
    failure: refusal.errorCode)
}
