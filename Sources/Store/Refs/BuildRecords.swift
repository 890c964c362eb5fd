// The packed images that were made from a store's snapshots: builds/<uuid> names the snapshot (docs/format.md,
// "Builds"). Nodes report the UUID of the image that they run.
//
// 1. A record is written, complete and synced, after the packed image is complete. A later one with the same
//    UUID replaces it.
// 2. No data depends on a record. One that cannot be read counts as absent.

import Codec
import Platform

/// The identifier that a packed image contains, as xCAT's `IMAGEUUID`: 32 hexadecimal digits in five groups.
public struct ImageUUID: Hashable, Sendable, CustomStringConvertible {
  /// The text in lower case.
  public let description: String

  /// Parses a UUID; nil for any other text.
  public init?(_ text: some StringProtocol) {
    let groups = text.utf8.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
    guard groups.map(\.count) == [8, 4, 4, 4, 12],
      groups.joined().allSatisfy({
        (0x30...0x39).contains($0) || (0x41...0x46).contains($0) || (0x61...0x66).contains($0)
      })
    else { return nil }
    description = text.lowercased()
  }
}

/// The origin of a packed image.
public struct BuildRecord: Sendable, Equatable {
  public let uuid: ImageUUID
  public let snapshot: SnapshotName
  /// The snapshot's id.
  public let id: Digest
  public let created: Timestamp

  /// Creates a record.
  public init(uuid: ImageUUID, snapshot: SnapshotName, id: Digest, created: Timestamp) {
    self.uuid = uuid
    self.snapshot = snapshot
    self.id = id
    self.created = created
  }

  private static let title = "imgstore build 1"

  func encode() -> [UInt8] {
    Array(
      """
      \(BuildRecord.title)
      image \(snapshot.image)
      number \(snapshot.number)
      snapshot \(id)
      created \(created.seconds)

      """.utf8)
  }

  /// Decodes a record; nil for other bytes.
  init?(_ uuid: ImageUUID, decoding bytes: [UInt8]) {
    guard let text = String(validating: bytes, as: UTF8.self) else { return nil }
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.count >= 6, lines[0] == BuildRecord.title else { return nil }
    func value(_ line: Int, _ name: String) -> String? {
      lines[line].hasPrefix(name + " ") ? String(lines[line].dropFirst(name.count + 1)) : nil
    }
    guard let name = value(1, "image").flatMap({ try? ImageName($0) }),
      let number = value(2, "number").flatMap({ Int($0) }), number > 0,
      let id = value(3, "snapshot").flatMap({ Digest(hex: $0) }),
      let seconds = value(4, "created").flatMap({ Int64($0) })
    else { return nil }
    self.init(
      uuid: uuid, snapshot: SnapshotName(image: name, number: number), id: id,
      created: Timestamp(seconds: seconds, nanoseconds: 0))
  }
}

/// Gives access to the directory `builds/` of a store, which the first record creates.
public struct BuildRecords: Sendable {
  let layout: Layout
  static let directoryName = Array("builds".utf8)
  private static let maxBytes = 4096

  /// Returns the record of a packed image; nil if there is none that can be read.
  public func read(_ uuid: ImageUUID) -> BuildRecord? {
    guard
      let directory = try? layout.fileSystem.openDirectory(
        at: layout.root.raw, BuildRecords.directoryName),
      case .content(let bytes) = try? layout.read(
        directory, Array(uuid.description.utf8), limitBytes: BuildRecords.maxBytes)
    else { return nil }
    return BuildRecord(uuid, decoding: bytes)
  }

  /// Returns all records that can be read, in the order of their names.
  /// - Throws: `system`.
  func all() throws(StoreError) -> [BuildRecord] {
    let names = try mapSystemErrors("the records of packed images") {
      () throws(SystemError) -> [[UInt8]] in
      let (fileSystem, root) = (layout.fileSystem, layout.root.raw)
      guard try fileSystem.statIfPresent(at: root, BuildRecords.directoryName) != nil else {
        return []
      }
      let directory = try fileSystem.openDirectory(at: root, BuildRecords.directoryName)
      return try fileSystem.names(of: directory.raw)
    }
    return names.sorted(by: precedes).compactMap {
      ImageUUID(String(decoding: $0, as: UTF8.self)).flatMap(read)
    }
  }

  /// Writes a record.
  /// - Throws: `refused` if the store is read-only; `system`.
  public func write(_ record: BuildRecord) throws(StoreError) {
    try layout.requireWritable("the record of the packed image \(record.uuid)")
    try mapSystemErrors("the record of the packed image \(record.uuid)") {
      () throws(SystemError) in
      try layout.fileSystem.makeDirectoryIfAbsent(
        at: layout.root.raw, BuildRecords.directoryName, .private)
      let directory = try layout.fileSystem.openDirectory(
        at: layout.root.raw, BuildRecords.directoryName)
      try layout.fileSystem.sync(layout.root.raw)
      try TemporaryFile.write(
        record.encode(), in: directory, as: Array(record.uuid.description.utf8),
        exclusively: false, layout)
    }
  }
}

extension ObjectStore {
  /// Returns the records of packed images.
  public var builds: BuildRecords { BuildRecords(layout: layout) }
}
