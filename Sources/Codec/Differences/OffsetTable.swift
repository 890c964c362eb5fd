// A hash table of offsets of a buffer: where 8 given bytes may be.
//
// An entry has the number of an offset in its lower bits and some bits of the hash in its upper ones. So most
// lookups that find nothing do not touch the buffer. A later offset replaces an earlier one with the same
// hash.

/// Lists every 16th offset of a buffer. Belongs to one thread at a time.
final class OffsetTable {
  private static let stride = 16
  private static let maxLog = 18
  /// Enough for the offsets of the largest base, 16 MiB.
  private static let numberBits: UInt64 = 21

  private let entries = UnsafeMutablePointer<UInt32>.allocate(capacity: 1 << maxLog)

  /// Looks up the offsets of one buffer. Valid until its table lists those of another one.
  struct Reader {
    fileprivate let entries: UnsafeMutablePointer<UInt32>
    fileprivate let shift: UInt64

    @inline(__always)
    fileprivate func hash(_ word: UInt64) -> (slot: Int, tag: UInt32) {
      let hash = word &* 0x9e37_79b9_7f4a_7c15
      return (
        Int(truncatingIfNeeded: hash &>> shift),
        UInt32(truncatingIfNeeded: hash &>> 32) &<< UInt32(OffsetTable.numberBits)
      )
    }

    /// Returns an offset that may have these 8 bytes; nil if there is none.
    @inline(__always)
    func offset(of word: UInt64) -> Int? {
      let (slot, tag) = hash(word)
      let number = entries[slot] ^ tag
      guard number &>> UInt32(OffsetTable.numberBits) == 0, number > 0 else { return nil }
      return Int(number &- 1) &* OffsetTable.stride
    }
  }

  deinit { entries.deallocate() }

  /// Replaces the content by the offsets of a buffer of at most 16 MiB.
  func list(_ buffer: UnsafeRawBufferPointer) -> Reader {
    let count = buffer.count / OffsetTable.stride
    let log = min(max(Int.bitWidth - count.leadingZeroBitCount, 8), OffsetTable.maxLog)
    entries.update(repeating: 0, count: 1 << log)
    let reader = Reader(entries: entries, shift: UInt64(64 - log))
    var offset = 0
    while offset + 8 <= buffer.count {
      let (slot, tag) = reader.hash(word(buffer, offset))
      entries[slot] = tag | UInt32(truncatingIfNeeded: offset / OffsetTable.stride &+ 1)
      offset &+= OffsetTable.stride
    }
    return reader
  }
}
