// The object `format` of a depot (docs/format.md, "The depot"): it makes a bucket, or a prefix of one, a
// depot.
//
// A depot has version 1 until the first frame with a base is written. Several writers may raise the version
// at once: all write the same bytes. Nothing lowers it.

import Codec
import ObjectStorage
import Platform

/// Reads and creates `format`.
enum DepotFormat {
  private static let title = "imgstore depot"
  /// Version 3 may have frames of differences. Version 2 may have frames with bases.
  private static let versionWithBases = 3
  /// The version of new depots, which older programs can read until they have a frame with a base.
  private static let createdVersion = 1
  private static let maxBytes = 4096

  /// Returns the id of the depot; nil if the bucket has no `format`.
  /// - Throws: `remoteUnsuitable` for another version or other content; `StorageError`.
  static func readID(_ storage: any ObjectStorage) throws -> WriterID? {
    try read(storage)?.id
  }

  private static func read(_ storage: any ObjectStorage) throws -> (version: Int, id: WriterID)? {
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
    let version = (createdVersion...versionWithBases).first { lines[1] == "version \($0)" }
    guard let version else {
      throw DepotError(
        .remoteUnsuitable, storage.name,
        "has the format '\(printable(Array(lines[1].utf8)))', which this program does not know",
        hint: "Install a newer imgstore")
    }
    guard lines[2].hasPrefix("id "), let id = WriterID(lines[2].dropFirst(3)) else {
      throw DepotError.damaged("format", of: storage.name, "has no valid id")
    }
    return (version, id)
  }

  private static func text(version: Int, id: WriterID) -> ObjectBody {
    .bytes(Array("\(title)\nversion \(version)\nid \(id)\n".utf8))
  }

  /// Raises the version of a depot to one that has frames with bases.
  /// - Throws: `remoteDamaged` if `format` is gone or has another id; `StorageError`.
  static func raise(_ storage: any ObjectStorage, id: WriterID) throws {
    guard let present = try read(storage), present.id == id else {
      throw DepotError.damaged("format", of: storage.name, "is gone, or that of another depot")
    }
    if present.version >= versionWithBases { return }
    try storage.write(DepotKeys.format, text(version: versionWithBases, id: id))
  }

  /// Makes the bucket a depot, unless it is one.
  /// - Returns: the id of the depot.
  /// - Throws: `remoteUnsuitable` if the bucket has other objects in the depot's sections; `StorageError`.
  static func create(_ storage: any ObjectStorage, id: WriterID) throws -> WriterID {
    if let existing = try readID(storage) { return existing }
    try requireEmpty(storage)
    if try storage.create(DepotKeys.format, text(version: createdVersion, id: id), isUnique: true) {
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
