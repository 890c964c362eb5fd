// The walk over cpio archives in the forms of Linux's initramfs: 070701 and 070702
// (Documentation/driver-api/early-userspace/buffer-format.rst).

extension ArchiveWalk {
  private struct CpioField {
    static let inode = 6, mode = 14, links = 38, size = 54, deviceMajor = 62, nameSize = 94
    static let sum = 102
  }

  private func hex(_ header: [UInt8], _ offset: Int) throws -> UInt32 {
    try header[offset..<offset + 8].reduce(0) { value, digit in
      let digit = digit
      switch digit {
      case 0x30...0x39: return value << 4 | UInt32(digit - 0x30)
      case 0x41...0x46: return value << 4 | UInt32(digit - 0x41 + 10)
      case 0x61...0x66: return value << 4 | UInt32(digit - 0x61 + 10)
      default: throw ArchiveError("a number in a cpio header is not hexadecimal")
      }
    }
  }

  private func exactly(_ count: Int, _ reader: PeekingReader) throws -> [UInt8] {
    let bytes = try reader.take(count)
    guard bytes.count == count else { throw ArchiveError("the cpio archive is cut off") }
    return bytes
  }

  /// A member whose header was read.
  private struct CpioEntry {
    var member: WalkedMember
    /// The header, and the name with its padding.
    var header: [UInt8]
    let name: [UInt8]
    let isSymlink: Bool
  }

  /// Walks one archive, to its end mark.
  func walkCpio(_ reader: PeekingReader, _ sink: ByteSink?) throws {
    while let entry = try nextEntry(reader, sink) {
      let member = entry.member
      if entry.isSymlink || (member.isFile && member.sizeBytes > 0 && visitor.wantsContent(member))
      {
        try visitContent(of: entry, reader, sink)
      } else {
        try pass(entry, reader, sink)
      }
    }
  }

  /// Reads a header; nil for the end mark.
  private func nextEntry(_ reader: PeekingReader, _ sink: ByteSink?) throws -> CpioEntry? {
    let header = try exactly(110, reader)
    guard ArchiveWalk.cpioMagics.contains(where: { header.starts(with: $0) }) else {
      throw ArchiveError("a cpio header is missing")
    }
    let nameBytes = Int(try hex(header, CpioField.nameSize))
    guard nameBytes > 1, nameBytes <= 4097 else {
      throw ArchiveError("a name of \(nameBytes) bytes in a cpio archive is impossible")
    }
    let name = try exactly(nameBytes + (4 - (110 + nameBytes) % 4) % 4, reader)
    let path = Array(name.prefix(nameBytes - 1).prefix { $0 != 0 })
    let size = UInt64(try hex(header, CpioField.size))
    if path == CpioFormat.endMark {
      try emit(header + name, sink)
      return nil
    }
    let kind = try hex(header, CpioField.mode) & 0o170000
    var member = WalkedMember(
      path: path, isFile: kind == 0o100000, sizeBytes: size, number: number)
    number += 1
    if try hex(header, CpioField.links) > 1, member.isFile {
      member.inode =
        Array(header[CpioField.inode..<CpioField.inode + 8])
        + header[CpioField.deviceMajor..<CpioField.deviceMajor + 16]
    }
    return CpioEntry(
      member: member, header: header, name: name, isSymlink: kind == 0o120000 && size <= 4096)
  }

  /// Shows a link with its target, or a file with its content, to the visitor.
  private func visitContent(
    of entry: CpioEntry, _ reader: PeekingReader, _ sink: ByteSink?
  ) throws {
    var (header, member) = (entry.header, entry.member)
    let content = try exactly(Int(member.sizeBytes), reader)
    let padding = try exactly(CpioMember.paddingBytes(after: member.sizeBytes), reader)
    if entry.isSymlink { member.linkTarget = content }
    let action = try visitor.visit(member, entry.isSymlink ? nil : content)
    if action == .leftOut { return }
    guard !entry.isSymlink, case .replaced(let bytes) = action else {
      return try emit(header + entry.name + content + padding, sink)
    }
    ArchiveWalk.put(UInt32(clamping: bytes.count), in: &header, at: CpioField.size)
    if header.starts(with: ArchiveWalk.cpioMagics[1]) {
      let sum = bytes.reduce(UInt32(0)) { $0 &+ UInt32($1) }
      ArchiveWalk.put(sum, in: &header, at: CpioField.sum)
    }
    try emit(header + entry.name + CpioMember.padded(bytes), sink)
  }

  /// Shows a member to the visitor, and copies or skips its content.
  private func pass(_ entry: CpioEntry, _ reader: PeekingReader, _ sink: ByteSink?) throws {
    let member = entry.member
    let action = try visitor.visit(member, nil)
    let output = action == .leftOut ? nil : sink
    try emit(entry.header + entry.name, output)
    let content = RemainingBytes(member.sizeBytes)
    if member.isFile, member.sizeBytes > 0 {
      // Content that the visitor reads is also copied to the output.
      try visitor.look(member) { target in
        try content.read(target, from: { try reader.read($0) }, passingTo: output)
      }
    }
    try content.drain(from: { try reader.read($0) }, passingTo: output)
    guard content.count == 0 else {
      throw ArchiveError(member: member.path, "the cpio archive is cut off")
    }
    try emit(try exactly(CpioMember.paddingBytes(after: member.sizeBytes), reader), output)
  }

  private static func put(_ value: UInt32, in header: inout [UInt8], at offset: Int) {
    let digits = Array("0123456789abcdef".utf8)
    for i in 0..<8 { header[offset + i] = digits[Int(value >> UInt32(28 - 4 * i) & 15)] }
  }
}

/// The unread content of a member.
private final class RemainingBytes {
  private(set) var count: UInt64
  init(_ count: UInt64) { self.count = count }

  func read(
    _ target: UnsafeMutableRawBufferPointer, from source: ByteSource, passingTo sink: ByteSink?
  ) throws -> Int {
    let size = Int(min(UInt64(target.count), count))
    if size == 0 { return 0 }
    let part = UnsafeMutableRawBufferPointer(rebasing: target[..<size])
    let n = try source(part)
    count -= UInt64(n)
    if n > 0 { try sink?(UnsafeRawBufferPointer(rebasing: part[..<n])) }
    return n
  }

  func drain(from source: ByteSource, passingTo sink: ByteSink?) throws {
    if count == 0 { return }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)
    defer { buffer.deallocate() }
    while count > 0, try read(buffer, from: source, passingTo: sink) > 0 {}
  }
}
