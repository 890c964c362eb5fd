// The errors of rendering.

import Platform

/// A tree cannot be rendered as requested, or the output is wrong.
public struct RenderError: ExplainedError {
  /// The subject that cannot be rendered.
  public let subject: String
  /// The reason, as a clause that follows the subject.
  public let reason: String
  /// The next step for the user, or an empty text.
  public let hint: String

  /// Creates an error.
  public init(_ subject: String, _ reason: String, hint: String = "") {
    self.subject = subject
    self.reason = reason
    self.hint = hint
  }
}
