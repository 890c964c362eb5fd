// Errors of the server's start: addresses, certificates, tokens.

import Platform

/// The domain of this module's errors.
public enum ServerDomain: FailureDomain {
  public static let usualCode = ErrorCode.failed
}

/// An error of the HTTP server.
public typealias ServerError = Failure<ServerDomain>
