// The headers of tar archives in GNU form, which every tar reads: long names as 'L' and 'K' members, and
// numbers that do not fit in octal as base-256. Data that the GNU form cannot carry (extended
// attributes, nanoseconds, a comment) is in a pax header before the member; other members have none.

extension TarMember: ArchiveMember {
  public static var unitBytes: UInt64 { UInt64(TarBlock.size) }

  public func header() throws(ArchiveError) -> [UInt8] {
    let records = PaxRecords.needed(for: self)
    guard records.count <= PaxRecords.maxBytes else {
      throw ArchiveError(
        member: path, "its extended attributes have \(records.count) bytes, too many")
    }
    var header: [UInt8] = []
    if !records.isEmpty { header += TarMember.extending(0x78, "././@PaxHeader", records) }
    if path.count > 100 { header += TarMember.extending(0x4c, "././@LongLink", path + [0]) }
    let type: UInt8
    var target: [UInt8] = []
    var device: (UInt32, UInt32)?
    switch kind {
    case .file: type = 0x30
    case .directory: type = 0x35
    case .symlink(let t): (type, target) = (0x32, t)
    case .hardLink(let t): (type, target) = (0x31, t)
    case .characterDevice(let major, let minor): (type, device) = (0x33, (major, minor))
    case .blockDevice(let major, let minor): (type, device) = (0x34, (major, minor))
    case .fifo: type = 0x36
    }
    if target.count > 100 { header += TarMember.extending(0x4b, "././@LongLink", target + [0]) }
    return header + block(type, target: target, device: device)
  }

  /// Returns the end mark: two blocks of zeros, padded to a record of 10 KiB.
  public static func end(after totalBytes: UInt64) -> [UInt8] {
    let rest = (10240 - (totalBytes + 1024) % 10240) % 10240
    return [UInt8](repeating: 0, count: 1024 + Int(rest))
  }

  /// Returns a header that describes the next one, with its content.
  private static func extending(_ type: UInt8, _ name: String, _ bytes: [UInt8]) -> [UInt8] {
    let member = TarMember(
      path: Array(name.utf8), kind: .file, mode: 0, sizeBytes: UInt64(bytes.count))
    return member.block(type) + padded(bytes)
  }

  /// Returns the block of one header, without the headers that extend it.
  private func block(
    _ type: UInt8, target: [UInt8] = [], device: (UInt32, UInt32)? = nil
  ) -> [UInt8] {
    var block = [UInt8](repeating: 0, count: TarBlock.size)
    func put(_ bytes: some Collection<UInt8>, at offset: Int) {
      block.replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }
    put(path.prefix(100), at: 0)
    put(number(UInt64(mode), 8), at: 100)
    put(number(UInt64(uid), 8), at: 108)
    put(number(UInt64(gid), 8), at: 116)
    put(number(sizeBytes, 12), at: 124)
    let seconds = modifiedSeconds
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
    return block
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
}
