// The object `format` of a depot (docs/format.md, "The depot"): it makes a bucket, or a prefix of one, a depot.

import Codec
import ObjectStorage
import Platform

/// Reads and creates `format`.
enum DepotFormat {
  private static let title = "imgstore depot"
  private static let version = 1
  private static let maxBytes = 4096

  /// Returns the id of the depot; nil if the bucket has no `format`.
  /// - Throws: `remoteUnsuitable` for another version or other content; `StorageError`.
  static func readID(_ storage: any ObjectStorage) throws -> WriterID? {
    let bytes: [UInt8]
    do {
      bytes = try storage.read(DepotKeys.format, range: nil, limitBytes: maxBytes)
    } catch {
      if error.isMissingObject { return nil }
      throw error
    }
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    guard lines.first == title, lines.count >= 3, lines[1].hasPrefix("version ") else {
      throw DepotError(
        .remoteUnsuitable, storage.name, "is not a depot: its object 'format' has other content",
        hint: "Use an empty bucket, or another prefix of this one")
    }
    guard lines[1] == "version \(version)" else {
      throw DepotError(
        .remoteUnsuitable, storage.name,
        "has the format '\(printable(Array(lines[1].utf8)))', which this program does not know",
        hint: "Install a newer imgstore")
    }
    guard lines[2].hasPrefix("id "), let id = WriterID(lines[2].dropFirst(3)) else {
      throw DepotError.damaged("format", of: storage.name, "has no valid id")
    }
    return id
  }

  /// Makes the bucket a depot, unless it is one.
  /// - Returns: the id of the depot.
  /// - Throws: `remoteUnsuitable` if the bucket has other objects in the depot's sections; `StorageError`.
  static func create(_ storage: any ObjectStorage, id: WriterID) throws -> WriterID {
    if let existing = try readID(storage) { return existing }
    try requireEmpty(storage)
    let text = "\(title)\nversion \(version)\nid \(id)\n"
    if try storage.create(DepotKeys.format, .bytes(Array(text.utf8)), isUnique: true) {
      return id
    }
    guard let other = try readID(storage) else {
      throw DepotError.damaged("format", of: storage.name, "exists and cannot be read")
    }
    return other
  }

  /// A depot that lost its `format` must not be taken for an empty bucket.
  private static func requireEmpty(_ storage: any ObjectStorage) throws {
    for prefix in ["packs/", "refs/", "writers/"] {
      var first: ObjectKey?
      try storage.list(prefix) { page in
        first = page.first?.key
        return false
      }
      guard let first else { continue }
      throw DepotError(
        .remoteUnsuitable, storage.name,
        "has no object 'format', but has the object \(first)",
        hint: "Use an empty bucket or another prefix. If this was a depot, restore 'format'")
    }
  }
}
