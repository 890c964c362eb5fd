// A sorted table of the locations of objects, in a file of the cache or in memory.
//
//     "IMGTAB", byte 2, byte 0 | u32 packs | u32 blocks | u64 rows | u32 frames with a base
//         | u32 bytes of their headers | u32 CRC of the front and of the lists below
//     per pack: digest, 16 bytes of its writer, u64 size, u32 number of rows
//     per block: u64 first key
//     per frame with a base: u32 pack, u32 offset in the pack, u32 position of its header
//     blocks of 4096 bytes: 102 rows of 40 bytes, zeros, u32 CRC of the rest
//     headers and directories of the frames with a base, as in the packs: each has its CRC
//
// 1. A row's key is the first 16 bytes of the object's id. Rows are sorted by key, kind, pack and position.
//    The second byte of the kind is the depth of the frame.
// 2. Every block is verified when it is read, and the number of rows of each pack is recorded, so that a
//    damaged file is found and no row is missed. A damaged file makes the caller rebuild its cache.
// 3. Tables are written once. The memory of an open one is 8 bytes a block, 64 bytes a pack, and 12 bytes a
//    frame with a base.

import Codec
import Platform
import Store

/// A file of the cache is damaged: it is rebuilt.
struct DamagedCacheError: Error {}

/// Where a pack contains an object.
struct ObjectLocation: Sendable, Hashable {
  let pack: DepotPack
  let offset: UInt64
  let frameBytes: Int
  let start: Int
  let length: Int
  /// The depth of the frame (`FrameBase`); 0 for a frame without a base.
  let depth: UInt8
}

/// The key of an object in tables. No two objects of one kind with the same key can be made
/// (128 bits of SHA-256).
struct LocationKey: Hashable, Sendable, Comparable {
  let high: UInt64
  let low: UInt64
  let kind: UInt32

  init(_ kind: ObjectKind, _ id: Digest) {
    let words = id.words
    (high, low, self.kind) = (words.0, words.1, UInt32(kind.rawValue))
  }

  fileprivate init(high: UInt64, low: UInt64, kind: UInt32) {
    (self.high, self.low, self.kind) = (high, low, kind)
  }

  /// 64 bits for tables that may confuse two objects.
  var short: UInt64 { high ^ UInt64(kind) }

  static func < (a: LocationKey, b: LocationKey) -> Bool {
    if a.high != b.high { return a.high < b.high }
    if a.low != b.low { return a.low < b.low }
    return a.kind < b.kind
  }
}

/// A row of a table.
struct LocationRow {
  let key: LocationKey
  /// The position of the pack in the table's list.
  let pack: UInt32
  let offset: UInt32
  let frameBytes: UInt32
  let start: UInt32
  let length: UInt32
  let depth: UInt8

  static func precedes(_ a: LocationRow, _ b: LocationRow) -> Bool {
    if a.key != b.key { return a.key < b.key }
    if a.pack != b.pack { return a.pack < b.pack }
    return (a.offset, a.start) < (b.offset, b.start)
  }
}

/// An open table. Any thread may call its methods.
final class LocationTable: Sendable {
  /// A pack of the table.
  struct Pack: Sendable {
    let name: DepotPack
    let sizeBytes: UInt64
    let rowCount: Int
  }

  /// Where a frame with a base is, and its header.
  struct BasedFrame: Sendable {
    /// The position of the pack in the table's list.
    let pack: UInt32
    let offset: UInt32
    /// The position of the header among those of the table.
    let header: UInt32
  }

  enum Source: Sendable {
    case memory([UInt8])
    case file(any FileSystem, Descriptor)
  }

  let packs: [Pack]
  let rowCount: Int
  /// The name of the file in the cache; nil for a table in memory.
  let fileName: [UInt8]?
  /// The frames with a base, by pack and offset.
  let basedFrames: [BasedFrame]
  /// The bytes of their headers.
  let headerBytes: Int
  private let firstKeys: [UInt64]
  private let source: Source
  private let blocksOffset: Int

