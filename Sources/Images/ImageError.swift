// Images: the verbs that people ask for, and the public API of the package.
// This file: the room's error.

import Platform

/// Why a verb cannot be done.
public struct ImageError: ExplainedError {
  public let object: String
  public let finding: String
  public let advice: String

  public init(_ object: String, _ finding: String, advice: String = "") {
    self.object = object
    self.finding = finding
    self.advice = advice
  }
}
