// What can stand in the way of a rendering.

import Platform

/// A tree cannot be rendered as asked, or a rendering came out wrong.
public struct RenderError: ExplainedError {
  public let object: String
  public let finding: String
  public let advice: String

  public init(_ object: String, _ finding: String, advice: String = "") {
    self.object = object
    self.finding = finding
    self.advice = advice
  }
}
