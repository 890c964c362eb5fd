// The error of the module Images, which contains the commands as a library: the public API of the package.

import Platform

/// The reason why a command cannot be run.
public typealias ImageError = Failure<ImageDomain>

/// The module Images, for its errors.
public enum ImageDomain: FailureDomain {
  public static let usualCode = ErrorCode.failed
}
