// The error type of the modules that have no kinds of errors of their own.

/// A module, for its errors: `Failure<XCATDomain>` is not `Failure<ImageDomain>`.
public protocol FailureDomain: Sendable {
  /// The code of an error that is created without one.
  static var usualCode: ErrorCode { get }
}

/// An error of one module. Each module has an alias for its own: `XCATError`, `ImageError`.
public struct Failure<Domain: FailureDomain>: ExplainedError {
  public let errorCode: ErrorCode
  public let subject: String
  public let reason: String
  public let hint: String
  public let form: ReasonForm

  /// Creates an error with the usual code of its module.
  public init(
    _ subject: String, _ reason: String, hint: String = "", form: ReasonForm = .predicate
  ) {
    self.init(Domain.usualCode, subject, reason, hint: hint, form: form)
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
  public init(_ subject: String, passing cause: any ExplainedError) {
    self.init(cause.errorCode, subject, cause.reason, hint: cause.hint, form: cause.form)
  }

  /// Returns an error in xCAT's own words, which name the subject: scripts look for them
  /// (docs/xcat-contract.md#messages).
  public static func sentence(_ reason: String, hint: String = "") -> Self {
    Self("", reason, hint: hint, form: .sentence)
  }

  /// Returns an error with a code in xCAT's own words.
  public static func sentence(_ code: ErrorCode, _ reason: String, hint: String = "") -> Self {
    Self(code, "", reason, hint: hint, form: .sentence)
  }
}
