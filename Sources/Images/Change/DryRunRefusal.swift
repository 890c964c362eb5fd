// Refusals in dry runs. A dry run prints its plan and then ends as the real run would: with the code of the
// error that would refuse it.

import Platform

/// Runs the checks of a real run in a dry run.
struct DryRunRefusal: Collaborator {
  let context: Context

  /// Runs the checks of a real run.
  /// - Returns: the error of the checks in a dry run; nil if they pass.
  /// - Throws: the error of the checks in a real run, and errors without an explanation.
  func refusal(isDryRun: Bool, _ checks: () throws -> Void) throws -> (any ExplainedError)? {
    do {
      try checks()
    } catch let error as any ExplainedError where isDryRun {
      return error
    }
    return nil
  }
}
