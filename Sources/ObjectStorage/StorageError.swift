// The error type of the module.

import Platform

/// Describes a failed request to an object store.
public struct StorageError: ExplainedError {
  /// The kind of a failure, which decides the error code.
  public enum Kind: Sendable, Equatable {
    /// No object has the key.
    case notFound
    /// The service refuses the credentials, or the account lacks the right.
    case denied
    /// No answer, after all retries: no connection, a timeout, or answers like 500 and 503.
    case unavailable
    /// The bytes, their number or their checksum are not what was requested.
    case damaged
    /// The answer exceeds the limit of its kind.
    case tooLarge
    /// The service does not honour what safety needs, or does not speak the protocol.
    case unsuitable
    /// The clock of this machine or of the service is wrong.
    case clock
    /// The bucket or the settings do not exist or are invalid.
    case settings
    /// A system call of this machine failed.
    case system(SystemError)
  }

  public let kind: Kind
  public let subject: String
  public let reason: String
  public let hint: String

  /// Creates an error. `reason` continues `subject`.
  public init(_ kind: Kind, _ subject: String, _ reason: String, hint: String = "") {
    self.kind = kind
    self.subject = subject
    self.reason = reason
    self.hint = hint
  }

  public var errorCode: ErrorCode {
    switch kind {
    case .notFound: .notFound
    case .denied: .remoteDenied
    case .unavailable: .remoteUnavailable
    case .damaged, .tooLarge: .remoteDamaged
    case .unsuitable, .clock: .remoteUnsuitable
    case .settings: .configInvalid
    case .system(let error): error.errorCode
    }
  }

  public var form: ReasonForm {
    if case .system = kind { return .clause }
    return .predicate
  }
}
