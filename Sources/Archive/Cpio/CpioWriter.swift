// Writes cpio archives in the form "newc", byte for byte as GNU `cpio -H newc -o` does. The same
// members give the same bytes.

import Codec

/// Writes members one by one.
public final class CpioWriter {
  private static let blockBytes: UInt64 = 512

  private let sink: ByteSink
  private var remainingBytes: UInt64 = 0
  private var padding = 0
  private var written: UInt64 = 0

  /// Creates a writer.
  public init(_ sink: @escaping ByteSink) { self.sink = sink }

  /// Begins a member; exactly `member.sizeBytes` of content must follow.
  /// - Throws: `ArchiveError` for members that the form cannot hold (a file of 4 GiB or more, an empty
  ///   or too long name, the name of the end mark), and the sink's errors.
  public func begin(_ member: CpioMember) throws {
    try endMember()
    guard !member.path.isEmpty, member.path.count <= CpioFormat.maxNameBytes,
      !member.path.contains(0), member.path != CpioFormat.endMark
    else {
      throw ArchiveError(
        member: member.path,
        member.path == CpioFormat.endMark
          ? "a cpio archive cannot have a member of this name, which marks an archive's end: rename it, or "
            + "use the method tar"
          : "no cpio archive can hold this name: it is empty, over \(CpioFormat.maxNameBytes) bytes, or "
            + "has a NUL")
    }
    var target: [UInt8] = []
    var device: (major: UInt32, minor: UInt32) = (0, 0)
    let kindBits: UInt32
    switch member.kind {
    case .file: kindBits = 0o100000
    case .directory: kindBits = 0o040000
    case .symlink(let t): (kindBits, target) = (0o120000, t)
    case .characterDevice(let major, let minor): (kindBits, device) = (0o020000, (major, minor))
    case .blockDevice(let major, let minor): (kindBits, device) = (0o060000, (major, minor))
    case .fifo: kindBits = 0o010000
    case .socket: kindBits = 0o140000
    }
    let content = member.kind == .file ? member.sizeBytes : UInt64(target.count)
    guard content <= CpioFormat.maxFileBytes, member.kind == .file || member.sizeBytes == 0 else {
      throw ArchiveError(
        member: member.path,
        "it has \(member.sizeBytes) bytes, and a cpio archive holds files of less than 4 GiB")
    }
    var header = CpioHeader()
    header.inode = member.inode.number
    header.mode = kindBits | UInt32(member.mode & 0o7777)
    header.uid = member.uid
    header.gid = member.gid
    header.links = member.links
    header.modified = member.modifiedSeconds
    header.contentBytes = UInt32(content)
    header.deviceMajor = member.inode.deviceMajor
    header.deviceMinor = member.inode.deviceMinor
    header.nodeMajor = device.major
    header.nodeMinor = device.minor
    try emit(header, name: member.path)
    remainingBytes = content
    padding = Int((4 - content % 4) % 4)
    if !target.isEmpty { try target.withUnsafeBytes { try write($0) } }
  }

  /// Writes content of the current member.
  public func write(_ bytes: UnsafeRawBufferPointer) throws {
    guard UInt64(bytes.count) <= remainingBytes else {
      throw ArchiveError("a member has more content than its header says")
    }
    remainingBytes -= UInt64(bytes.count)
    try emit(bytes)
  }

  /// Writes the end mark, padded to a block of 512 bytes.
  public func finish() throws {
    try endMember()
    var header = CpioHeader()
    header.links = 1
    try emit(header, name: CpioFormat.endMark)
    let rest = (CpioWriter.blockBytes - written % CpioWriter.blockBytes) % CpioWriter.blockBytes
    try emit([UInt8](repeating: 0, count: Int(rest)))
  }

  private func endMember() throws {
    guard remainingBytes == 0 else {
      throw ArchiveError("a member has less content than its header says")
    }
    try emit([UInt8](repeating: 0, count: padding))
    padding = 0
  }

  private func emit(_ header: CpioHeader, name: [UInt8]) throws {
    var header = header
    header.nameBytes = UInt32(name.count + 1)
    let pad = (4 - (CpioHeader.size + name.count + 1) % 4) % 4
    try emit(header.bytes + name + [UInt8](repeating: 0, count: 1 + pad))
  }

  private func emit(_ bytes: [UInt8]) throws {
    if !bytes.isEmpty { try bytes.withUnsafeBytes { try emit($0) } }
  }

  private func emit(_ bytes: UnsafeRawBufferPointer) throws {
    written += UInt64(bytes.count)
    try sink(bytes)
  }
}
