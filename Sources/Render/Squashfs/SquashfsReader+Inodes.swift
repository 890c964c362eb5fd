// Decodes the inodes, extended attributes and directory listings of a squashfs image.

import Archive
import Platform

extension SquashfsReader {
  // MARK: Inodes

  struct Inode {
    var member: TarMember
    var number: UInt32
    /// The listing of a directory.
    var listing: (block: UInt64, offset: Int, sizeBytes: UInt64)?
    /// The data of a file.
    var data: FileData?
    var isSocket = false
  }

  struct FileData {
    var start: UInt64
    var fragment: UInt32
    var fragmentOffset: Int
    var blockSizes: [UInt32]
  }

  func inode(_ reference: UInt64, path: [UInt8]) throws -> Inode {
    let (start, overflow) = inodeTable.addingReportingOverflow(reference >> 16)
    guard !overflow else { throw ArchiveError("a squashfs inode is outside the image") }
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
    case 1, 8: (inode.listing, xattrs) = try listing(isExtended: type == 8, &cursor)
    case 2, 9:
      (inode.data, inode.member.sizeBytes, xattrs) = try file(isExtended: type == 9, &cursor)
    case 3, 10:
      var body = try fields(8, &cursor)
      _ = try body.word32()
      let size = try body.word32()
      guard size > 0, size <= 65535 else { throw ArchiveError("a squashfs link has no target") }
      inode.member.kind = .symlink(target: try readBytes(Int(size), &cursor))
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
      _ = try readBytes(4, &cursor)
      inode.member.kind = .fifo
      inode.isSocket = type == 7 || type == 14
      if type > 7 { xattrs = try word(&cursor) }
    default: throw ArchiveError("a squashfs inode has the unknown type \(type)")
    }
    if inode.listing != nil { inode.member.kind = .directory }
    if xattrs != Squashfs.noXattrs { inode.member.xattrs = try attributes(xattrs) }
    return inode
  }

  /// Reads the rest of a directory's inode.
  private func listing(
    isExtended: Bool, _ cursor: inout Cursor
  ) throws -> ((block: UInt64, offset: Int, sizeBytes: UInt64), xattrs: UInt32) {
    var body = try fields(isExtended ? 24 : 16, &cursor)
    if !isExtended {
      let block = try body.word32()
      _ = try body.word32()
      let size = try body.word16()
      return ((UInt64(block), Int(try body.word16()), UInt64(size)), Squashfs.noXattrs)
    }
    _ = try body.word32()
    let size = try body.word32()
    let block = try body.word32()
    _ = try body.word32()
    _ = try body.word16()
    let offset = Int(try body.word16())
    return ((UInt64(block), offset, UInt64(size)), try body.word32())
  }

  /// Reads the rest of a file's inode.
  private func file(
    isExtended: Bool, _ cursor: inout Cursor
  ) throws -> (FileData, sizeBytes: UInt64, xattrs: UInt32) {
    var body = try fields(isExtended ? 40 : 16, &cursor)
    let start = isExtended ? try body.word64() : UInt64(try body.word32())
    var size: UInt64 = 0
    if isExtended {
      size = try body.word64()
      _ = try body.word64()
      _ = try body.word32()
    }
    let fragment = try body.word32()
    let offset = try body.word32()
    if !isExtended { size = UInt64(try body.word32()) }
    let xattrs = isExtended ? try body.word32() : Squashfs.noXattrs
    return (try data(size, start, fragment, offset, &cursor), size, xattrs)
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
      throw ArchiveError("a squashfs file has more blocks than its image can contain")
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
    var header = LittleEndianFields(try bytes(xattrTable, 16))
    let values = try header.word64()
    guard index < (try header.word32()) else {
      throw ArchiveError("a squashfs attribute is not in its table")
    }
    var entry = LittleEndianFields(try element(xattrTable + 16, UInt64(index), size: 16))
    let reference = try entry.word64()
    let count = try entry.word32()
    guard count <= 4096 else { throw ArchiveError("a squashfs inode has too many attributes") }
    func cursor(_ reference: UInt64) throws -> Cursor {
      let (start, overflow) = values.addingReportingOverflow(reference >> 16)
      guard !overflow else { throw ArchiveError("a squashfs attribute is outside the image") }
      return Cursor(block: start, offset: Int(reference & 0xffff))
    }
    var at = try cursor(reference)
    var result: [TarMember.Xattr] = []
    for _ in 0..<count {
      var head = try fields(4, &at)
      let type = try head.word16()
      let name = try readBytes(Int(try head.word16()), &at)
      var size = try word(&at)
      var value: [UInt8]
      if type & 0x100 != 0 {
        var pointer = LittleEndianFields(try readBytes(8, &at))
        var far = try cursor(try pointer.word64())
        size = try word(&far)
        guard size <= 64 << 10 else { throw ArchiveError("a squashfs attribute is too long") }
        value = try readBytes(Int(size), &far)
      } else {
        guard size <= 64 << 10 else { throw ArchiveError("a squashfs attribute is too long") }
        value = try readBytes(Int(size), &at)
      }
      guard Int(type & 0xff) < SquashfsReader.prefixes.count else { continue }
      result.append(
        TarMember.Xattr(name: SquashfsReader.prefixes[Int(type & 0xff)] + name, value: value))
    }
    return result.sorted { $0.name.lexicographicallyPrecedes($1.name) }
  }

  // MARK: Listings

  func listing(_ inode: Inode) throws -> [(name: [UInt8], reference: UInt64)] {
    guard let (block, offset, size) = inode.listing, size > 3 else { return [] }
    guard size <= SquashfsReader.maxListingBytes else {
      throw ArchiveError("a squashfs directory is too large")
    }
    var rest = Int(size) - 3
    var cursor = Cursor(block: directoryTable &+ block, offset: offset)
    var result: [(name: [UInt8], reference: UInt64)] = []
    while rest > 0 {
      var header = try fields(12, &cursor)
      let count = try header.word32()
      let start = UInt64(try header.word32())
      rest -= 12
      guard count < 256 else { throw ArchiveError("a squashfs directory is damaged") }
      for _ in 0...count {
        var entry = try fields(8, &cursor)
        let offset = UInt64(try entry.word16())
        _ = try entry.word16()
        _ = try entry.word16()
        let length = Int(try entry.word16()) + 1
        guard length <= 256 else { throw ArchiveError("a squashfs name is too long") }
        let name = try readBytes(length, &cursor)
        rest -= 8 + length
        guard !name.contains(0), !name.contains(0x2f), name != [0x2e], name != [0x2e, 0x2e] else {
          throw ArchiveError("a squashfs name is invalid")
        }
        result.append((name, start << 16 | offset))
      }
    }
    return result
  }
}
