// Finds the ends of imgstore's own segments in a deflate stream: after each empty stored block.

import Codec

/// The indices of boundaries that end a segment, in order.
struct SegmentEnds: Sequence {
  private let boundaries: [InflateBlockScanner.Boundary]

  init(_ boundaries: [InflateBlockScanner.Boundary]) { self.boundaries = boundaries }

  struct Iterator: IteratorProtocol {
    fileprivate let boundaries: [InflateBlockScanner.Boundary]
    fileprivate var index = 0

    /// An empty stored block decodes to nothing and takes three bits, padding, and four bytes.
    mutating func next() -> Int? {
      while index + 1 < boundaries.count {
        index += 1
        let (before, after) = (boundaries[index - 1], boundaries[index])
        let bits = after.bitOffset - before.bitOffset
        if after.plainOffset == before.plainOffset, after.bitOffset % 8 == 0, bits >= 35, bits <= 42
        {
          return index
        }
      }
      return nil
    }
  }

  func makeIterator() -> Iterator { Iterator(boundaries: boundaries) }
}
