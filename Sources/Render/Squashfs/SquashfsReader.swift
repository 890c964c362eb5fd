// Reads squashfs 4.0 images by anybody, as the stream of a tar archive: so that whatever reads archives reads them.
//
// 1. The image is hostile: every offset, size and count is checked before it is used, and each folder is listed
//    once.
// 2. gzip, xz and zstd are read. lz4, lzo and lzma are refused by name.
// 3. Memory: the image's tables as they are needed, the list of its entries, one block and one fragment. Sockets
//    are left out: no archive holds them.

import Archive
import Codec
import Platform

/// A squashfs image, open.
public final class SquashfsReader {
  /// Fills a buffer with the image's bytes from an offset on.
  public typealias ReadImage = (_ offset: UInt64, UnsafeMutableRawBufferPointer) throws -> Void

  public static let magic: [UInt8] = Array("hsqs".utf8)

  private let read: ReadImage
  private let sizeBytes: UInt64
  private let decoder: BlockDecoder
  public let blockBytes: Int
  public let madeSeconds: UInt32
  /// What a new image of the same kind is compressed with.
  public let compression: SquashfsOptions.Compression
  private let rootReference: UInt64
  private let inodeTable: UInt64
  private let directoryTable: UInt64
  private let fragmentTable: UInt64
  private let fragmentCount: UInt32
  private let ownerTable: UInt64
  private let ownerCount: UInt16
  private let xattrTable: UInt64
  private var metadata: [UInt64: (bytes: [UInt8], next: UInt64)] = [:]
  private var fragment: (number: UInt32, bytes: [UInt8])?
  /// The file that was read last, and where its next block begins.
  private var current:
    (reference: UInt64, sizeBytes: UInt64, data: FileData, block: Int, at: UInt64)?

  private static let maxDepth = 2000
  private static let maxEntries = 20_000_000
  private static let maxListingBytes: UInt64 = 256 << 20
  private static let maxHeldBlocks = 512

  /// - Throws: `ArchiveError` for what is no squashfs image, or one that is not read.
  public init(sizeBytes: UInt64, _ read: @escaping ReadImage) throws {
    self.read = read
    self.sizeBytes = sizeBytes
    guard sizeBytes >= 96 else { throw ArchiveError("it is too short for a squashfs image") }
    var head = [UInt8](repeating: 0, count: 96)
    try head.withUnsafeMutableBytes { try read(0, $0) }
    var fields = LittleEndian(head)
    guard head.starts(with: SquashfsReader.magic) else {
      throw ArchiveError("it is no squashfs image")
    }
    _ = try fields.word32()
    _ = try fields.word32()
    madeSeconds = try fields.word32()
    let block = try fields.word32()
    fragmentCount = try fields.word32()
    let compressor = try fields.word16()
    _ = try fields.word16()
    _ = try fields.word16()
    ownerCount = try fields.word16()
    let major = try fields.word16()
    _ = try fields.word16()
    rootReference = try fields.word64()
    _ = try fields.word64()
    ownerTable = try fields.word64()
    xattrTable = try fields.word64()
    inodeTable = try fields.word64()
    directoryTable = try fields.word64()
    fragmentTable = try fields.word64()
    guard major == 4, (4096...1 << 20).contains(block), block.nonzeroBitCount == 1 else {
      throw ArchiveError("it is a squashfs image of a version or block size that is not read")
    }
    blockBytes = Int(block)
    switch compressor {
    case 1: (decoder, compression) = (BlockDecoder(.zlib), .gzip())
    case 4: (decoder, compression) = (BlockDecoder(.xz), .xz())
    case 6: (decoder, compression) = (BlockDecoder(.zstd), .zstd())
    default:
      let names: [UInt16: String] = [2: "lzma", 3: "lzo", 5: "lz4"]
      throw ArchiveError(
        "it is a squashfs image compressed with \(names[compressor] ?? "something unknown"), which is "
          + "not read")
    }
  }

  // MARK: Blocks

  private func bytes(_ offset: UInt64, _ count: Int) throws -> [UInt8] {
    guard offset <= sizeBytes, UInt64(count) <= sizeBytes - offset else {
      throw ArchiveError("a squashfs table lies outside of the image")
    }
    var result = [UInt8](repeating: 0, count: count)
    if count > 0 { try result.withUnsafeMutableBytes { try read(offset, $0) } }
    return result
  }

