// The errors of OCI images.

import Platform

/// The reason for rejecting an OCI image.
public typealias OCIError = Failure<OCIDomain>

/// The rules of OCI images, for the errors about them.
public enum OCIDomain: FailureDomain {
  public static let usualCode = ErrorCode.bundleInvalid
}

extension OCIError {
  /// The hint for images that look malicious.
  public static var distrust: String { "Nothing was imported; do not trust this image" }
  /// The hint for an image that is damaged or incomplete.
  public static var incomplete: String {
    "Nothing was imported; copy the image again, for example with 'skopeo copy'"
  }
}
