// One header block of a tar archive, and the member that it and its pax records describe
// (POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar's manual, "Basic Tar Format").

/// A header block of 512 bytes.
struct TarHeader {
  /// The longest path or link target that kernels accept (PATH_MAX includes the NUL).
  static let maxPathBytes = 4096
  static let maxTargetBytes = 4095

  private let block: [UInt8]

  init(_ block: [UInt8]) { self.block = block }

  var type: UInt8 { block[156] }

  /// Whether the checksum is correct.
  var isSound: Bool {
    guard let sum = TarHeader.octal(block[TarBlock.checksum]) else { return false }
    return sum == TarBlock.sum(block) || sum == TarBlock.signedSum(block)
  }

  func size() throws -> UInt64 { try number(124..<136, "size", []) }

  /// Returns the number of content bytes in the archive.
  func storedBytes(_ pax: PaxRecords, _ size: UInt64) throws -> UInt64 {
    var stored = size
    if let text = pax["size"] {
      guard let value = UInt64(digits: text) else {
        throw ArchiveError(member: pax["path"] ?? name, "its pax size is not a number")
      }
      stored = value
    }
    guard stored <= UInt64(Int64.max) else {
      throw ArchiveError(member: pax["path"] ?? name, "its size is impossible")
    }
    return stored
  }

  // MARK: The member

  /// Returns the member that the block begins. The reader determines its content.
  func member(
    _ pax: PaxRecords, longName: [UInt8]?, longTarget: [UInt8]?
  ) throws -> TarMember {
    let path = pax.sparse["name"] ?? pax["path"] ?? longName ?? name
    let target = pax["linkpath"] ?? longTarget ?? field(157..<257)
    guard !path.contains(0), !target.contains(0), path.count <= TarHeader.maxPathBytes,
      target.count <= TarHeader.maxTargetBytes
    else { throw ArchiveError(member: path, "its name or target is too long or holds a NUL") }
    var unknown = pax.unknown
    let kind: TarKind
    switch type {
    case UInt8(ascii: "0"), 0, UInt8(ascii: "7"): kind = path.last == 0x2f ? .directory : .file
    case UInt8(ascii: "S"): kind = .file
    case UInt8(ascii: "1"): kind = .hardLink(target: target)
    case UInt8(ascii: "2"): kind = .symlink(target: target)
    case UInt8(ascii: "3"), UInt8(ascii: "4"):
      let major = try number32(329..<337, "device", path)
      let minor = try number32(337..<345, "device", path)
      guard major < 1 << 12, minor < 1 << 20 else {
        throw ArchiveError(member: path, "its device numbers are out of range")
      }
      kind =
        type == UInt8(ascii: "3")
        ? .characterDevice(major: major, minor: minor) : .blockDevice(major: major, minor: minor)
    case UInt8(ascii: "5"), UInt8(ascii: "D"): kind = .directory
    case UInt8(ascii: "6"): kind = .fifo
    case UInt8(ascii: "a")...UInt8(ascii: "z"):
      // POSIX: an unknown type is a file.
      kind = .file
      unknown.append("type \(TarHeader.spelled(type))")
    default:
      throw ArchiveError(
        member: path, "it is of type \(TarHeader.spelled(type)), which is not supported")
    }
    switch kind {
    case .symlink([]), .hardLink([]):
      throw ArchiveError(member: path, "it is a link without a target, which no file system holds")
    default: break
    }
    let modified = try modified(pax, path)
    var member = TarMember(
      path: path, kind: kind, mode: UInt16(try number(100..<108, "mode", path) & 0o7777),
      uid: try owner(pax["uid"], 108..<116, path), gid: try owner(pax["gid"], 116..<124, path),
      modifiedSeconds: modified.0, modifiedNanoseconds: modified.1, xattrs: pax.xattrs,
      comment: pax.comment)
    if let text = pax.accessList {
      member.accessList = AccessList(text: text)
      if member.accessList == nil { unknown.append("SCHILY.acl.access") }
    }
    if let text = pax.defaultList {
      member.defaultList = AccessList(text: text)
      if member.defaultList == nil { unknown.append("SCHILY.acl.default") }
    }
    member.unknown = unknown
    return member
  }

  private var name: [UInt8] {
    let isUstar = block[257..<263].elementsEqual(Array("ustar".utf8) + [0])
    let name = field(0..<100)
    let prefix = isUstar ? field(345..<500) : []
    return prefix.isEmpty ? name : prefix + [0x2f] + name
  }

