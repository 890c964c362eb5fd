// The encoded form of differences (docs/format.md, "Differences").
//
//     u32 bytes of the copies | u32 bytes of the gaps | u32 number of changes | CRC-32 of the result
//     | per copy: varint literals before it, varint bytes, signed varint change of the displacement
//     | per change: varint copied bytes since the change before
//     | the lowest byte of each change | the second | the third | the highest
//     | the literals
//
// A change is a number of 32 bits in zigzag form. Most are small, so most of their higher bytes are 0. Parts
// of one kind are together, because they compress better than mixed ones.

/// Says how to make a buffer from a base.
public struct DifferenceScript {
  static let headerBytes = 16

  /// The encoded script.
  public let bytes: [UInt8]
  /// The offsets in `bytes` where a part ends, ascending; the last one is the length. A compressor gives each
  /// part statistics of its own.
  public let partEnds: [Int]

  /// The parts of a script.
  struct Parts {
    private(set) var copies = ByteWriter()
    private(set) var gaps = ByteWriter()
    private(set) var changes: [UInt32] = []
    private(set) var literals: [UInt8] = []

    /// The length of the encoded script.
    var countBytes: Int {
      headerBytes + copies.bytes.count + gaps.bytes.count + 4 * changes.count + literals.count
    }

    /// Removes everything and keeps the memory.
    mutating func removeAll() {
      copies.removeAll()
      gaps.removeAll()
      changes.removeAll(keepingCapacity: true)
      literals.removeAll(keepingCapacity: true)
    }

    /// Adds the literals before a copy.
    mutating func add(_ new: UnsafeRawBufferPointer, literals range: Range<Int>) {
      literals.append(contentsOf: UnsafeRawBufferPointer(rebasing: new[range]))
      copies.varint(range.count)
    }

    /// Adds a copy, after its literals.
    mutating func add(copyBytes: Int, displacementChange: Int) {
      copies.varint(copyBytes)
      copies.signed(Int64(displacementChange))
    }

    /// Adds a changed word.
    mutating func add(gapBytes: Int, change: UInt32) {
      gaps.varint(gapBytes)
      changes.append((change << 1) ^ (0 &- (change >> 31)))
    }

    /// Adds the literals behind the last copy.
    mutating func add(_ new: UnsafeRawBufferPointer, remainingLiterals range: Range<Int>) {
      literals.append(contentsOf: UnsafeRawBufferPointer(rebasing: new[range]))
    }
  }

  /// Encodes a script.
  /// - Parameter writer: memory to reuse; its content is replaced.
  init(_ parts: Parts, checksum: UInt32, _ writer: inout ByteWriter) {
    let copies = parts.copies.bytes
    let gaps = parts.gaps.bytes
    writer.removeAll()
    writer.reserve(parts.countBytes)
    writer.word32(UInt32(copies.count))
    writer.word32(UInt32(gaps.count))
    writer.word32(UInt32(parts.changes.count))
    writer.word32(checksum)
    var ends: [Int] = []
    func endPart(_ writer: ByteWriter) {
      if writer.bytes.count > ends.last ?? 0 { ends.append(writer.bytes.count) }
    }
    writer.raw(copies)
    endPart(writer)
    writer.raw(gaps)
    endPart(writer)
    for shift: UInt32 in [0, 8, 16, 24] {
      writer.raw(parts.changes.lazy.map { UInt8(truncatingIfNeeded: $0 >> shift) })
      endPart(writer)
    }
    writer.raw(parts.literals)
    endPart(writer)
    bytes = writer.bytes
    partEnds = ends
  }
}
