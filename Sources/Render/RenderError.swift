// The errors of rendering.

import Platform

/// A tree cannot be rendered as requested, or the output is wrong.
public struct RenderError: ExplainedError {
  /// The object that cannot be rendered.
  public let object: String
  /// The reason, as a clause that follows the object.
  public let finding: String
  /// The next step for the user, or an empty text.
  public let advice: String

  /// Creates an error.
  public init(_ object: String, _ finding: String, advice: String = "") {
    self.object = object
    self.finding = finding
    self.advice = advice
  }
}