  private func decode(_ packed: [UInt8], maxBytes: Int) throws -> [UInt8] {
    var plain = [UInt8](repeating: 0, count: maxBytes)
    let count = try packed.withUnsafeBytes { source in
      try plain.withUnsafeMutableBytes { target throws -> Int in
        do throws(CodecError) {
          return try decoder.decode(source, into: target)
        } catch {
          throw ArchiveError("a squashfs block is damaged: \(error)")
        }
      }
    }
    plain.removeSubrange(count...)
    return plain
  }

  /// A metadata block, and where the next one begins.
  private func block(_ offset: UInt64) throws -> (bytes: [UInt8], next: UInt64) {
    if let known = metadata[offset] { return known }
    let header = try bytes(offset, 2)
    let word = UInt16(header[0]) | UInt16(header[1]) << 8
    let size = Int(word & 0x7fff)
    guard size <= Squashfs.metadataBytes else {
      throw ArchiveError("a squashfs metadata block has \(size) bytes")
    }
    let packed = try bytes(offset + 2, size)
    let plain =
      word & Squashfs.metadataUncompressed != 0
      ? packed : try decode(packed, maxBytes: Squashfs.metadataBytes)
    if metadata.count >= SquashfsReader.maxHeldBlocks { metadata.removeAll() }
    let result = (plain, offset + 2 + UInt64(size))
    metadata[offset] = result
    return result
  }

  /// A place in a row of metadata blocks, to read from on.
  private struct Cursor {
    var block: UInt64
    var offset: Int
  }

  private func take(_ count: Int, _ cursor: inout Cursor) throws -> [UInt8] {
    var result: [UInt8] = []
    while result.count < count {
      let (bytes, next) = try block(cursor.block)
      guard cursor.offset <= bytes.count, !bytes.isEmpty else {
        throw ArchiveError("a squashfs reference leads out of its block")
      }
      let n = min(count - result.count, bytes.count - cursor.offset)
      result += bytes[cursor.offset..<cursor.offset + n]
      cursor.offset += n
      if cursor.offset == bytes.count { cursor = Cursor(block: next, offset: 0) }
    }
    return result
  }

  private func fields(_ count: Int, _ cursor: inout Cursor) throws -> LittleEndian {
    LittleEndian(try take(count, &cursor))
  }

  /// An element of a table that is found by a list of its blocks.
  private func element(_ table: UInt64, _ index: UInt64, size: Int) throws -> [UInt8] {
    let byte = index * UInt64(size)
    let (slot, overflow) = table.addingReportingOverflow(byte / UInt64(Squashfs.metadataBytes) * 8)
    guard !overflow else { throw ArchiveError("a squashfs table lies outside of the image") }
    var pointer = LittleEndian(try bytes(slot, 8))
    var cursor = Cursor(
      block: try pointer.word64(), offset: Int(byte % UInt64(Squashfs.metadataBytes)))
    return try take(size, &cursor)
  }

  private func owner(_ index: UInt16) throws -> UInt32 {
    guard index < ownerCount else { throw ArchiveError("a squashfs owner is not in its table") }
    var fields = LittleEndian(try element(ownerTable, UInt64(index), size: 4))
    return try fields.word32()
  }

  // MARK: Inodes

  private struct Inode {
    var member: TarMember
    var number: UInt32
    /// Of a folder: its listing.
    var listing: (block: UInt64, offset: Int, sizeBytes: UInt64)?
    /// Of a file.
    var data: FileData?
    var isSocket = false
  }

  private struct FileData {
    var start: UInt64
    var fragment: UInt32
    var fragmentOffset: Int
    var blockSizes: [UInt32]
  }

