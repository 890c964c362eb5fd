// Reads tar archives of every common form: v7, ustar, GNU (long names, base-256 numbers, sparse files),
// pax (sparse files too). `TarHeader` reads the fields of a block.
//
// 1. The archive is hostile: every length is checked before it is used, names and records have
//    limits, and a name is only bytes here; where it may lead is for the caller to decide.
// 2. Content is streamed: `next` skips what was not read. Holes of sparse files are read as zeros.
// 3. What no file system can hold (a link without a target, for one) is refused here.

import Codec

/// Reads members one by one.
public final class TarReader {
  static let maxNameBytes: UInt64 = 64 << 10
  /// Header records in a row before a member must follow.
  static let maxHeaders = 16

  private let source: ByteSource
  /// A block that was read to see what follows.
  private var ahead: ArraySlice<UInt8> = []
  /// Stored bytes of the current member.
  private var left: UInt64 = 0
  private var padding = 0
  private var sparse: SparseMap?
  /// Of a sparse member: the next byte of the file, and the part that it is in or before.
  private var position: UInt64 = 0
  private var partIndex = 0
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
      let header = TarHeader(block)
      let size = try header.size()
      switch header.type {
      case UInt8(ascii: "L"): longName = try readText(size)
      case UInt8(ascii: "K"): longTarget = try readText(size)
      case UInt8(ascii: "x"), UInt8(ascii: "X"):
        try pax.parse(try readRecord(size, limit: PaxRecords.maxBytes))
      case UInt8(ascii: "g"):
        let records = try readRecord(size, limit: PaxRecords.maxBytes)
        try globalPax.parse(records)
        try pax.parse(records)
        // A global comment is the archive's, not every member's.
        globalPax.comment = nil
        pax.comment = nil
      case UInt8(ascii: "V"), UInt8(ascii: "N"):
        // A label of the archive; a list of names that old GNU tars wrote.
        _ = try readRecord(size, limit: PaxRecords.maxBytes)
      case UInt8(ascii: "A"):
        _ = try readRecord(size, limit: PaxRecords.maxBytes)
        pax.note(unknown: "access control list of Solaris")
      default:
        var member = try header.member(pax, longName: longName, longTarget: longTarget)
        current = member.path
        try begin(&member, header, pax, storedBytes: try header.storedBytes(pax, size))
        return member
      }
    }
  }

  /// Fills as much of `target` as there is of the current member's content.
  /// - Returns: how many bytes; 0 at the content's end.
  public func read(_ target: UnsafeMutableRawBufferPointer) throws -> Int {
    guard let sparse else { return try readStored(target) }
    while partIndex < sparse.parts.count, position >= sparse.parts[partIndex].upperBound {
      partIndex += 1
    }
    let part = partIndex < sparse.parts.count ? sparse.parts[partIndex] : nil
    if let part, position >= part.lowerBound {
      let count = Int(min(part.upperBound - position, UInt64(target.count)))
      let n = try readStored(UnsafeMutableRawBufferPointer(rebasing: target[..<count]))
      position += UInt64(n)
      return n
    }
    let limit = part?.lowerBound ?? sparse.sizeBytes
    let count = Int(min(limit - position, UInt64(target.count)))
    UnsafeMutableRawBufferPointer(rebasing: target[..<count])
      .initializeMemory(as: UInt8.self, repeating: 0)
    position += UInt64(count)
    return count
  }

  /// Goes on at an offset of a sparse member's content, over a hole.
  public func skipHole(upTo offset: UInt64) {
    guard let sparse, offset > position, offset <= sparse.sizeBytes else { return }
    let part = sparse.parts[partIndex...].first { $0.upperBound > position }
    position = min(offset, max(part?.lowerBound ?? sparse.sizeBytes, position))
  }

  private func readStored(_ target: UnsafeMutableRawBufferPointer) throws -> Int {
    let wanted = Int(min(left, UInt64(target.count)))
    if wanted == 0 { return 0 }
    let n = try fill(UnsafeMutableRawBufferPointer(rebasing: target[..<wanted]))
    guard n > 0 else { throw ArchiveError(member: current, "the archive ends inside this member") }
    left -= UInt64(n)
    return n
  }

  // MARK: Members

  /// Gets ready for a member's content: reads maps of sparse files, and finds out whether content
  /// follows a hard link.
  private func begin(
    _ member: inout TarMember, _ header: TarHeader, _ pax: PaxRecords, storedBytes: UInt64
  ) throws {
    (left, padding) = (storedBytes, Int((512 - storedBytes % 512) % 512))
    (sparse, position, partIndex) = (nil, 0, 0)
    switch member.kind {
    case .file:
      member.sizeBytes = storedBytes
      if let map = try sparseMap(header, pax, member) {
        sparse = map
        member.sparse = map
        member.sizeBytes = map.sizeBytes
      }
    case .hardLink:
      // Writers disagree whether the size of a hard link is that of content here, or elsewhere.
      if storedBytes > 0, pax["size"] == nil, try isHeaderNext() { (left, padding) = (0, 0) }
      member.sizeBytes = left
    case .directory where header.type == UInt8(ascii: "D"): break
    default: (left, padding) = (0, 0)
    }
  }

  private func sparseMap(
    _ header: TarHeader, _ pax: PaxRecords, _ member: TarMember
  ) throws -> SparseMap? {
    if header.type == UInt8(ascii: "S") {
      var numbers = try header.sparseNumbers(member: member.path)
      var isExtended = header.hasMoreSparseNumbers
      while isExtended {
        guard numbers.count <= 2 * SparseMap.maxParts else {
          throw ArchiveError(member: member.path, "its map of a sparse file is too long")
        }
        let block = try readExactly(TarBlock.size)
        guard block.count == TarBlock.size else {
          throw ArchiveError(member: member.path, "the archive ends inside this member")
        }
        numbers += try TarHeader.sparseNumbers(
          block, at: 0, count: 21, member: member.path)
        isExtended = block[504] != 0
      }
      return try SparseMap(
        numbers, sizeBytes: try header.realSize(member: member.path), storedBytes: left,
        member: member.path)
    }
    if pax.sparse.isEmpty, pax.sparseNumbers.isEmpty { return nil }
    func number(_ key: String) throws(ArchiveError) -> UInt64? {
      guard let text = pax.sparse[key] else { return nil }
      guard let value = UInt64(decimal: text) else {
        throw ArchiveError(member: member.path, "its map of a sparse file is malformed")
      }
      return value
    }
    guard let size = try number("realsize") ?? number("size") else {
      throw ArchiveError(member: member.path, "its map of a sparse file has no size")
    }
    if let major = try number("major") {
      guard major == 1, try number("minor") == 0 else {
        throw ArchiveError(
          member: member.path, "it is a sparse file of the form \(major), which is not supported")
      }
      let numbers = try readMap(member.path)
      return try SparseMap(
        numbers, sizeBytes: size, storedBytes: left, member: member.path)
    }
    var numbers = pax.sparseNumbers
    if let text = pax.sparse["map"] {
      numbers = try text.split(separator: 0x2c, omittingEmptySubsequences: false)
        .map { part throws(ArchiveError) -> UInt64 in
          guard let value = UInt64(decimal: part) else {
            throw ArchiveError(member: member.path, "its map of a sparse file is malformed")
          }
          return value
        }
    }
    return try SparseMap(numbers, sizeBytes: size, storedBytes: left, member: member.path)
  }

  /// The map of pax 1.0: lines of decimal digits before the content, filled up to a block.
  private func readMap(_ path: [UInt8]) throws -> [UInt64] {
    var block: ArraySlice<UInt8> = []
    func line() throws -> UInt64 {
      var digits: [UInt8] = []
      while true {
        if block.isEmpty {
          guard left >= 512 else {
            throw ArchiveError(member: path, "its map of a sparse file is cut off")
          }
          block = try readExactly(512)[...]
          guard block.count == 512 else {
            throw ArchiveError(member: path, "the archive ends inside this member")
          }
          left -= 512
        }
        let byte = block.removeFirst()
        if byte == 0x0a { break }
        guard digits.count < 20 else { break }
        digits.append(byte)
      }
      guard let value = UInt64(decimal: digits) else {
        throw ArchiveError(member: path, "its map of a sparse file is malformed")
      }
      return value
    }
    let count = try line()
    guard count <= UInt64(SparseMap.maxParts) else {
      throw ArchiveError(member: path, "its map of a sparse file is too long")
    }
    var numbers: [UInt64] = []
    for _ in 0..<2 * count { numbers.append(try line()) }
    return numbers
  }

  /// Looks at the next block, which stays to be read.
  private func isHeaderNext() throws -> Bool {
    let block = try readExactly(TarBlock.size)
    ahead = block[...]
    return block.count < TarBlock.size || block.allSatisfy { $0 == 0 } || TarHeader(block).isSound
  }

  // MARK: Blocks

  private func skipContent() throws {
    var rest = left + UInt64(padding)
    left = 0
    padding = 0
    sparse = nil
    var buffer = [UInt8](repeating: 0, count: Int(min(rest, 64 << 10)))
    while rest > 0 {
      let n = try buffer.withUnsafeMutableBytes { buffer in
        try fill(
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
      throw isBegun
        ? ArchiveError(member: current, "the archive is cut off after this member")
        : ArchiveFormat.notTar(block)
    }
    if block.allSatisfy({ $0 == 0 }) { return block }
    guard TarHeader(block).isSound else {
      throw isBegun
        ? ArchiveError(
          member: current,
          "no tar header follows this member where one must be (the checksum is wrong)")
        : ArchiveFormat.notTar(block)
    }
    isBegun = true
    return block
  }

  private func readExactly(_ count: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      let n = try bytes.withUnsafeMutableBytes {
        try fill(UnsafeMutableRawBufferPointer(rebasing: $0[done...]))
      }
      if n == 0 { break }
      done += n
    }
    bytes.removeSubrange(done...)
    return bytes
  }

  /// The next bytes: those that were read ahead first.
  private func fill(_ target: UnsafeMutableRawBufferPointer) throws -> Int {
    if ahead.isEmpty { return try source(target) }
    let n = min(ahead.count, target.count)
    target.copyBytes(from: ahead.prefix(n))
    ahead.removeFirst(n)
    return n
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
}