  private func owner(_ pax: [UInt8]?, _ range: Range<Int>, _ path: [UInt8]) throws -> UInt32 {
    let value: UInt32
    if let pax {
      guard let number = UInt32(digits: pax) else {
        throw ArchiveError(member: path, "its pax owner is not a number")
      }
      value = number
    } else {
      value = try number32(range, "owner", path)
    }
    // chown(2) takes the largest number for "unchanged".
    guard value != .max else { throw ArchiveError(member: path, "its owner is out of range") }
    return value
  }

  private func modified(_ pax: PaxRecords, _ path: [UInt8]) throws -> (Int64, UInt32) {
    guard let bytes = pax["mtime"] else {
      return (Int64(bitPattern: try number(136..<148, "time", path)), 0)
    }
    let malformed = ArchiveError(member: path, "its pax time is not a number")
    var text = bytes[...]
    while text.last == 0x20 || text.last == 0 { text.removeLast() }
    let isNegative = text.first == 0x2d
    if isNegative { text.removeFirst() }
    let parts = text.split(separator: 0x2e, maxSplits: 1, omittingEmptySubsequences: false)
    guard let whole = parts.first, !whole.isEmpty || parts.count == 2 && !parts[1].isEmpty else {
      throw malformed
    }
    var seconds: Int64 = 0
    if !whole.isEmpty {
      guard let value = UInt64(digits: whole), value <= 1 << 63,
        isNegative || value < 1 << 63
      else { throw malformed }
      seconds = isNegative ? Int64(truncatingIfNeeded: 0 &- value) : Int64(value)
    }
    var nanoseconds: UInt32 = 0
    if parts.count == 2, !parts[1].isEmpty {
      let digits = parts[1].prefix(9)
      guard let fraction = UInt32(digits: digits), UInt64(digits: parts[1].prefix(19)) != nil else {
        throw malformed
      }
      nanoseconds = fraction
      for _ in digits.count..<9 { nanoseconds *= 10 }
    }
    guard isNegative, nanoseconds > 0 else { return (seconds, nanoseconds) }
    let (earlier, overflow) = seconds.subtractingReportingOverflow(1)
    guard !overflow else { throw ArchiveError(member: path, "its pax time is out of range") }
    return (earlier, 1_000_000_000 - nanoseconds)
  }

  // MARK: Sparse files of the old GNU form

  var hasMoreSparseNumbers: Bool { block[482] != 0 }

  func realSize(member: [UInt8]) throws -> UInt64 { try number(483..<495, "size", member) }

  func sparseNumbers(member: [UInt8]) throws -> [UInt64] {
    try TarHeader.sparseNumbers(block, at: 386, count: 4, member: member)
  }

  /// Returns alternating offsets and lengths, up to the first that is empty.
  static func sparseNumbers(
    _ block: [UInt8], at start: Int, count: Int, member: [UInt8]
  ) throws -> [UInt64] {
    var numbers: [UInt64] = []
    let header = TarHeader(block)
    for index in 0..<count {
      let offset = start + 24 * index
      if block[offset + 12] == 0 { break }
      numbers.append(try header.number(offset..<offset + 12, "map of a sparse file", member))
      numbers.append(try header.number(offset + 12..<offset + 24, "map of a sparse file", member))
    }
    return numbers
  }

  // MARK: Fields

  private func field(_ range: Range<Int>) -> [UInt8] { Array(block[range].prefix { $0 != 0 }) }

  private func number32(
    _ range: Range<Int>, _ what: String, _ path: [UInt8]
  ) throws -> UInt32 {
    guard let value = UInt32(exactly: try number(range, what, path)) else {
      throw ArchiveError(member: path, "its \(what) is out of range")
    }
    return value
  }

  /// Parses octal text, or base-256 with the top bit set (a two's complement number).
  private func number(_ range: Range<Int>, _ what: String, _ path: [UInt8]) throws -> UInt64 {
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
    guard let value = TarHeader.octal(bytes) else {
      throw ArchiveError(member: path, "its \(what) is not a number")
    }
    return UInt64(value)
  }

  private static func octal(_ bytes: ArraySlice<UInt8>) -> Int? {
    let text = bytes.drop { $0 == 0x20 || $0 == 0x09 }.prefix { $0 != 0 && $0 != 0x20 }
    if text.isEmpty { return 0 }
    return Int(digits: text, radix: 8)
  }

  /// Returns a type for a message: it may be any byte.
  private static func spelled(_ type: UInt8) -> String {
    if (0x21...0x7e).contains(type) { return "'\(Character(Unicode.Scalar(type)))'" }
    return "\\x" + (type < 16 ? "0" : "") + String(type, radix: 16)
  }
}

extension FixedWidthInteger {
  /// Parses a number of digits only: no sign, no blanks, at least one digit.
  init?(digits: some Sequence<UInt8>, radix: Int = 10) {
    let text = String(decoding: Array(digits), as: UTF8.self)
    guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    self.init(text, radix: radix)
  }
}