  private func inode(_ reference: UInt64, path: [UInt8]) throws -> Inode {
    let (start, overflow) = inodeTable.addingReportingOverflow(reference >> 16)
    guard !overflow else { throw ArchiveError("a squashfs inode lies outside of the image") }
    var cursor = Cursor(block: start, offset: Int(reference & 0xffff))
    var head = try fields(16, &cursor)
    let type = try head.word16()
    let mode = try head.word16()
    let uid = try owner(try head.word16())
    let gid = try owner(try head.word16())
    let modified = try head.word32()
    let number = try head.word32()
    var inode = Inode(
      member: TarMember(
        path: path, kind: .file, mode: mode & 0o7777, uid: uid, gid: gid,
        modifiedSeconds: Int64(modified)), number: number)
    var xattrs = Squashfs.noXattrs
    switch type {
    case 1:
      var body = try fields(16, &cursor)
      let block = try body.word32()
      _ = try body.word32()
      let size = try body.word16()
      inode.listing = (UInt64(block), Int(try body.word16()), UInt64(size))
    case 8:
      var body = try fields(24, &cursor)
      _ = try body.word32()
      let size = try body.word32()
      let block = try body.word32()
      _ = try body.word32()
      _ = try body.word16()
      inode.listing = (UInt64(block), Int(try body.word16()), UInt64(size))
      xattrs = try body.word32()
    case 2:
      var body = try fields(16, &cursor)
      let start = UInt64(try body.word32())
      let fragment = try body.word32()
      let offset = try body.word32()
      inode.member.sizeBytes = UInt64(try body.word32())
      inode.data = try data(inode.member.sizeBytes, start, fragment, offset, &cursor)
    case 9:
      var body = try fields(40, &cursor)
      let start = try body.word64()
      inode.member.sizeBytes = try body.word64()
      _ = try body.word64()
      _ = try body.word32()
      let fragment = try body.word32()
      let offset = try body.word32()
      xattrs = try body.word32()
      inode.data = try data(inode.member.sizeBytes, start, fragment, offset, &cursor)
    case 3, 10:
      var body = try fields(8, &cursor)
      _ = try body.word32()
      let size = try body.word32()
      guard size > 0, size <= 65535 else { throw ArchiveError("a squashfs link has no target") }
      inode.member.kind = .symlink(target: try take(Int(size), &cursor))
      if type == 10 { xattrs = try word(&cursor) }
    case 4, 5, 11, 12:
      var body = try fields(8, &cursor)
      _ = try body.word32()
      let device = try body.word32()
      let (major, minor) = (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xfff00)
      inode.member.kind =
        type == 4 || type == 11
        ? .blockDevice(major: major, minor: minor) : .characterDevice(major: major, minor: minor)
      if type > 7 { xattrs = try word(&cursor) }
    case 6, 7, 13, 14:
      _ = try take(4, &cursor)
      inode.member.kind = .fifo
      inode.isSocket = type == 7 || type == 14
      if type > 7 { xattrs = try word(&cursor) }
    default: throw ArchiveError("a squashfs inode is of the unknown type \(type)")
    }
    if inode.listing != nil { inode.member.kind = .directory }
    if xattrs != Squashfs.noXattrs { inode.member.xattrs = try attributes(xattrs) }
    return inode
  }

  private func word(_ cursor: inout Cursor) throws -> UInt32 {
    var fields = try fields(4, &cursor)
    return try fields.word32()
  }

  private func data(
    _ size: UInt64, _ start: UInt64, _ fragment: UInt32, _ offset: UInt32, _ cursor: inout Cursor
  ) throws -> FileData {
    let whole = size / UInt64(blockBytes)
    let hasTail = size % UInt64(blockBytes) != 0
    let count = fragment == Squashfs.noFragment && hasTail ? whole + 1 : whole
    guard count <= sizeBytes, count < 1 << 28 else {
      throw ArchiveError("a squashfs file has more blocks than its image can hold")
    }
    var sizes: [UInt32] = []
    var rest = Int(count)
    while rest > 0 {
      let n = min(rest, 1024)
      var words = try fields(4 * n, &cursor)
      for _ in 0..<n { sizes.append(try words.word32()) }
      rest -= n
    }
    return FileData(
      start: start, fragment: hasTail ? fragment : Squashfs.noFragment,
      fragmentOffset: Int(offset), blockSizes: sizes)
  }

  // MARK: Attributes

  private static let prefixes = ["user.", "trusted.", "security."].map { Array($0.utf8) }

