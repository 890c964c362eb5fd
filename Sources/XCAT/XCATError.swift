// The error of the module XCAT, which holds osimage tables, manifests, bundle layout and profile
// rules. docs/xcat-contract.md has the facts about xCAT that the module relies on.

import Platform

/// An error in xCAT's data.
public struct XCATError: ExplainedError {
  public let object: String
  public let finding: String
  public let advice: String
  public let errorCode: ErrorCode
  public private(set) var isSentence = false

  /// Creates an error.
  public init(_ object: String, _ finding: String, advice: String = "") {
    self.init(.failed, object, finding, advice: advice)
  }

  /// Creates an error of a kind.
  public init(_ code: ErrorCode, _ object: String, _ finding: String, advice: String = "") {
    errorCode = code
    self.object = object
    self.finding = finding
    self.advice = advice
  }

  /// Creates an error in xCAT's own words, which name the object: scripts look for them
  /// (docs/xcat-contract.md#messages).
  public static func sentence(_ finding: String, advice: String = "") -> XCATError {
    sentence(.failed, finding, advice: advice)
  }

  /// Creates an error of a kind in xCAT's own words.
  public static func sentence(
    _ code: ErrorCode, _ finding: String, advice: String = ""
  ) -> XCATError {
    var error = XCATError(code, "", finding, advice: advice)
    error.isSentence = true
    return error
  }
}
