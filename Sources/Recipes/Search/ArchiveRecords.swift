// Splits an archive into records: framing, content and padding. Plans of archives consist of them.
//
// 1. Only lengths are interpreted. The records, concatenated, equal the stream, whatever it contains.
// 2. If the stream is not an archive, or stops being one, the rest is a single content.
// 3. Memory: 1 MiB.

import Archive

/// Reads a stream as records. Belongs to one thread at a time.
final class ArchiveRecords {
  enum Form: Sendable {
    case cpio
    case tar
    case other

    /// The size of the header of most records.
    var headerBytes: Int {
      switch self {
      case .cpio: 110
      case .tar: 512
      case .other: 0
      }
    }
  }

  struct Record {
    var literal: [UInt8] = []
    /// The number of content bytes that follow; nil for the rest of the stream.
    var contentBytes: UInt64? = 0
  }

  /// The maximum size of contents that stay in the framing: the name of a blob would be as long.
  static let inlineBytes: UInt64 = 64
  /// The maximum size of tar's extended headers that stay in the framing.
  private static let maxExtensionBytes: UInt64 = 512 << 10
  private static let maxZeros = 64 << 10

  let form: Form
  private let source: ByteSource
  private let buffer: UnsafeMutableRawBufferPointer
  private var buffered: Range<Int> = 0..<0
  private var isSourceAtEnd = false
  /// The unread bytes of the current content; nil for the rest of the stream.
  private var left: UInt64? = 0
  private var paddingBytes = 0
  private var isOver = false
  private var isLost = false