  private func attributes(_ index: UInt32) throws -> [TarMember.Xattr] {
    guard xattrTable != Squashfs.noTable else { return [] }
    var header = LittleEndian(try bytes(xattrTable, 16))
    let values = try header.word64()
    guard index < (try header.word32()) else {
      throw ArchiveError("a squashfs attribute is not in its table")
    }
    var entry = LittleEndian(try element(xattrTable + 16, UInt64(index), size: 16))
    let reference = try entry.word64()
    let count = try entry.word32()
    guard count <= 4096 else { throw ArchiveError("a squashfs inode has too many attributes") }
    func cursor(_ reference: UInt64) throws -> Cursor {
      let (start, overflow) = values.addingReportingOverflow(reference >> 16)
      guard !overflow else { throw ArchiveError("a squashfs attribute lies outside of the image") }
      return Cursor(block: start, offset: Int(reference & 0xffff))
    }
    var at = try cursor(reference)
    var result: [TarMember.Xattr] = []
    for _ in 0..<count {
      var head = try fields(4, &at)
      let type = try head.word16()
      let name = try take(Int(try head.word16()), &at)
      var size = try word(&at)
      var value: [UInt8]
      if type & 0x100 != 0 {
        var pointer = LittleEndian(try take(8, &at))
        var far = try cursor(try pointer.word64())
        size = try word(&far)
        guard size <= 64 << 10 else { throw ArchiveError("a squashfs attribute is too long") }
        value = try take(Int(size), &far)
      } else {
        guard size <= 64 << 10 else { throw ArchiveError("a squashfs attribute is too long") }
        value = try take(Int(size), &at)
      }
      guard Int(type & 0xff) < SquashfsReader.prefixes.count else { continue }
      result.append(
        TarMember.Xattr(name: SquashfsReader.prefixes[Int(type & 0xff)] + name, value: value))
    }
    return result.sorted { $0.name.lexicographicallyPrecedes($1.name) }
  }

  // MARK: Listings

  private func listing(_ inode: Inode) throws -> [(name: [UInt8], reference: UInt64)] {
    guard let (block, offset, size) = inode.listing, size > 3 else { return [] }
    guard size <= SquashfsReader.maxListingBytes else {
      throw ArchiveError("a squashfs folder is too large")
    }
    var rest = Int(size) - 3
    var cursor = Cursor(block: directoryTable &+ block, offset: offset)
    var result: [(name: [UInt8], reference: UInt64)] = []
    while rest > 0 {
      var header = try fields(12, &cursor)
      let count = try header.word32()
      let start = UInt64(try header.word32())
      rest -= 12
      guard count < 256 else { throw ArchiveError("a squashfs folder is damaged") }
      for _ in 0...count {
        var entry = try fields(8, &cursor)
        let offset = UInt64(try entry.word16())
        _ = try entry.word16()
        _ = try entry.word16()
        let length = Int(try entry.word16()) + 1
        guard length <= 256 else { throw ArchiveError("a squashfs name is too long") }
        let name = try take(length, &cursor)
        rest -= 8 + length
        guard !name.contains(0), !name.contains(0x2f), name != [0x2e], name != [0x2e, 0x2e] else {
          throw ArchiveError("a squashfs name is none")
        }
        result.append((name, start << 16 | offset))
      }
    }
    return result
  }

  // MARK: The stream

  /// The image as a tar archive.
  /// - Parameter top: the name of its root.
  public func tarStream(top: [UInt8]) throws -> ByteSource {
    let stream = SquashfsTarStream(self)
    var numbers: [UInt32: [UInt8]] = [:]
    var folders: Set<UInt64> = []
    var members: [(member: TarMember, reference: UInt64)] = []
    func visit(_ reference: UInt64, _ path: [UInt8], _ depth: Int) throws {
      guard depth <= SquashfsReader.maxDepth, members.count < SquashfsReader.maxEntries else {
        throw ArchiveError("a squashfs image is nested too deeply, or has too many entries")
      }
      let inode = try inode(reference, path: path)
      var member = inode.member
      if member.kind == .directory {
        // A folder has one name: one that has two holds itself, or wastes memory.
        guard folders.insert(reference).inserted else {
          throw ArchiveError("a squashfs folder is in the image twice")
        }
        member.path.append(0x2f)
        members.append((member, reference))
        for (name, child) in try listing(inode) {
          try visit(child, path + [0x2f] + name, depth + 1)
        }
        return
      }
      if inode.isSocket { return }
      if member.kind == .file, let first = numbers.updateValue(path, forKey: inode.number) {
        numbers[inode.number] = first
        member.kind = .hardLink(target: first)
        (member.sizeBytes, member.xattrs) = (0, [])
      }
      members.append((member, reference))
    }
    try visit(rootReference, top, 0)
    stream.members = members
    return { try stream.read($0) }
  }

