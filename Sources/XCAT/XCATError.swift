// The error of the module XCAT, which holds osimage tables, manifests, bundle layout and profile
// rules. docs/xcat-contract.md has the facts about xCAT that the module relies on.

import Platform

/// An error in xCAT's data.
public struct XCATError: ExplainedError {
  public let subject: String
  public let reason: String
  public let hint: String
  public let errorCode: ErrorCode
  public let form: ReasonForm

  /// Creates an error.
  public init(_ subject: String, _ reason: String, hint: String = "") {
    self.init(.failed, subject, reason, hint: hint)
  }

  /// Creates an error of a kind.
  public init(
    _ code: ErrorCode, _ subject: String, _ reason: String, hint: String = "",
    form: ReasonForm = .predicate
  ) {
    errorCode = code
    self.subject = subject
    self.reason = reason
    self.hint = hint
    self.form = form
  }

  /// Creates an error in xCAT's own words, which name the subject: scripts look for them
  /// (docs/xcat-contract.md#messages).
  public static func sentence(_ reason: String, hint: String = "") -> XCATError {
    sentence(.failed, reason, hint: hint)
  }

  /// Creates an error of a kind in xCAT's own words.
  public static func sentence(
    _ code: ErrorCode, _ reason: String, hint: String = ""
  ) -> XCATError {
    XCATError(code, "", reason, hint: hint, form: .sentence)
  }
}