  init(_ source: @escaping ByteSource) throws {
    self.source = source
    buffer = .allocate(byteCount: 1 << 20, alignment: 64)
    let memory = buffer
    // Detect the format from the first bytes before `self` is initialized.
    var count = 0
    while count < 512 {
      let n = try source(UnsafeMutableRawBufferPointer(rebasing: memory[count...]))
      if n == 0 {
        isSourceAtEnd = true
        break
      }
      count += n
    }
    buffered = 0..<count
    let head = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(memory)[..<count])
    if ArchiveRecords.isCpio(head) {
      form = .cpio
    } else if ArchiveRecords.isTar(head) {
      form = .tar
    } else {
      form = .other
    }
  }

  deinit { buffer.deallocate() }

  // MARK: Records

  /// Returns the next record, or nil at the end. The content of the previous record must have been read.
  func next() throws -> Record? {
    if isOver { return nil }
    try ensureBuffered(form == .other ? 1 : 110)
    if buffered.isEmpty {
      isOver = true
      return nil
    }
    if isLost || form == .other { return rest() }
    return form == .cpio ? try nextCpio() : try nextTar()
  }

  /// Reads content of the current record.
  /// - Returns: the number of bytes; 0 at its end.
  func read(_ target: UnsafeMutableRawBufferPointer) throws -> Int {
    if target.isEmpty || left == 0 { return 0 }
    try ensureBuffered(1)
    let count = min(buffered.count, target.count, left.map { Int(clamping: $0) } ?? Int.max)
    if count == 0 {
      // The archive is truncated inside a content.
      left = 0
      isOver = true
      return 0
    }
    target.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes.prefix(count)))
    drop(count)
    if let before = left { left = before - UInt64(count) }
    return count
  }

  /// Returns the number of zeros after the content, up to its padding. Call it once, after the
  /// content was read.
  func padding() throws -> Int {
    let expected = paddingBytes
    paddingBytes = 0
    if expected == 0 { return 0 }
    try ensureBuffered(expected)
    let zeros = bytes.prefix(expected).prefix { $0 == 0 }.count
    drop(zeros)
    if zeros < expected { isLost = true }
    return zeros
  }

  private func rest() -> Record {
    isOver = true
    left = nil
    paddingBytes = 0
    return Record(contentBytes: nil)
  }

  private func begin(_ headerBytes: Int, contentBytes: UInt64, align: UInt64, inline: UInt64)
    throws -> Record
  {
    try ensureBuffered(headerBytes)
    guard buffered.count >= headerBytes else { return rest() }
    var record = Record(literal: Array(bytes.prefix(headerBytes)), contentBytes: contentBytes)
    drop(headerBytes)
    paddingBytes = Int((align - contentBytes % align) % align)
    left = contentBytes
    if contentBytes <= inline {
      try ensureBuffered(Int(contentBytes))
      let count = min(buffered.count, Int(contentBytes))
      record.literal += bytes.prefix(count)
      drop(count)
      record.contentBytes = 0
      left = 0
    }
    return record
  }

  /// Returns the zeros between archives and after the last one.
  private func zeros() throws -> Record? {
    try ensureBuffered(ArchiveRecords.maxZeros)
    let count = bytes.prefix(ArchiveRecords.maxZeros).prefix { $0 == 0 }.count
    if count == 0 { return nil }
    left = 0
    paddingBytes = count
    return Record()
  }

  // MARK: Forms

  private static func isCpio(_ head: UnsafeRawBufferPointer) -> Bool {
    head.count >= 110 && head.starts(with: Array("07070".utf8))
      && (head[5] == 0x31 || head[5] == 0x32)
  }

  private func nextCpio() throws -> Record? {
    let head = bytes
    guard ArchiveRecords.isCpio(head), let content = hex(head, 54), let name = hex(head, 94),
      name <= 64 << 10
    else { return try zeros() ?? rest() }
    let header = (110 + Int(name) + 3) / 4 * 4
    return try begin(
      header, contentBytes: UInt64(content), align: 4, inline: ArchiveRecords.inlineBytes)
  }

  private func hex(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> UInt32? {
    var value: UInt32 = 0
    for byte in bytes[at..<at + 8] {
      let digit: UInt8
      switch byte {
      case 0x30...0x39: digit = byte - 0x30
      case 0x41...0x46: digit = byte - 0x41 + 10
      case 0x61...0x66: digit = byte - 0x61 + 10
      default: return nil
      }
      value = value << 4 | UInt32(digit)
    }
    return value
  }

  /// Returns whether a header has a correct checksum (POSIX, ustar).
  private static func isTar(_ head: UnsafeRawBufferPointer) -> Bool {
    guard head.count >= 512, let sum = octal(head[148..<156]) else { return false }
    var own: UInt64 = 8 * 0x20
    for i in 0..<512 where !(148..<156).contains(i) { own += UInt64(head[i]) }
    return own == sum
  }

  private static func octal(_ field: Slice<UnsafeRawBufferPointer>) -> UInt64? {
    var value: UInt64 = 0
    var digits = 0
    for byte in field {
      switch byte {
      case 0x30...0x37:
        guard value < 1 << 60 else { return nil }
        value = value << 3 | UInt64(byte - 0x30)
        digits += 1
      case 0x20, 0: if digits > 0 { return value }
      default: return nil
      }
    }
    return digits > 0 ? value : nil
  }

  /// Returns the size field: octal, or GNU's binary form from 8 GiB.
  private static func size(_ head: UnsafeRawBufferPointer) -> UInt64? {
    guard head[124] & 0x80 != 0 else { return octal(head[124..<136]) }
    guard head[124] == 0x80, head[125..<128].allSatisfy({ $0 == 0 }) else { return nil }
    let value = head[128..<136].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    return value < 1 << 60 ? value : nil
  }

  private func nextTar() throws -> Record? {
    try ensureBuffered(512)
    let head = bytes
    guard ArchiveRecords.isTar(head), let size = ArchiveRecords.size(head) else {
      return try zeros() ?? rest()
    }
    // Links, devices, directories and fifos have no content, whatever their size field says.
    let hasContent = !(0x31...0x36).contains(head[156])
    // GNU's long names and pax headers are framing themselves.
    let isExtension = [0x4b, 0x4c, 0x67, 0x78].contains(head[156])
    return try begin(
      512, contentBytes: hasContent ? size : 0, align: 512,
      inline: isExtension ? ArchiveRecords.maxExtensionBytes : ArchiveRecords.inlineBytes)
  }

  // MARK: Bytes

  private var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[buffered])
  }

  private func drop(_ count: Int) { buffered = buffered.lowerBound + count..<buffered.upperBound }

  /// Buffers at least `count` bytes, or all that remain.
  private func ensureBuffered(_ count: Int) throws {
    guard buffered.count < count, !isSourceAtEnd else { return }
    if buffered.lowerBound + count > buffer.count || buffered.isEmpty, let base = buffer.baseAddress
    {
      base.copyMemory(from: base + buffered.lowerBound, byteCount: buffered.count)
      buffered = 0..<buffered.count
    }
    while buffered.count < count, buffered.upperBound < buffer.count {
      let n = try source(UnsafeMutableRawBufferPointer(rebasing: buffer[buffered.upperBound...]))
      if n == 0 {
        isSourceAtEnd = true
        return
      }
      buffered = buffered.lowerBound..<buffered.upperBound + n
    }
  }
}
