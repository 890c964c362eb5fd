// The URL of a remote in a bucket: `s3://BUCKET[/PREFIX]`.

import ObjectStorage

/// A bucket and a prefix.
public struct S3URL: Sendable, Equatable, CustomStringConvertible {
  public let bucket: String
  /// The common beginning of all keys, without slashes around it; empty for the whole bucket.
  public let prefix: String

  /// Creates a URL; nil if a part is invalid.
  public init?(bucket: String, prefix: String = "") {
    guard S3URL.isBucketName(bucket) else { return nil }
    guard prefix.isEmpty || (prefix.utf8.count <= 200 && ObjectKey(prefix) != nil) else {
      return nil
    }
    self.bucket = bucket
    self.prefix = prefix
  }

  /// Parses `s3://bucket[/prefix]`. One slash at the end is ignored.
  /// - Throws: `StorageError` of kind settings. A URL with keys or a host is refused by name.
  public init(parsing text: String) throws(StorageError) {
    // The text itself may hold a password: it is not repeated.
    guard text.hasPrefix("s3://") else {
      throw StorageError(.settings, "the URL", "does not begin with s3://")
    }
    let rest = text.dropFirst(5)
    guard !rest.contains("@"), !rest.contains("?"), !rest.contains("#") else {
      throw StorageError(
        .settings, "the S3 URL", "has user information, a query or a fragment",
        hint: "Write s3://BUCKET/PREFIX, and give keys by AWS_PROFILE or the variables AWS_*")
    }
    let bucket = rest.prefix { $0 != "/" }
    var prefix = rest.dropFirst(bucket.count + 1)
    if prefix.hasSuffix("/") { prefix = prefix.dropLast() }
    guard let url = S3URL(bucket: String(bucket), prefix: String(prefix)) else {
      throw StorageError(
        .settings, "the S3 URL", "has an invalid bucket or prefix",
        hint:
          "Bucket names have 3 to 63 lower-case letters, digits, '-' and '.'. Prefixes have parts of "
          + "letters, digits and -_.+%=, with one slash between them, and 200 bytes at most")
    }
    self = url
  }

  /// Whether a text can be the name of a bucket ("Bucket naming rules" of Amazon S3). `_` and capital letters
  /// occur in older buckets of other services.
  private static func isBucketName(_ name: String) -> Bool {
    guard (3...63).contains(name.utf8.count), !name.contains("..") else { return false }
    func isAlphanumeric(_ byte: UInt8) -> Bool {
      switch byte {
      case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
      default: false
      }
    }
    guard let first = name.utf8.first, let last = name.utf8.last, isAlphanumeric(first),
      isAlphanumeric(last)
    else { return false }
    return name.utf8.allSatisfy { isAlphanumeric($0) || "-._".utf8.contains($0) }
  }

  public var description: String { "s3://\(bucket)" + (prefix.isEmpty ? "" : "/\(prefix)") }
}
