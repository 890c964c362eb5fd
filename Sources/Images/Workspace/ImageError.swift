// Images: the verbs that people ask for, and the public API of the package.
// This file: the room's error.

import Platform

/// Why a verb cannot be done.
public struct ImageError: ExplainedError {
  public let object: String
  public let finding: String
  public let advice: String
  public let errorCode: ErrorCode
  public private(set) var isSentence = false

  public init(_ object: String, _ finding: String, advice: String = "") {
    self.init(.failed, object, finding, advice: advice)
  }

  public init(_ code: ErrorCode, _ object: String, _ finding: String, advice: String = "") {
    errorCode = code
    self.object = object
    self.finding = finding
    self.advice = advice
  }

  /// An error in xCAT's own words, which name the object: scripts look for them.
  static func sentence(_ finding: String, advice: String = "") -> ImageError {
    sentence(.failed, finding, advice: advice)
  }

  static func sentence(
    _ code: ErrorCode, _ finding: String, advice: String = ""
  ) -> ImageError {
    var error = ImageError(code, "", finding, advice: advice)
    error.isSentence = true
    return error
  }
}
