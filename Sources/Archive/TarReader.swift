// Reads tar archives of every common form: v7, ustar, GNU (long names, base-256 numbers), pax.
//
// 1. The archive is hostile: every length is checked before it is used, names and records have
//    limits, and a name is only bytes here; where it may lead is for the caller to decide.
// 2. Content is streamed: `next` skips what was not read.

import Codec

/// Reads members one by one.
public final class TarReader {
  static let maxNameBytes: UInt64 = 64 << 10
  /// Header records in a row before a member must follow.
  static let maxHeaders = 16

  private let source: ByteSource
  private var left: UInt64 = 0
  private var padding = 0
  private var current: [UInt8] = []
  /// A header was found: it is a tar archive.
  private var isBegun = false
  private var globalPax = PaxRecords()
  /// The archive's end mark was read. At the end of a stream without it, the stream may be cut off.
  public private(set) var hasEndMark = false

  public init(_ source: @escaping ByteSource) { self.source = source }

  /// The next member; nil at the end.
  /// - Throws: `ArchiveError`, and what the source throws.
  public func next() throws -> TarMember? {
    try skipContent()
    var pax = globalPax
    var longName: [UInt8]?
    var longTarget: [UInt8]?
    var headers = 0
    while true {
      headers += 1
      guard headers <= TarReader.maxHeaders else {
        throw ArchiveError("there are too many header records before a member")
      }
      guard let block = try readBlock() else { return nil }
      if block.allSatisfy({ $0 == 0 }) {
        hasEndMark = true
        return nil
      }
      let type = block[156]
      let size = try number(block, 124..<136, "size")
      switch type {
      case 0x4c: longName = try readText(size)
      case 0x4b: longTarget = try readText(size)
      case 0x78: try pax.parse(try readRecord(size, limit: PaxRecords.maxBytes))
      case 0x67:
        let records = try readRecord(size, limit: PaxRecords.maxBytes)
        try globalPax.parse(records)
        try pax.parse(records)
        // A global comment is the archive's, not every member's.
        globalPax.comment = nil
        pax.comment = nil
      default:
        let member = try parse(
          block, type, size, pax, longName: longName, longTarget: longTarget)
        current = member.path
        left = member.sizeBytes
        padding = Int((512 - member.sizeBytes % 512) % 512)
        return member
      }
    }
  }

  /// Fills as much of `target` as there is of the current member's content.
  /// - Returns: how many bytes; 0 at the content's end.
  public func read(_ target: UnsafeMutableRawBufferPointer) throws -> Int {
    let wanted = Int(min(left, UInt64(target.count)))
    if wanted == 0 { return 0 }
    let n = try source(UnsafeMutableRawBufferPointer(rebasing: target[..<wanted]))
    guard n > 0 else { throw ArchiveError(member: current, "the archive ends inside this member") }
    left -= UInt64(n)
    return n
  }

  // MARK: Blocks

