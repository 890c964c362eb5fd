// Reads tar archives of every common form: v7, ustar, GNU (long names, base-256 numbers, sparse
// files), and pax (also sparse files). `TarHeader` parses the fields of a block.
//
// 1. The archive is hostile: every length is checked before use, and names and records have limits. A
//    name is only bytes here; the caller decides on its path.
// 2. Content is streamed: `next` skips unread content. Holes of sparse files are read as zeros.
// 3. Members that no file system can hold (such as a link without a target) are refused.

/// Reads members one by one.
public final class TarReader {
  static let maxNameBytes: UInt64 = 64 << 10
  /// The maximum of consecutive header records before a member.
  static let maxHeaders = 16

  var stream: ArchiveStream
  private var sparse: SparseMap?
  /// For a sparse member: the next byte of the file, and the part that contains it or follows it.
  private var position: UInt64 = 0
  private var partIndex = 0
  private var current: [UInt8] { stream.current }
  /// Whether a header was found: the stream is a tar archive.
  private var isBegun = false
  private var globalPax = PaxRecords()
  /// Whether the archive's end mark was read. A stream that ends without it may be truncated.
  public private(set) var hasEndMark = false

  /// Creates a reader of a plain stream.
  public init(_ source: @escaping ByteSource) { stream = ArchiveStream(source) }

  /// Returns the next member; nil at the end.
  /// - Throws: `ArchiveError`, and the source's errors.
  public func next() throws -> TarMember? {
    sparse = nil
    try stream.skipContent()
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
        // A global comment belongs to the archive, not to every member.
        globalPax.comment = nil
        pax.comment = nil
      case UInt8(ascii: "V"), UInt8(ascii: "N"):
        // A label of the archive, or a list of names of old GNU tars.
        _ = try readRecord(size, limit: PaxRecords.maxBytes)
      case UInt8(ascii: "A"):
        _ = try readRecord(size, limit: PaxRecords.maxBytes)
        pax.note(unknown: "access control list of Solaris")
      default:
        var member = try header.member(pax, longName: longName, longTarget: longTarget)
        stream.current = member.path
        try begin(&member, header, pax, storedBytes: try header.storedBytes(pax, size))
        return member
      }
    }
  }

  /// Reads the current member's content, up to the size of `target`.
  /// - Returns: the number of bytes; 0 at the content's end.
  public func read(_ target: UnsafeMutableRawBufferPointer) throws -> Int {
    guard let sparse else { return try stream.readContent(target) }
    while partIndex < sparse.parts.count, position >= sparse.parts[partIndex].upperBound {
      partIndex += 1
    }
    let part = partIndex < sparse.parts.count ? sparse.parts[partIndex] : nil
    if let part, position >= part.lowerBound {
      let count = Int(min(part.upperBound - position, UInt64(target.count)))
      let n = try stream.readContent(UnsafeMutableRawBufferPointer(rebasing: target[..<count]))
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

  /// Continues at an offset of a sparse member's content, after a hole.
  public func skipHole(upTo offset: UInt64) {
    guard let sparse, offset > position, offset <= sparse.sizeBytes else { return }
    let part = sparse.parts[partIndex...].first { $0.upperBound > position }
    position = min(offset, max(part?.lowerBound ?? sparse.sizeBytes, position))
  }

  // MARK: Members

  /// Prepares for a member's content: reads maps of sparse files, and determines whether content
  /// follows a hard link.
  private func begin(
    _ member: inout TarMember, _ header: TarHeader, _ pax: PaxRecords, storedBytes: UInt64
  ) throws {
    stream.remainingBytes = storedBytes
    stream.padding = TarMember.paddingBytes(after: storedBytes)
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
      // Writers disagree whether the size of a hard link means content here, or at its target.
      if storedBytes > 0, pax["size"] == nil, try isHeaderNext() {
        (stream.remainingBytes, stream.padding) = (0, 0)
      }
      member.sizeBytes = stream.remainingBytes
    case .directory where header.type == UInt8(ascii: "D"): break
    default: (stream.remainingBytes, stream.padding) = (0, 0)
    }
  }

  /// Returns whether a header follows, without consuming the block.
  private func isHeaderNext() throws -> Bool {
    let block = try stream.read(TarBlock.size)
    stream.unread(block)
    return block.count < TarBlock.size || block.allSatisfy { $0 == 0 } || TarHeader(block).isSound
  }

  // MARK: Blocks

  private func readBlock() throws -> [UInt8]? {
    let block = try stream.read(TarBlock.size)
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
          "a tar header is missing after this member (the checksum is wrong)")
        : ArchiveFormat.notTar(block)
    }
    isBegun = true
    return block
  }

  private func readRecord(_ size: UInt64, limit: UInt64) throws -> [UInt8] {
    guard size <= limit else { throw ArchiveError("a header record has \(size) bytes, too many") }
    let padding = TarMember.paddingBytes(after: size)
    let bytes = try stream.read(Int(size) + padding)
    guard bytes.count == Int(size) + padding else { throw ArchiveError("the archive is cut off") }
    return bytes.dropLast(padding)
  }

  private func readText(_ size: UInt64) throws -> [UInt8] {
    Array(try readRecord(size, limit: TarReader.maxNameBytes).prefix { $0 != 0 })
  }
}
