// The answer of ListObjectsV2, and of ListMultipartUploads.

import Codec
import ObjectStorage

/// A page of a listing, as far as it is well-formed.
struct ListingDocument {
  struct Entry {
    let key: String
    let sizeBytes: UInt64
  }

  let entries: [Entry]
  /// The token for the next page; nil for the last one.
  let nextToken: String?

  /// Parses a page; nil if it is not one, or a key or size is invalid.
  init?(parsing bytes: [UInt8]) {
    guard let root = S3XML.parse(bytes), root.name == "ListBucketResult" else { return nil }
    let isEncoded = root.value("EncodingType") == "url"
    var entries: [Entry] = []
    for item in root.all("Contents") {
      guard let text = item.value("Key"),
        let key = isEncoded ? ListingDocument.decoded(text) : text,
        let size = item.value("Size").flatMap({ UInt64($0) })
      else { return nil }
      entries.append(Entry(key: key, sizeBytes: size))
    }
    self.entries = entries
    guard root.value("IsTruncated") == "true" else {
      nextToken = nil
      return
    }
    guard let token = root.value("NextContinuationToken"), !token.isEmpty,
      token.utf8.count <= 4096
    else { return nil }
    nextToken = token
  }

  /// Returns a key that was encoded for the document: "+" is a space in the listings of some services.
  private static func decoded(_ text: String) -> String? {
    PercentEncoding.decode(text.utf8, plusIsSpace: true)
      .flatMap { String(validating: $0, as: UTF8.self) }
  }
}

/// A page of unfinished multipart uploads.
struct UploadsDocument {
  struct Upload {
    let key: String
    let id: String
    /// Seconds since 1970.
    let initiated: Int64
  }

  let uploads: [Upload]
  /// The markers of the next page; nil for the last one.
  let next: (key: String, id: String)?

  /// Parses a page; nil if it is not one.
  init?(parsing bytes: [UInt8]) {
    guard let root = S3XML.parse(bytes), root.name == "ListMultipartUploadsResult" else {
      return nil
    }
    var uploads: [Upload] = []
    for item in root.all("Upload") {
      guard let key = item.value("Key"), let id = item.value("UploadId"),
        let initiated = item.value("Initiated").flatMap(CivilTime.parseISO8601)
      else { return nil }
      uploads.append(Upload(key: key, id: id, initiated: initiated))
    }
    self.uploads = uploads
    guard root.value("IsTruncated") == "true" else {
      next = nil
      return
    }
    guard let key = root.value("NextKeyMarker"), let id = root.value("NextUploadIdMarker"),
      !key.isEmpty
    else { return nil }
    next = (key, id)
  }
}
