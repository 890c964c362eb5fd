// Archives written byte by byte, so that every field can have a false value that no tool would write.
// POSIX.1-2017 "pax" (ustar and extended headers), GNU tar (long names, base-256), cpio(5) newc,
// RFC 1952. Only tests use this.

import Codec

/// A tar archive under construction.
public struct RawTar: Sendable {
  public private(set) var bytes: [UInt8] = []

  public init() {}

  /// Appends a header block with a right checksum, unless `spoil` is set.
  /// - Parameters:
  ///   - size: the value of the size field; no content is appended for it.
  ///   - edit: changes the block before its checksum is made.
  public mutating func header(
    _ name: [UInt8], type: Character = "0", size: Int = 0, mode: Int = 0o644, link: String = "",
    spoil: Bool = false, _ edit: (inout RawBlock) -> Void = { _ in }
  ) {
    var block = RawBlock()
    block.put(Array(name.prefix(100)), at: 0)
    block.putOctal(mode, at: 100, width: 8)
    block.putOctal(0, at: 108, width: 8)
    block.putOctal(0, at: 116, width: 8)
    block.putOctal(size, at: 124, width: 12)
    block.putOctal(1_700_000_000, at: 136, width: 12)
    block.put([type.asciiValue ?? 0], at: 156)
    block.put(Array(link.utf8.prefix(100)), at: 157)
    block.put(Array("ustar\u{0}00".utf8), at: 257)
    edit(&block)
    var sum = 0
    for (i, byte) in block.bytes.enumerated() { sum += (148..<156).contains(i) ? 32 : Int(byte) }
    block.putOctal(spoil ? sum ^ 1 : sum, at: 148, width: 7)
    block.put([0x20], at: 155)
    bytes += block.bytes
  }

  public mutating func header(
    _ name: String, type: Character = "0", size: Int = 0, mode: Int = 0o644, link: String = "",
    spoil: Bool = false, _ edit: (inout RawBlock) -> Void = { _ in }
  ) {
    header(
      Array(name.utf8), type: type, size: size, mode: mode, link: link, spoil: spoil, edit)
  }

  /// Appends bytes, filled up to a block.
  public mutating func content(_ content: [UInt8]) {
    bytes += content
    bytes += [UInt8](repeating: 0, count: (512 - content.count % 512) % 512)
  }

  public mutating func raw(_ more: [UInt8]) { bytes += more }

  public mutating func file(_ name: String, _ text: String, mode: Int = 0o644) {
    file(name, Array(text.utf8), mode: mode)
  }

  public mutating func file(_ name: String, _ data: [UInt8], mode: Int = 0o644) {
    header(name, size: data.count, mode: mode)
    content(data)
  }

  public mutating func directory(_ name: String) { header(name, type: "5", mode: 0o755) }

  /// A pax extended header with right lengths.
  public mutating func pax(_ records: [(String, String)], type: Character = "x") {
    rawPax(records.flatMap { paxRecord($0.0, Array($0.1.utf8)) }, type: type)
  }

  /// A pax extended header with any content.
  public mutating func rawPax(_ data: [UInt8], type: Character = "x") {
    header("PaxHeaders/x", type: type, size: data.count)
    content(data)
  }

  /// A GNU long name.
  public mutating func longName(_ name: String) {
    let data = Array(name.utf8) + [0]
    header("././@LongLink", type: "L", size: data.count)
    content(data)
  }

  /// A GNU long target of a link.
  public mutating func longTarget(_ name: String) {
    let data = Array(name.utf8) + [0]
    header("././@LongLink", type: "K", size: data.count)
    content(data)
  }

  /// The two blocks of zeros.
  public mutating func end() { bytes += [UInt8](repeating: 0, count: 1024) }
}

/// One header block.
public struct RawBlock: Sendable {
  public private(set) var bytes = [UInt8](repeating: 0, count: 512)

  public mutating func put(_ field: [UInt8], at offset: Int) {
    bytes.replaceSubrange(offset..<offset + field.count, with: field)
  }

  public mutating func putOctal(_ value: Int, at offset: Int, width: Int) {
    let digits = String(value, radix: 8)
    let text = String(repeating: "0", count: max(0, width - 1 - digits.count)) + digits
    put(Array(text.utf8.suffix(width - 1)) + [0], at: offset)
  }
}

/// "LENGTH KEY=VALUE\n", LENGTH counting itself.
public func paxRecord(_ key: String, _ value: [UInt8]) -> [UInt8] {
  let rest = key.utf8.count + value.count + 3
  var length = rest + 1
  while String(length).utf8.count + rest != length { length = String(length).utf8.count + rest }
  return Array("\(length) \(key)=".utf8) + value + [0x0a]
}

/// A cpio archive in newc form.
public struct RawCpio: Sendable {
  public private(set) var bytes: [UInt8] = []
  private var inode = 1

  public init() {}

  /// - Parameter mode: type and permission bits, as in `st_mode`.
  public mutating func entry(
    _ name: String, mode: Int, _ data: [UInt8] = [], links: Int = 1, claimedSize: Int? = nil,
    claimedNameSize: Int? = nil, inode: Int? = nil, uid: Int = 0,
    device: (major: Int, minor: Int) = (0, 0)
  ) {
    func hex(_ value: Int) -> [UInt8] {
      let digits = String(value, radix: 16, uppercase: true)
      return Array((String(repeating: "0", count: max(0, 8 - digits.count)) + digits).utf8)
    }
    bytes += Array("070701".utf8)
    for value in [
      inode ?? self.inode, mode, uid, 0, links, 1_700_000_000, claimedSize ?? data.count, 0, 0,
      device.major, device.minor, claimedNameSize ?? name.utf8.count + 1, 0,
    ] { bytes += hex(value) }
    bytes += Array(name.utf8) + [0]
    pad()
    bytes += data
    pad()
    self.inode += 1
  }

  public mutating func end() { entry("TRAILER!!!", mode: 0) }

  private mutating func pad() {
    bytes += [UInt8](repeating: 0, count: (4 - bytes.count % 4) % 4)
  }
}

/// One gzip member.
public func gzip(_ data: [UInt8], level: Int32 = 1) -> [UInt8] {
  var out: [UInt8] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]
  let deflater = Deflater(level: level)
  do {
    try data.withUnsafeBytes { try deflater.write($0) { out += $0 } }
    try deflater.finish { out += $0 }
  } catch {
    preconditionFailure("a deflater that writes to memory failed: \(error)")
  }
  for value in [CRC32.of(data), UInt32(truncatingIfNeeded: data.count)] {
    for shift in stride(from: 0, to: 32, by: 8) { out.append(UInt8(value >> shift & 0xff)) }
  }
  return out
}
