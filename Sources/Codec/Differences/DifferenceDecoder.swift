// Restores a buffer from its base and a script of differences (DifferenceScript.swift).
//
// 1. Scripts are untrusted. Every number is checked before it is used: a script reads only its base and
//    itself, and writes only its target.
// 2. A script is accepted only if it fills the target exactly, is used up, and the result has its CRC-32. So
//    another base than that of the encoder is noticed.

/// Decodes scripts.
public enum DifferenceDecoder {
  /// Makes the buffer that the script describes. It must fill `target` exactly.
  /// - Throws: `CodecError`. The content of `target` is undefined then.
  public static func decode(
    _ script: UnsafeRawBufferPointer, base: UnsafeRawBufferPointer,
    into target: UnsafeMutableRawBufferPointer
  ) throws(CodecError) {
    var header = ByteReader(script)
    let copiesBytes = Int(try header.word32())
    let gapsBytes = Int(try header.word32())
    let changeCount = Int(try header.word32())
    let checksum = try header.word32()
    // At most 2^32 each, so the sum does not overflow.
    let literalsStart = DifferenceScript.headerBytes + copiesBytes + gapsBytes + 4 * changeCount
    guard literalsStart <= script.count else { throw .truncated }
    func part(_ start: Int, _ count: Int) -> UnsafeRawBufferPointer {
      UnsafeRawBufferPointer(rebasing: script[start..<start + count])
    }
    let copies = part(DifferenceScript.headerBytes, copiesBytes)
    let gaps = part(DifferenceScript.headerBytes + copiesBytes, gapsBytes)
    let changes = part(literalsStart - 4 * changeCount, 4 * changeCount)
    var literals = part(literalsStart, script.count - literalsStart)
    var patch = ChangeReader(gaps, changes, changeCount)
    try patch.advance()

    var reader = ByteReader(copies)
    var filled = 0
    var displacement = 0
    while !reader.isAtEnd {
      let literalCount = Int(
        try reader.varint(
          limit: UInt64(min(literals.count, target.count - filled)), "the number of literals"))
      append(UnsafeRawBufferPointer(rebasing: literals[..<literalCount]), to: target, at: filled)
      literals = UnsafeRawBufferPointer(rebasing: literals[literalCount...])
      filled += literalCount

      let count = Int(
        try reader.varint(limit: UInt64(target.count - filled), "the length of a copy"))
      let change = try reader.signed()
      let limit = Int64(base.count + target.count)
      guard (-limit...limit).contains(change) else { throw .corrupt("a copy is outside its base") }
      displacement += Int(change)
      let start = filled + displacement
      guard start >= 0, start <= base.count - count else {
        throw .corrupt("a copy is outside its base")
      }
      append(UnsafeRawBufferPointer(rebasing: base[start..<start + count]), to: target, at: filled)
      try patch.apply(
        to: UnsafeMutableRawBufferPointer(rebasing: target[filled..<filled + count]))
      filled += count
    }
    guard literals.count == target.count - filled else {
      throw .corrupt("the differences do not fill the frame")
    }
    append(literals, to: target, at: filled)
    guard patch.isAtEnd else { throw .corrupt("there are changes behind the last copy") }
    guard CRC32.of(UnsafeRawBufferPointer(target)) == checksum else {
      throw .corrupt("the checksum of the differences does not match")
    }
  }

  private static func append(
    _ source: UnsafeRawBufferPointer, to target: UnsafeMutableRawBufferPointer, at offset: Int
  ) {
    UnsafeMutableRawBufferPointer(rebasing: target[offset..<offset + source.count])
      .copyMemory(from: source)
  }
}

/// Reads the changes of a script, one after the other.
private struct ChangeReader {
  private var gaps: ByteReader
  /// The lowest bytes of all changes, then the second ones, and so on.
  private let bytes: UnsafeRawBufferPointer
  private let count: Int
  private var nextIndex = 0
  /// The copied bytes before the next change; nil if there is none.
  private var distance: Int?

  init(_ gaps: UnsafeRawBufferPointer, _ bytes: UnsafeRawBufferPointer, _ count: Int) {
    self.gaps = ByteReader(gaps)
    self.bytes = bytes
    self.count = count
  }

  var isAtEnd: Bool { distance == nil && gaps.isAtEnd }

  /// Reads the distance of the next change.
  mutating func advance() throws(CodecError) {
    distance =
      nextIndex < count ? Int(try gaps.varint(limit: UInt64(UInt32.max), "a gap")) : nil
  }

  /// Changes the words of a copy.
  mutating func apply(to copy: UnsafeMutableRawBufferPointer) throws(CodecError) {
    var offset = 0
    while let gap = distance {
      guard gap < copy.count - offset else {
        distance = gap - (copy.count - offset)
        return
      }
      offset += gap
      let width = min(4, copy.count - offset)
      change(UnsafeMutableRawBufferPointer(rebasing: copy[offset..<offset + width]))
      offset += width
      nextIndex += 1
      try advance()
    }
  }

  /// Adds the next change to a little-endian number.
  private func change(_ word: UnsafeMutableRawBufferPointer) {
    var zigzag: UInt32 = 0
    for i in 0..<4 { zigzag |= UInt32(bytes[i * count + nextIndex]) << (8 * UInt32(i)) }
    let change = (zigzag >> 1) ^ (0 &- (zigzag & 1))
    if word.count == 4 {
      let old = UInt32(littleEndian: word.loadUnaligned(as: UInt32.self))
      word.storeBytes(of: (old &+ change).littleEndian, as: UInt32.self)
      return
    }
    var value: UInt32 = 0
    for i in word.indices { value |= UInt32(word[i]) << (8 * UInt32(i)) }
    value &+= change
    for i in word.indices { word[i] = UInt8(truncatingIfNeeded: value >> (8 * UInt32(i))) }
  }
}
