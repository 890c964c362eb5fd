// The error for a configuration file that cannot be used.

import Platform

/// A setting or a file that cannot be used, with its place.
public struct ConfigurationError: ExplainedError, Equatable {
  /// The path of the file.
  public let path: String
  /// The line of the setting, from 1; nil if the whole file is meant.
  public let line: Int?
  public let reason: String
  public let hint: String

  public init(_ path: String, line: Int? = nil, _ reason: String, hint: String = "") {
    (self.path, self.line, self.reason, self.hint) = (path, line, reason, hint)
  }

  public var subject: String { path + (line.map { ":\($0)" } ?? "") }
  public var form: ReasonForm { .clause }
  public var errorCode: ErrorCode { .configInvalid }
}