  static let blockBytes = 4096
  static let rowBytes = 40
  static let rowsPerBlock = 102
  private static let frontBytes = 36
  private static let packBytes = 60
  private static let basedFrameBytes = 12
  /// The most bytes of headers in a table.
  static let maxHeaderBytes = 256 << 20
  static let magic = Array("IMGTAB".utf8) + [2, 0]
  private static let maxBytes = 4 << 30

  // MARK: Opening

  /// Opens a table.
  /// - Throws: `DamagedCacheError`; `SystemError`.
  init(_ source: Source, fileName: [UInt8]?) throws {
    self.source = source
    self.fileName = fileName
    let front = try LocationTable.read(source, at: 0, LocationTable.frontBytes)
    let parsed = try front.withUnsafeBytes { bytes in
      var reader = ByteReader(bytes)
      guard try reader.raw(8) == LocationTable.magic else { throw DamagedCacheError() }
      return (
        packs: Int(try reader.word32()), blocks: Int(try reader.word32()),
        rows: try reader.word64(), frames: Int(try reader.word32()),
        headerBytes: Int(try reader.word32()), crc: try reader.word32()
      )
    }
    let listBytes =
      parsed.packs * LocationTable.packBytes + parsed.blocks * 8
      + parsed.frames * LocationTable.basedFrameBytes
    guard parsed.packs <= 1 << 22, parsed.headerBytes <= LocationTable.maxHeaderBytes,
      parsed.frames <= parsed.headerBytes / FrameHeader.byteCount,
      parsed.blocks <= LocationTable.maxBytes / LocationTable.blockBytes,
      parsed.rows <= UInt64(parsed.blocks * LocationTable.rowsPerBlock)
    else { throw DamagedCacheError() }
    let lists = try LocationTable.read(source, at: LocationTable.frontBytes, listBytes)
    var crc = CRC32()
    front.dropLast(4).withUnsafeBytes { crc.update($0) }
    lists.withUnsafeBytes { crc.update($0) }
    guard crc.value == parsed.crc else { throw DamagedCacheError() }
    blocksOffset = LocationTable.frontBytes + listBytes
    rowCount = Int(parsed.rows)
    headerBytes = parsed.headerBytes
    (packs, firstKeys, basedFrames) = try lists.withUnsafeBytes { bytes in
      var reader = ByteReader(bytes)
      var packs: [Pack] = []
      packs.reserveCapacity(parsed.packs)
      for _ in 0..<parsed.packs {
        let digest = try reader.digest()
        let writer = WriterID(high: try reader.word64(), low: try reader.word64())
        packs.append(
          Pack(
            name: DepotPack(digest: digest, writer: writer), sizeBytes: try reader.word64(),
            rowCount: Int(try reader.word32())))
      }
      var keys: [UInt64] = []
      keys.reserveCapacity(parsed.blocks)
      for _ in 0..<parsed.blocks { keys.append(try reader.word64()) }
      var frames: [BasedFrame] = []
      frames.reserveCapacity(parsed.frames)
      for _ in 0..<parsed.frames {
        frames.append(
          BasedFrame(
            pack: try reader.word32(), offset: try reader.word32(), header: try reader.word32()))
      }
      return (packs, keys, frames)
    }
  }

  private static func read(_ source: Source, at offset: Int, _ count: Int) throws -> [UInt8] {
    switch source {
    case .memory(let bytes):
      guard offset + count <= bytes.count else { throw DamagedCacheError() }
      return Array(bytes[offset..<(offset + count)])
    case .file(let fileSystem, let file):
      var bytes = [UInt8](repeating: 0, count: count)
      let readBytes = try bytes.withUnsafeMutableBytes { bytes in
        try fileSystem.readFully(file.raw, at: UInt64(offset), into: bytes)
      }
      guard readBytes == count else { throw DamagedCacheError() }
      return bytes
    }
  }

  // MARK: Rows

