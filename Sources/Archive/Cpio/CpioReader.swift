// Reads cpio archives in the forms "newc" and "crc", as GNU cpio, bsdcpio, busybox, pax and the
// kernel's tools write them.
//
// 1. The archive is hostile: every length is checked before use. A name is only bytes here; the caller
//    decides on its path and on which links belong together.
// 2. Content is streamed: `next` skips unread content. The sums of "crc" are checked in either case.
// 3. The end mark is required, and only zeros may follow. A truncated archive is an error, and so is a
//    second archive after the first, which the kernel would also unpack.

/// Reads members one by one.
public final class CpioReader {
  /// The longest target that kernels accept (PATH_MAX includes the NUL); gen_init_cpio's NUL may follow.
  static let maxTargetBytes = 4095

  private let source: ByteSource
  private var stream: ArchiveStream
  private var current: [UInt8] { stream.current }
  private var isBegun = false
  private var isEnded = false
  private var sum: UInt32 = 0
  private var expectedSum: UInt32?

  /// Creates a reader of a plain stream.
  public init(_ source: @escaping ByteSource) {
    self.source = source
    stream = ArchiveStream(source)
  }

  /// Returns the next member; nil after the end mark.
  /// - Throws: `ArchiveError`, and the source's errors.
  public func next() throws -> CpioMember? {
    if isEnded { return nil }
    try skipContent()
    let (header, isSummed) = try readHeader()
    let name = try readName(header)
    guard name != CpioFormat.endMark else {
      try expectZeros()
      isEnded = true
      return nil
    }
    stream.current = name
    let member = try parse(header, name)
    stream.remainingBytes = member.sizeBytes
    stream.padding = CpioMember.paddingBytes(after: member.sizeBytes)
    sum = 0
    // Links without content may have the sum of the content of another member.
    expectedSum = isSummed && member.sizeBytes > 0 ? header.sum : nil
    return member
  }

  /// Reads the current member's content, up to the size of `target`.
  /// - Returns: the number of bytes; 0 at the content's end.
  public func read(_ target: UnsafeMutableRawBufferPointer) throws -> Int {
    let n = try stream.readContent(target)
    if let expectedSum, n > 0 {
      for byte in target[..<n] { sum &+= UInt32(byte) }
      guard stream.remainingBytes > 0 || sum == expectedSum else {
        throw ArchiveError(member: current, "its content does not have the checksum of its header")
      }
    }
    return n
  }

  // MARK: Parts

  private func readHeader() throws -> (CpioHeader, isSummed: Bool) {
    let bytes = try stream.read(CpioHeader.size)
    guard isBegun || bytes.count >= 6 else { throw ArchiveError("it is not a cpio archive") }
    if bytes.isEmpty { throw endIsMissing() }
    let magic = Array(bytes.prefix(6))
    guard magic == CpioHeader.plain || magic == CpioHeader.summed else {
      throw ArchiveError(
        member: current,
        isBegun
          ? "a cpio header is missing, after \(describedCurrent)"
          : "it is not a cpio archive in the form newc (cpio -H newc)")
    }
    guard bytes.count == CpioHeader.size else { throw endIsMissing() }
    guard let header = CpioHeader(bytes) else {
      throw ArchiveError(
        member: current, "a number in the header after \(describedCurrent) is not hexadecimal")
    }
    isBegun = true
    return (header, magic == CpioHeader.summed)
  }

  private func readName(_ header: CpioHeader) throws -> [UInt8] {
    guard header.nameBytes > 1, header.nameBytes <= CpioFormat.maxNameBytes + 1 else {
      throw ArchiveError(
        member: current,
        "the name after \(describedCurrent) has \(header.nameBytes) bytes, which is impossible")
    }
    let count = Int(header.nameBytes)
    let pad = (4 - (CpioHeader.size + count) % 4) % 4
    var name = try stream.read(count + pad)
    guard name.count == count + pad else { throw endIsMissing() }
    name.removeLast(pad)
    guard name.popLast() == 0, !name.contains(0) else {
      throw ArchiveError(
        member: current, "the name after \(describedCurrent) holds a NUL, or does not end in one")
    }
    return name
  }

  private func parse(_ header: CpioHeader, _ name: [UInt8]) throws -> CpioMember {
    let kind: CpioKind
    switch header.mode & ~0o7777 {
    case 0o100000: kind = .file
    case 0o040000: kind = .directory
    case 0o120000: kind = .symlink(target: try readTarget(header))
    case 0o020000: kind = .characterDevice(major: header.nodeMajor, minor: header.nodeMinor)
    case 0o060000: kind = .blockDevice(major: header.nodeMajor, minor: header.nodeMinor)
    case 0o010000: kind = .fifo
    case 0o140000: kind = .socket
    default:
      throw ArchiveError(
        member: name, "its mode \(String(header.mode, radix: 8)) is of an unknown kind")
    }
    switch kind {
    case .file, .symlink: break
    default:
      guard header.contentBytes == 0 else {
        throw ArchiveError(member: name, "it has content, which only files have")
      }
    }
    guard header.uid != .max, header.gid != .max else {
      throw ArchiveError(member: name, "its owner is out of range")
    }
    switch kind {
    case .characterDevice(let major, let minor), .blockDevice(let major, let minor):
      guard major < 1 << 12, minor < 1 << 20 else {
        throw ArchiveError(member: name, "its device numbers are out of range")
      }
    default: break
    }
    return CpioMember(
      path: name, kind: kind, mode: UInt16(header.mode & 0o7777), uid: header.uid,
      gid: header.gid,
      inode: CpioInode(
        deviceMajor: header.deviceMajor, deviceMinor: header.deviceMinor, number: header.inode),
      links: header.links, modifiedSeconds: header.modified,
      sizeBytes: kind == .file ? UInt64(header.contentBytes) : 0)
  }

  private func readTarget(_ header: CpioHeader) throws -> [UInt8] {
    guard header.contentBytes > 0, header.contentBytes <= CpioReader.maxTargetBytes + 1 else {
      throw ArchiveError(
        member: current, "its link target has \(header.contentBytes) bytes, which is impossible")
    }
    let count = Int(header.contentBytes)
    var target = try stream.read(count + (4 - count % 4) % 4)
    guard target.count >= count else {
      throw stream.endsInsideMember
    }
    target.removeSubrange(count...)
    // The kernel's gen_init_cpio counts the NUL at the target's end.
    if target.last == 0 { target.removeLast() }
    guard !target.contains(0) else {
      throw ArchiveError(member: current, "its link target contains a NUL")
    }
    guard !target.isEmpty, target.count <= CpioReader.maxTargetBytes else {
      throw ArchiveError(
        member: current, "its link target has \(target.count) bytes, which is impossible")
    }
    return target
  }

  // MARK: Bytes

  private func skipContent() throws {
    if expectedSum != nil {
      var buffer = [UInt8](repeating: 0, count: 64 << 10)
      while try buffer.withUnsafeMutableBytes({ try read($0) }) > 0 {}
      expectedSum = nil
    }
    try stream.skipContent()
  }

  private func expectZeros() throws {
    guard try hasOnlyZerosLeft(source) else {
      throw ArchiveError("data follows the archive's end mark: more than one archive?")
    }
  }

  private var describedCurrent: String {
    isBegun ? "this member" : "the beginning"
  }

  private func endIsMissing() -> ArchiveError {
    ArchiveError(
      member: current,
      "the archive is cut off: it ends after this member, without the end mark TRAILER!!!")
  }
}
