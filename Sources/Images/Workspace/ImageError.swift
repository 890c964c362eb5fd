// The error of the module Images, which contains the commands as a library: the public API of the package.

import Platform

/// The reason why a command cannot be run.
public struct ImageError: ExplainedError {
  /// The subject of the reason: a file, an image, an option; empty if the reason is a sentence.
  public let subject: String
  /// The problem of the subject.
  public let reason: String
  /// What the user can do; empty for none.
  public let hint: String
  /// The stable code for scripts and JSON.
  public let errorCode: ErrorCode
  public let form: ReasonForm

  /// Creates an error with the code `failed`.
  public init(
    _ subject: String, _ reason: String, hint: String = "", form: ReasonForm = .predicate
  ) {
    self.init(.failed, subject, reason, hint: hint, form: form)
  }

  /// Creates an error with a code.
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

  /// Creates an error about another subject that passes on the reason, hint and code of `cause`.
  init(_ subject: String, passing cause: any ExplainedError) {
    self.init(cause.errorCode, subject, cause.reason, hint: cause.hint, form: cause.form)
  }

  /// Returns an error in xCAT's own words, which name the subject. Scripts look for them
  /// (docs/xcat-contract.md#messages).
  static func sentence(_ reason: String, hint: String = "") -> ImageError {
    sentence(.failed, reason, hint: hint)
  }

  static func sentence(
    _ code: ErrorCode, _ reason: String, hint: String = ""
  ) -> ImageError {
    ImageError(code, "", reason, hint: hint, form: .sentence)
  }
}
