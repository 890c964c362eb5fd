// Which packs have everything that a snapshot needs, for snapshots that were checked on this machine: then a later
// push need not check the unchanged directories again.
//
// 1. A record names a snapshot and the packs in which all of its objects were found. Packs never change, so the
//    record is right for ever. It counts if a writer may count on all of these packs (`PackListing.isUsable`).
// 2. A damaged record has another checksum and does not exist.

import Codec
import Platform

/// Keeps records in the cache directory, or in memory. Any thread may call its methods.
final class CompletenessRecords: Sendable {
  private let fileSystem: any FileSystem
  private let directory: Descriptor?
  private let memory = Monitor<[Digest: Set<DepotPack>]>([:])
  private static let maxBytes = 64 << 20
  private static let magic = Array("IMGDONE".utf8) + [1]

  init(_ fileSystem: any FileSystem, path: [UInt8]?) {
    self.fileSystem = fileSystem
    directory = path.flatMap { path in
      try? fileSystem.makePrivatePath(path)
      return try? fileSystem.openDirectory(at: fileSystem.workingDirectory, path)
    }
  }

  /// Returns the packs that have everything of a snapshot; nil if that is not known.
  func packs(of snapshot: Digest) -> Set<DepotPack>? {
    guard let directory else { return memory.withLock { $0[snapshot] } }
    guard
      let bytes = try? fileSystem.readSmallFile(
        at: directory.raw, Array(snapshot.hex.utf8), limitBytes: CompletenessRecords.maxBytes)
    else { return nil }
    return CompletenessRecords.decode(bytes, snapshot)
  }

  func record(_ snapshot: Digest, _ packs: Set<DepotPack>) {
    guard let directory else { return memory.withLock { $0[snapshot] = packs } }
    try? fileSystem.replaceFile(
      at: directory.raw, Array(snapshot.hex.utf8),
      with: CompletenessRecords.encode(packs, snapshot))
  }

  private static func encode(_ packs: Set<DepotPack>, _ snapshot: Digest) -> [UInt8] {
    var writer = ByteWriter()
    writer.raw(magic)
    writer.digest(snapshot)
    writer.varint(packs.count)
    for pack in packs.sorted() {
      writer.digest(pack.digest)
      writer.word64(pack.writer.high)
      writer.word64(pack.writer.low)
    }
    writer.digest(SHA256.digest(of: writer.bytes))
    return writer.bytes
  }

  private static func decode(_ bytes: [UInt8], _ snapshot: Digest) -> Set<DepotPack>? {
    guard bytes.count > 32, bytes.starts(with: magic),
      Digest(Array(bytes.suffix(32))) == SHA256.digest(of: Array(bytes.dropLast(32)))
    else { return nil }
    let packs = try? bytes.withUnsafeBytes { (bytes) throws(CodecError) in
      var reader = ByteReader(bytes)
      try reader.skip(magic.count)
      guard try reader.digest() == snapshot else { throw .corrupt("another snapshot") }
      var packs: Set<DepotPack> = []
      for _ in 0..<(try reader.count(bytesEach: 48)) {
        let digest = try reader.digest()
        let writer = WriterID(high: try reader.word64(), low: try reader.word64())
        packs.insert(DepotPack(digest: digest, writer: writer))
      }
      return packs
    }
    return packs
  }
}
