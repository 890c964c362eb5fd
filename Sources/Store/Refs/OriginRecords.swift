// Where snapshots were pulled from: origins/<image>/<n> (docs/format.md, "Origins").
//
// 1. A record is written, complete and synced, before its ref, and never changes. So a snapshot from elsewhere is
//    never taken for one of this machine.
// 2. A record whose ref was not created is removed by the next snapshot that gets the number.
// 3. A snapshot whose record cannot be read counts as one from elsewhere: damage never makes it trusted.

import Codec
import Platform

/// The place that a snapshot was pulled from.
public struct OriginRecord: Sendable, Equatable {
  /// The name of the remote when the snapshot was pulled.
  public let remote: String
  /// The address of the remote, without credentials.
  public let url: String
  /// The snapshot's name there; nil if the other side did not tell.
  public let snapshot: SnapshotName?
  /// The snapshot's id there.
  public let id: Digest
  public let pulled: Timestamp
  /// The user who pulled the snapshot.
  public let user: String

  /// Creates a record.
  public init(
    remote: String, url: String, snapshot: SnapshotName?, id: Digest, pulled: Timestamp,
    user: String
  ) {
    self.remote = remote
    self.url = url
    self.snapshot = snapshot
    self.id = id
    self.pulled = pulled
    self.user = user
  }

  /// The origin of a snapshot whose record cannot be read.
  static let unknown = OriginRecord(
    remote: "unknown", url: "an unknown place", snapshot: nil, id: .zero,
    pulled: Timestamp(seconds: 0, nanoseconds: 0), user: "unknown")

  private static let title = "imgstore origin 1"

  func encode() -> [UInt8] {
    Array(
      """
      \(OriginRecord.title)
      remote \(printable(remote.utf8))
      url \(printable(url.utf8))
      image \(snapshot?.image.text ?? "")
      number \(snapshot?.number ?? 0)
      snapshot \(id)
      pulled \(pulled.seconds)
      user \(printable(user.utf8))

      """.utf8)
  }

  /// Decodes a record; nil for other bytes.
  init?(decoding bytes: [UInt8]) {
    guard let text = String(validating: bytes, as: UTF8.self) else { return nil }
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.count == 9, lines[0] == OriginRecord.title, lines[8].isEmpty else { return nil }
    var values: [Substring] = []
    for (line, key) in zip(
      lines[1..<8], ["remote", "url", "image", "number", "snapshot", "pulled", "user"])
    {
      guard line.hasPrefix(key + " ") else { return nil }
      values.append(line.dropFirst(key.count + 1))
    }
    guard let number = Int(values[3]), number >= 0, let id = Digest(hex: values[4]),
      let pulled = Int64(values[5])
    else { return nil }
    self.init(
      remote: String(values[0]), url: String(values[1]),
      snapshot: number > 0
        ? (try? ImageName(String(values[2]))).map { SnapshotName(image: $0, number: number) } : nil,
      id: id,
      pulled: Timestamp(seconds: pulled, nanoseconds: 0), user: String(values[6]))
  }
}

/// Gives access to the directory `origins/` of a store, which the first record creates.
public struct OriginRecords: Sendable {
  let layout: Layout
  static let directoryName = Array("origins".utf8)
  private static let maxBytes = 16 << 10

  /// Returns the origin of a snapshot; nil if it was taken here. A record that cannot be read is `unknown`.
  public func read(_ snapshot: SnapshotName) -> OriginRecord? {
    do throws(SystemError) {
      let directory = try open(snapshot.image)
      switch try layout.read(
        directory, RefLog.fileName(snapshot.number), limitBytes: OriginRecords.maxBytes)
      {
      case .absent: return nil
      case .unexpected: return .unknown
      case .content(let bytes): return OriginRecord(decoding: bytes) ?? .unknown
      }
    } catch {
      return error.isAbsent ? nil : .unknown
    }
  }

  /// Writes the origin of a snapshot whose ref does not exist yet, or removes a record that has no ref.
  func prepare(_ record: OriginRecord?, of snapshot: SnapshotName) throws(SystemError) {
    let fileSystem = layout.fileSystem
    let name = RefLog.fileName(snapshot.number)
    guard let record else {
      do throws(SystemError) {
        let directory = try open(snapshot.image)
        try fileSystem.remove(at: directory.raw, name, isDirectory: false)
        try fileSystem.sync(directory.raw)
      } catch {
        guard error.isAbsent else { throw error }
      }
      return
    }
    try fileSystem.makeDirectoryIfAbsent(
      at: layout.root.raw, OriginRecords.directoryName, .private)
    let all = try fileSystem.openDirectory(at: layout.root.raw, OriginRecords.directoryName)
    try fileSystem.makeDirectoryIfAbsent(at: all.raw, snapshot.image.bytes, .private)
    try fileSystem.sync(all.raw)
    try fileSystem.sync(layout.root.raw)
    try TemporaryFile.write(
      record.encode(), in: try open(snapshot.image), as: name, exclusively: false, layout)
  }

  private func open(_ image: ImageName) throws(SystemError) -> Descriptor {
    let all = try layout.fileSystem.openDirectory(
      at: layout.root.raw, OriginRecords.directoryName)
    return try layout.fileSystem.openDirectory(at: all.raw, image.bytes)
  }
}

extension ObjectStore {
  /// Returns the records of the places that snapshots were pulled from.
  public var origins: OriginRecords { OriginRecords(layout: layout) }
}
