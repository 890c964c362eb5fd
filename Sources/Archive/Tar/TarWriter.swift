// Writes tar archives in GNU form, which every tar reads: long names as 'L' and 'K' members, and
// numbers that do not fit in octal as base-256. Data that the GNU form cannot carry (extended
// attributes, nanoseconds, a comment) is in a pax header before the member; other members have none.
// The same members give the same bytes.

import Codec

/// Writes members one by one.
public final class TarWriter {
  private let sink: ByteSink
  private var remainingBytes: UInt64 = 0
  private var padding = 0
  private var written: UInt64 = 0

  /// Creates a writer.
  public init(_ sink: @escaping ByteSink) { self.sink = sink }

  /// Begins a member; exactly `member.sizeBytes` of content must follow.
  /// - Throws: the sink's errors.
  public func begin(_ member: TarMember) throws {
    try endMember()
    let records = PaxRecords.needed(for: member)
    guard records.count <= PaxRecords.maxBytes else {
      throw ArchiveError(
        member: member.path, "its extended attributes have \(records.count) bytes, too many")
    }
    if !records.isEmpty { try writeExtended(0x78, "././@PaxHeader", records) }
    if member.path.count > 100 { try writeExtended(0x4c, "././@LongLink", member.path + [0]) }
    var type: UInt8
    var target: [UInt8] = []
    var device: (UInt32, UInt32)?
    switch member.kind {
    case .file: type = 0x30
    case .directory: type = 0x35
    case .symlink(let t): (type, target) = (0x32, t)
    case .hardLink(let t): (type, target) = (0x31, t)
    case .characterDevice(let major, let minor): (type, device) = (0x33, (major, minor))
    case .blockDevice(let major, let minor): (type, device) = (0x34, (major, minor))
    case .fifo: type = 0x36
    }
    if target.count > 100 { try writeExtended(0x4b, "././@LongLink", target + [0]) }
    try writeHeader(
      type, member.path, target, mode: UInt64(member.mode), uid: UInt64(member.uid),
      gid: UInt64(member.gid), size: member.sizeBytes, seconds: member.modifiedSeconds,
      device: device)
    remainingBytes = member.sizeBytes
    padding = Int((512 - member.sizeBytes % 512) % 512)
  }

  /// Writes content of the current member.
  public func write(_ bytes: UnsafeRawBufferPointer) throws {
    guard UInt64(bytes.count) <= remainingBytes else {
      throw ArchiveError("a member has more content than its header says")
    }
    remainingBytes -= UInt64(bytes.count)
    try emit(bytes)
  }

  /// Writes the end mark: two blocks of zeros, padded to a record of 10 KiB.
  public func finish() throws {
    try endMember()
    try emit([UInt8](repeating: 0, count: 1024))
    let rest = Int((10240 - written % 10240) % 10240)
    if rest > 0 { try emit([UInt8](repeating: 0, count: rest)) }
  }

  private func endMember() throws {
    guard remainingBytes == 0 else {
      throw ArchiveError("a member has less content than its header says")
    }
    if padding > 0 { try emit([UInt8](repeating: 0, count: padding)) }
    padding = 0
  }

  /// Writes a header that describes the next one.
  private func writeExtended(_ type: UInt8, _ name: String, _ bytes: [UInt8]) throws {
    try writeHeader(
      type, Array(name.utf8), [], mode: 0, uid: 0, gid: 0, size: UInt64(bytes.count), seconds: 0,
      device: nil)
    try emit(bytes + [UInt8](repeating: 0, count: (512 - bytes.count % 512) % 512))
  }

  private func writeHeader(
    _ type: UInt8, _ path: [UInt8], _ target: [UInt8], mode: UInt64, uid: UInt64, gid: UInt64,
    size: UInt64, seconds: Int64, device: (UInt32, UInt32)?
  ) throws {
    var block = [UInt8](repeating: 0, count: TarBlock.size)
    func put(_ bytes: some Collection<UInt8>, at offset: Int) {
      block.replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }
    put(path.prefix(100), at: 0)
    put(number(mode, 8), at: 100)
    put(number(uid, 8), at: 108)
    put(number(gid, 8), at: 116)
    put(number(size, 12), at: 124)
    put(seconds >= 0 ? number(UInt64(seconds), 12) : base256(seconds, 12), at: 136)
    block[156] = type
    put(target.prefix(100), at: 157)
    put(Array("ustar  ".utf8) + [0], at: 257)
    if uid == 0 { put(Array("root".utf8), at: 265) }
    if gid == 0 { put(Array("root".utf8), at: 297) }
    if let device {
      put(number(UInt64(device.0), 8), at: 329)
      put(number(UInt64(device.1), 8), at: 337)
    }
    let digits = String(TarBlock.sum(block), radix: 8)
    put(
      Array((String(repeating: "0", count: 6 - digits.count) + digits).utf8) + [0, 0x20], at: 148)
    try emit(block)
  }

  /// Returns octal digits and a NUL, or base-256 if they do not fit.
  private func number(_ value: UInt64, _ width: Int) -> [UInt8] {
    let digits = Array(String(value, radix: 8).utf8)
    guard digits.count < width else { return base256(Int64(clamping: value), width) }
    return [UInt8](repeating: 0x30, count: width - 1 - digits.count) + digits + [0]
  }

  private func base256(_ value: Int64, _ width: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: value < 0 ? 0xff : 0, count: width)
    for i in 0..<8 where i < width {
      bytes[width - 1 - i] = UInt8(truncatingIfNeeded: value >> (8 * Int64(i)))
    }
    bytes[0] |= 0x80
    return bytes
  }

  private func emit(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try emit($0) } }

  private func emit(_ bytes: UnsafeRawBufferPointer) throws {
    written += UInt64(bytes.count)
    try sink(bytes)
  }
}
