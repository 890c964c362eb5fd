// The error of the module Images, which contains the commands as a library: the public API of the package.

import Platform

/// The reason why a command cannot be run.
public struct ImageError: ExplainedError {
  /// The subject of the finding: a file, an image, an option; empty if `isSentence`.
  public let object: String
  /// What is wrong: a clause that follows the object.
  public let finding: String
  /// What the user can do; empty for none.
  public let advice: String
  /// The stable code for scripts and JSON.
  public let errorCode: ErrorCode
  /// Whether the finding is a whole sentence, without the object before it.
  public private(set) var isSentence = false

  /// Creates an error with the code `failed`.
  public init(_ object: String, _ finding: String, advice: String = "") {
    self.init(.failed, object, finding, advice: advice)
  }

  /// Creates an error with a code.
  public init(_ code: ErrorCode, _ object: String, _ finding: String, advice: String = "") {
    errorCode = code
    self.object = object
    self.finding = finding
    self.advice = advice
  }

  /// Returns an error in xCAT's own words, which name the object. Scripts look for them
  /// (docs/xcat-contract.md#messages).
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