  /// The plain bytes of block `number` of a file, its tail included.
  fileprivate func content(_ reference: UInt64, block number: Int) throws -> [UInt8] {
    if current?.reference != reference || current?.block != number {
      let inode = try inode(reference, path: [])
      guard let data = inode.data, number == 0 else { return [] }
      current = (reference, inode.member.sizeBytes, data, 0, data.start)
    }
    guard let (_, size, data, _, offset) = current else { return [] }
    current?.block += 1
    let wanted = Int(min(UInt64(blockBytes), size - UInt64(number) * UInt64(blockBytes)))
    if number < data.blockSizes.count {
      let word = data.blockSizes[number]
      let packedBytes = Int(word & (Squashfs.blockUncompressed - 1))
      current?.at = offset &+ UInt64(packedBytes)
      if packedBytes == 0 { return [UInt8](repeating: 0, count: wanted) }
      guard packedBytes <= blockBytes else {
        throw ArchiveError("a squashfs block is longer than its image allows")
      }
      let packed = try bytes(offset, packedBytes)
      let plain =
        word & Squashfs.blockUncompressed != 0
        ? packed : try decode(packed, maxBytes: blockBytes)
      guard plain.count >= wanted else { throw ArchiveError("a squashfs block is too short") }
      return Array(plain[..<wanted])
    }
    let shared = try fragmentBytes(data.fragment)
    guard data.fragmentOffset <= shared.count, wanted <= shared.count - data.fragmentOffset else {
      throw ArchiveError("a squashfs fragment is too short")
    }
    return Array(shared[data.fragmentOffset..<data.fragmentOffset + wanted])
  }

  private func fragmentBytes(_ number: UInt32) throws -> [UInt8] {
    if let fragment, fragment.number == number { return fragment.bytes }
    guard number < fragmentCount else {
      throw ArchiveError("a squashfs fragment is not in its table")
    }
    var entry = LittleEndian(try element(fragmentTable, UInt64(number), size: 16))
    let start = try entry.word64()
    let word = try entry.word32()
    let packedBytes = Int(word & (Squashfs.blockUncompressed - 1))
    guard packedBytes <= blockBytes else {
      throw ArchiveError("a squashfs block is longer than its image allows")
    }
    let packed = try bytes(start, packedBytes)
    let plain =
      word & Squashfs.blockUncompressed != 0 ? packed : try decode(packed, maxBytes: blockBytes)
    fragment = (number, plain)
    return plain
  }
}

/// The members of an image, a piece at a time.
private final class SquashfsTarStream {
  private let reader: SquashfsReader
  var members: [(member: TarMember, reference: UInt64)] = []
  private var next = 0
  private var block = 0
  private var blocks = 0
  private var held: [UInt8] = []
  private var offset = 0
  private var isEnded = false

  init(_ reader: SquashfsReader) { self.reader = reader }

  func read(_ target: UnsafeMutableRawBufferPointer) throws -> Int {
    while offset == held.count {
      guard try fill() else { return 0 }
    }
    let n = min(target.count, held.count - offset)
    target.copyBytes(from: held[offset..<offset + n])
    offset += n
    return n
  }

  private func fill() throws -> Bool {
    (held, offset) = ([], 0)
    if block < blocks {
      let (member, reference) = members[next - 1]
      held = try reader.content(reference, block: block)
      block += 1
      if block == blocks {
        held += [UInt8](repeating: 0, count: Int((512 - member.sizeBytes % 512) % 512))
      }
      return true
    }
    if next < members.count {
      let member = members[next].member
      next += 1
      var header: [UInt8] = []
      try TarWriter { header += $0 }.begin(member)
      held = header
      block = 0
      blocks =
        member.kind == .file
        ? Int((member.sizeBytes + UInt64(reader.blockBytes) - 1) / UInt64(reader.blockBytes)) : 0
      return true
    }
    if isEnded { return false }
    isEnded = true
    held = [UInt8](repeating: 0, count: 1024)
    return true
  }
}

/// Reads little-endian words.
private struct LittleEndian {
  private let bytes: [UInt8]
  private var offset = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  private mutating func number(_ count: Int) throws -> UInt64 {
    guard bytes.count - offset >= count else { throw ArchiveError("a squashfs table is cut off") }
    defer { offset += count }
    return bytes[offset..<offset + count].reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  mutating func word16() throws -> UInt16 { UInt16(try number(2)) }
  mutating func word32() throws -> UInt32 { UInt32(try number(4)) }
  mutating func word64() throws -> UInt64 { try number(8) }
}