  private func skipContent() throws {
    var rest = left + UInt64(padding)
    left = 0
    padding = 0
    var buffer = [UInt8](repeating: 0, count: Int(min(rest, 64 << 10)))
    while rest > 0 {
      let n = try buffer.withUnsafeMutableBytes { buffer in
        try source(
          UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(min(rest, UInt64(buffer.count)))]))
      }
      guard n > 0 else {
        throw ArchiveError(member: current, "the archive ends inside this member")
      }
      rest -= UInt64(n)
    }
  }

  private func readBlock() throws -> [UInt8]? {
    let block = try readExactly(TarBlock.size)
    if block.isEmpty { return nil }
    guard block.count == TarBlock.size else {
      throw ArchiveError(isBegun ? "the archive is cut off" : "it is no tar archive")
    }
    if block.allSatisfy({ $0 == 0 }) { return block }
    guard let sum = octal(block[TarBlock.checksum]), sum == TarBlock.sum(block) else {
      throw ArchiveError(
        isBegun
          ? "no tar header where one must be (the checksum is wrong)" : "it is no tar archive")
    }
    isBegun = true
    return block
  }

  private func readExactly(_ count: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      let n = try bytes.withUnsafeMutableBytes {
        try source(UnsafeMutableRawBufferPointer(rebasing: $0[done...]))
      }
      if n == 0 { break }
      done += n
    }
    bytes.removeSubrange(done...)
    return bytes
  }

  private func readRecord(_ size: UInt64, limit: UInt64) throws -> [UInt8] {
    guard size <= limit else { throw ArchiveError("a header record has \(size) bytes, too many") }
    let bytes = try readExactly(Int(size))
    let pad = try readExactly(Int((512 - size % 512) % 512))
    guard bytes.count == Int(size), pad.count == Int((512 - size % 512) % 512) else {
      throw ArchiveError("the archive is cut off")
    }
    return bytes
  }

  private func readText(_ size: UInt64) throws -> [UInt8] {
    Array(try readRecord(size, limit: TarReader.maxNameBytes).prefix { $0 != 0 })
  }

  // MARK: Fields

  private func parse(
    _ block: [UInt8], _ type: UInt8, _ size: UInt64, _ pax: PaxRecords,
    longName: [UInt8]?, longTarget: [UInt8]?
  ) throws -> TarMember {
    let isUstar = block[257..<263].elementsEqual(Array("ustar".utf8) + [0])
    var name = field(block, 0..<100)
    let prefix = isUstar ? field(block, 345..<500) : []
    if !prefix.isEmpty { name = prefix + [0x2f] + name }
    let path = pax["path"] ?? longName ?? name
    let target = pax["linkpath"] ?? longTarget ?? field(block, 157..<257)
    guard !path.contains(0), !target.contains(0), path.count <= 4096, target.count <= 4096 else {
      throw ArchiveError(member: path, "its name is too long or holds a NUL")
    }
    guard !pax.isSparse, type != 0x53 else {
      throw ArchiveError(member: path, "it is stored as a sparse file, which is not supported")
    }
    var kind: TarKind
    switch type {
    case 0x30, 0, 0x37: kind = path.last == 0x2f ? .directory : .file
    case 0x31: kind = .hardLink(target: target)
    case 0x32: kind = .symlink(target: target)
    case 0x33, 0x34:
      let major = try number32(block, 329..<337, "device", path)
      let minor = try number32(block, 337..<345, "device", path)
      kind =
        type == 0x33
        ? .characterDevice(major: major, minor: minor) : .blockDevice(major: major, minor: minor)
    case 0x35: kind = .directory
    case 0x36: kind = .fifo
    default:
      throw ArchiveError(
        member: path, "it is of type \(TarReader.spelled(type)), which is not supported")
    }
    var contentSize = kind == .file ? size : 0
    if kind == .file, let text = pax["size"] {
      guard let value = UInt64(digits: text) else {
        throw ArchiveError(member: path, "its pax size is no number")
      }
      contentSize = value
    }
    guard contentSize <= UInt64(Int64.max) else {
      throw ArchiveError(member: path, "its size is impossible")
    }
    let mode = try number(block, 100..<108, "mode", path)
    let modified = try modified(block, pax, path)
    return TarMember(
      path: path, kind: kind, mode: UInt16(mode & 0o7777),
      uid: try owner(pax["uid"], block, 108..<116, path),
      gid: try owner(pax["gid"], block, 116..<124, path), sizeBytes: contentSize,
      modifiedSeconds: modified.0, modifiedNanoseconds: modified.1, xattrs: pax.xattrs,
      comment: pax.comment, hasTextACL: pax.hasTextACL)
  }

  private func owner(
    _ pax: [UInt8]?, _ block: [UInt8], _ range: Range<Int>, _ path: [UInt8]
  ) throws -> UInt32 {
    guard let pax else { return try number32(block, range, "owner", path) }
    guard let value = UInt32(digits: pax) else {
      throw ArchiveError(member: path, "its pax owner is no number")
    }
    return value
  }

  private func modified(
    _ block: [UInt8], _ pax: PaxRecords, _ path: [UInt8]
  ) throws -> (Int64, UInt32) {
    guard let text = pax["mtime"] else {
      let seconds = try number(block, 136..<148, "time", path)
      return (Int64(bitPattern: seconds), 0)
    }
    let parts = String(decoding: text, as: UTF8.self).split(separator: ".", maxSplits: 1)
    guard let first = parts.first, let seconds = Int64(first) else {
      throw ArchiveError(member: path, "its pax time is no number")
    }
    guard parts.count == 2 else { return (seconds, 0) }
    let digits = parts[1].prefix(9)
    guard let fraction = UInt32(digits: digits.utf8) else {
      throw ArchiveError(member: path, "its pax time is no number")
    }
    var nanoseconds = fraction
    for _ in digits.count..<9 { nanoseconds *= 10 }
    if first.hasPrefix("-"), nanoseconds > 0 {
      let (earlier, overflow) = seconds.subtractingReportingOverflow(1)
      guard !overflow else { throw ArchiveError(member: path, "its pax time is out of range") }
      return (earlier, 1_000_000_000 - nanoseconds)
    }
    return (seconds, nanoseconds)
  }

  private func field(_ block: [UInt8], _ range: Range<Int>) -> [UInt8] {
    Array(block[range].prefix { $0 != 0 })
  }

  private func number32(
    _ block: [UInt8], _ range: Range<Int>, _ what: String, _ path: [UInt8]
  ) throws -> UInt32 {
    guard let value = UInt32(exactly: try number(block, range, what, path)) else {
      throw ArchiveError(member: path, "its \(what) is out of range")
    }
    return value
  }

  /// Octal text, or base-256 with the top bit set (a two's complement number).
  private func number(
    _ block: [UInt8], _ range: Range<Int>, _ what: String, _ path: [UInt8] = []
  ) throws -> UInt64 {
    let bytes = block[range]
    if let first = bytes.first, first & 0x80 != 0 {
      let isNegative = first & 0x40 != 0
      var value: UInt64 = isNegative ? .max : 0
      for (i, byte) in bytes.enumerated() {
        let digit = i == 0 ? (isNegative ? byte | 0x80 : byte & 0x7f) : byte
        if bytes.count - i > 8 {
          guard digit == (isNegative ? 0xff : 0) else {
            throw ArchiveError(member: path, "its \(what) is out of range")
          }
          continue
        }
        value = value << 8 | UInt64(digit)
      }
      return value
    }
    guard let value = octal(bytes) else {
      throw ArchiveError(member: path, "its \(what) is no number")
    }
    return UInt64(value)
  }

  private func octal(_ bytes: ArraySlice<UInt8>) -> Int? {
    let text = bytes.drop { $0 == 0x20 }.prefix { $0 != 0 && $0 != 0x20 }
    if text.isEmpty { return 0 }
    return Int(digits: text, radix: 8)
  }

  /// A type as a message may show it: it is any byte.
  private static func spelled(_ type: UInt8) -> String {
    if (0x21...0x7e).contains(type) { return "'\(Character(Unicode.Scalar(type)))'" }
    return "\\x" + (type < 16 ? "0" : "") + String(type, radix: 16)
  }
}

extension FixedWidthInteger {
  /// A number of digits only: no sign, no blanks, at least one digit.
  fileprivate init?(digits: some Sequence<UInt8>, radix: Int = 10) {
    let text = String(decoding: Array(digits), as: UTF8.self)
    guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    self.init(text, radix: radix)
  }
}