  /// Calls `body` with the rows of an object.
  func find(_ key: LocationKey, _ body: (LocationRow) -> Void) throws {
    // The first block that can contain the key is the one before the first that starts with it or later.
    var index = max(0, firstKeys.partitioningIndex { $0 >= key.high } - 1)
    while index < firstKeys.count, firstKeys[index] <= key.high {
      var isPast = false
      try forEachRow(ofBlock: index) { row in
        if row.key == key { body(row) } else if key < row.key { isPast = true }
        return !isPast
      }
      if isPast { return }
      index += 1
    }
  }

  /// Calls `body` with all rows in order, until it returns false.
  func forEachRow(_ body: (LocationRow) throws -> Bool) throws {
    for block in firstKeys.indices {
      var goesOn = true
      try forEachRow(ofBlock: block) { row in
        goesOn = try body(row)
        return goesOn
      }
      if !goesOn { return }
    }
  }

  var blockCount: Int { firstKeys.count }

  func forEachRow(ofBlock block: Int, _ body: (LocationRow) throws -> Bool) throws {
    let bytes = try LocationTable.read(
      source, at: blocksOffset + block * LocationTable.blockBytes, LocationTable.blockBytes)
    try bytes.withUnsafeBytes { bytes in
      let content = UnsafeRawBufferPointer(rebasing: bytes[..<(LocationTable.blockBytes - 4)])
      func word(_ offset: Int) -> UInt32 {
        UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
      }
      func long(_ offset: Int) -> UInt64 {
        UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
      }
      guard CRC32.of(content) == word(LocationTable.blockBytes - 4) else {
        throw DamagedCacheError()
      }
      let isLast = block == firstKeys.count - 1
      let count =
        isLast ? rowCount - block * LocationTable.rowsPerBlock : LocationTable.rowsPerBlock
      guard (0...LocationTable.rowsPerBlock).contains(count) else { throw DamagedCacheError() }
      for index in 0..<count {
        let base = index * LocationTable.rowBytes
        let kind = word(base + 16)
        let row = LocationRow(
          key: LocationKey(high: long(base), low: long(base + 8), kind: kind & 0xff),
          pack: word(base + 20), offset: word(base + 24), frameBytes: word(base + 28),
          start: word(base + 32), length: word(base + 36),
          depth: UInt8(truncatingIfNeeded: kind >> 8))
        guard Int(row.pack) < packs.count else { throw DamagedCacheError() }
        if try !body(row) { return }
      }
    }
  }

  func location(_ row: LocationRow) -> ObjectLocation {
    ObjectLocation(
      pack: packs[Int(row.pack)].name, offset: UInt64(row.offset),
      frameBytes: Int(row.frameBytes), start: Int(row.start), length: Int(row.length),
      depth: row.depth)
  }

  // MARK: Frames with bases

  /// Returns the header of a frame with a base.
  /// - Throws: `DamagedCacheError`; `SystemError`.
  func header(ofBasedFrame index: Int) throws -> FrameHeader {
    let bytes = try headerBytes(ofBasedFrame: index)
    do throws(CodecError) {
      return try bytes.withUnsafeBytes { (bytes) throws(CodecError) in
        try FrameHeader.parse(bytes)
      }
    } catch { throw DamagedCacheError() }
  }

  /// Returns the bytes of the header and the directory of a frame with a base.
  func headerBytes(ofBasedFrame index: Int) throws -> [UInt8] {
    let start = Int(basedFrames[index].header)
    let next = index + 1
    let end = next < basedFrames.count ? Int(basedFrames[next].header) : headerBytes
    guard start < end, end <= headerBytes, Int(basedFrames[index].pack) < packs.count else {
      throw DamagedCacheError()
    }
    let headersOffset = blocksOffset + firstKeys.count * LocationTable.blockBytes
    return try LocationTable.read(source, at: headersOffset + start, end - start)
  }

  /// Returns the position of a frame in `basedFrames`; nil for a frame without a base.
  func basedFrame(inPack pack: Int, at offset: UInt64) -> Int? {
    let key = (UInt32(pack), offset)
    let index = basedFrames.partitioningIndex { ($0.pack, UInt64($0.offset)) >= key }
    guard index < basedFrames.count else { return nil }
    let found = basedFrames[index]
    return (found.pack, UInt64(found.offset)) == key ? index : nil
  }
}
