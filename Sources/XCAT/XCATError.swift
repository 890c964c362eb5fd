// XCAT: osimage tables, manifests, bundle layout, profile rules; docs/xcat.md is the contract.
// This file: the room's error.

import Platform

/// Something about xCAT's data that cannot be as it is.
public struct XCATError: ExplainedError {
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
  public static func sentence(_ finding: String, advice: String = "") -> XCATError {
    sentence(.failed, finding, advice: advice)
  }

  public static func sentence(
    _ code: ErrorCode, _ finding: String, advice: String = ""
  ) -> XCATError {
    var error = XCATError(code, "", finding, advice: advice)
    error.isSentence = true
    return error
  }
}
