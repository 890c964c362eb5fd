// The parsers of bytes that come from a service or from a file of settings, for fuzzers and tests of hostile
// bytes.

import ObjectStorage

/// Parses what others wrote.
public enum HostileInput {
  /// Returns the keys and sizes of a page of a listing, and the token of the next page; nil if it is not one.
  public static func listing(
    _ bytes: [UInt8]
  ) -> (entries: [(key: String, sizeBytes: UInt64)], nextToken: String?)? {
    ListingDocument(parsing: bytes).map { page in
      (page.entries.map { ($0.key, $0.sizeBytes) }, page.nextToken)
    }
  }

  /// Returns the keys and the identifiers of a page of uploads; nil if it is not one.
  public static func uploads(_ bytes: [UInt8]) -> [(key: String, id: String)]? {
    UploadsDocument(parsing: bytes).map { $0.uploads.map { ($0.key, $0.id) } }
  }

  /// Returns code, message and region of a refusal; nil if it is not one.
  public static func refusal(
    _ bytes: [UInt8]
  ) -> (code: String, message: String, region: String?)? {
    ErrorDocument(parsing: bytes).map { ($0.code, $0.message, $0.region) }
  }

  /// Returns the values of a file of settings, by section and key.
  /// - Throws: `StorageError` of kind settings.
  public static func settings(
    _ bytes: [UInt8]
  ) throws(StorageError) -> [String: [String: String]] {
    try INIFile(parsing: bytes, path: "file").sections
  }
}
