// GNU gzip's search for matches, and the ends of its blocks (gzip 1.12, deflate.c and `ct_tally` of trees.c).
//
// 1. Symbols before the part are dropped: they only bring the chains and the search into gzip's state.
// 2. Positions count from the start of the input, which is a multiple of half a window in the stream.

/// One pass over an input.
struct GnuMatchSearch {
  private static let minMatch = 3
  private static let maxMatch = 258
  private static let minLookahead = maxMatch + minMatch + 1
  private static let maxDistance = GnuDeflater.windowBytes - minLookahead
  /// The distance from which on a match of three bytes does not pay.
  private static let farDistance = 4096
  static let slackBytes = maxMatch + 16

  /// The limits of the search at a level.
  private struct Limits {
    /// The length of a match from which on a second search is shorter.
    var good: Int
    /// The length from which on no second search follows; at levels 1 to 3, the largest length of matches
    /// whose positions are entered into the chains.
    var lazy: Int
    /// The length that ends a search.
    var nice: Int
    /// The number of positions that a search compares.
    var chain: Int
  }

  private static let limits = [
    Limits(good: 4, lazy: 4, nice: 8, chain: 4), Limits(good: 4, lazy: 5, nice: 16, chain: 8),
    Limits(good: 4, lazy: 6, nice: 32, chain: 32), Limits(good: 4, lazy: 4, nice: 16, chain: 16),
    Limits(good: 8, lazy: 16, nice: 32, chain: 32),
    Limits(good: 8, lazy: 16, nice: 128, chain: 128),
    Limits(good: 8, lazy: 32, nice: 128, chain: 256),
    Limits(good: 32, lazy: 128, nice: 258, chain: 1024),
    Limits(good: 32, lazy: 258, nice: 258, chain: 4096),
  ]

  private let bytes: UnsafePointer<UInt8>
  private let count: Int
  private let slack: UnsafeMutableRawBufferPointer?
  private let part: Range<Int>
  private let isLast: Bool
  private var limits = limits[0]
  private var estimatesBlocks = false

  /// The start of the window, and the end of the bytes that were read into it.
  private var windowStart = 0
  private var windowEnd: Int
  private var isAtEnd: Bool
  private var position = 0
  private var matchStart = 0
  private var blockStart = 0
  /// Whether the part was reached. Symbols before it are dropped.
  private var isWriting: Bool
  /// Whether the pass must stop.
  private var isOver = false
  /// Whether the last block of the part was written.
  private(set) var isComplete = false

  init(
    bytes: UnsafePointer<UInt8>, count: Int, slack: UnsafeMutableRawBufferPointer?,
    part: Range<Int>,
    isLast: Bool
  ) {
    self.bytes = bytes
    self.count = count
    self.slack = slack
    self.part = part
    self.isLast = isLast
    windowEnd = min(count, 2 * GnuDeflater.windowBytes)
    isAtEnd = count == 0
    isWriting = part.lowerBound == 0
  }

  mutating func run(_ level: Int, _ chains: GnuHashChains, _ writer: DeflateBlockWriter) {
    limits = GnuMatchSearch.limits[level - 1]
    estimatesBlocks = level > 2
    ensureLookahead()
    if level > 3 { searchLazily(chains, writer) } else { searchOnce(chains, writer) }
    if !isOver, isWriting, isLast {
      endBlock(writer, at: position, isLast: true)
      isComplete = true
    }
  }

  // MARK: The window

  /// Moves the window when the search has reached its end, and reads more of the input.
  private mutating func ensureLookahead() {
    while windowEnd - position < GnuMatchSearch.minLookahead, !isAtEnd {
      if position - windowStart >= GnuDeflater.windowBytes + GnuMatchSearch.maxDistance {
        windowStart += GnuDeflater.windowBytes
      }
      let end = min(count, windowStart + 2 * GnuDeflater.windowBytes)
      isAtEnd = end == windowEnd
      windowEnd = end
      if isAtEnd { fillSlack() }
    }
    // Without the end of the part as the end of a block, the output differs anyway.
    if !isLast, position >= part.upperBound + GnuMatchSearch.maxMatch { isOver = true }
  }

  /// Fills the slack with what gzip's window has after the input: two zeros, then older bytes if the window
  /// has moved.
  private func fillSlack() {
    guard let slack, windowStart > 0 else { return }
    for index in 2..<GnuMatchSearch.slackBytes {
      let source = count + index - GnuDeflater.windowBytes
      if source >= 0 { slack[count + index] = slack[source] }
    }
  }

  // MARK: Blocks

  /// Ends the block if GNU gzip would.
  @inline(__always)
  private mutating func endBlockIfNeeded(
    _ writer: DeflateBlockWriter, _ isNeeded: Bool, at end: Int
  ) {
    guard isWriting else {
      if end < part.lowerBound { return }
      // The block at the start of the part must begin with a new symbol.
      if end > part.lowerBound {
        isOver = true
        return
      }
      isWriting = true
      blockStart = end
      return
    }
    guard isNeeded else { return }
    endBlock(writer, at: end, isLast: false)
    if !isLast, end >= part.upperBound {
      isOver = true
      isComplete = end == part.upperBound
    }
  }

  private mutating func endBlock(_ writer: DeflateBlockWriter, at end: Int, isLast: Bool) {
    let isInWindow = blockStart >= windowStart
    writer.endBlock(
      plain: isInWindow
        ? UnsafeRawBufferPointer(start: bytes + blockStart, count: end - blockStart) : nil,
      plainBytes: end - blockStart, isLast: isLast)
    blockStart = end
  }

  /// Returns whether the block ends after a symbol, as gzip's `ct_tally` does. From level 3 on, each 4096th
  /// symbol ends a block of mainly literals that compresses to less than half.
  @inline(__always) private func isBlockFull(_ writer: DeflateBlockWriter) -> Bool {
    if writer.isFull { return true }
    guard estimatesBlocks, writer.symbolCount & 0xfff == 0 else { return false }
    return writer.matchCount < writer.symbolCount / 2
      && writer.estimatedBytes < (position - blockStart) / 2
  }

  @inline(__always)
  private func add(_ writer: DeflateBlockWriter, length: Int, distance: Int) -> Bool {
    guard isWriting else { return false }
    writer.add(length: length, distance: distance)
    return isBlockFull(writer)
  }

  @inline(__always) private func add(_ writer: DeflateBlockWriter, literal: UInt8) -> Bool {
    guard isWriting else { return false }
    writer.add(literal: literal)
    return isBlockFull(writer)
  }

  // MARK: Matches

  /// Enters a position into the chains.
  /// - Returns: the preceding position with the same hash; negative if there is none.
  @inline(__always) private func insert(_ chains: GnuHashChains, _ position: Int) -> Int {
    let hash =
      (Int(bytes[position]) &<< 10 ^ Int(bytes[position &+ 1]) &<< 5 ^ Int(bytes[position &+ 2]))
      & (1 << GnuHashChains.hashBits - 1)
    let head = chains.heads[hash]
    chains.previous[position & (GnuDeflater.windowBytes - 1)] = head
    chains.heads[hash] = Int32(truncatingIfNeeded: position)
    return Int(head)
  }

  @inline(__always) private func isSearchable(_ head: Int) -> Bool {
    head > windowStart && position &- head <= GnuMatchSearch.maxDistance
      && position &- windowStart <= 2 * GnuDeflater.windowBytes - GnuMatchSearch.minLookahead
  }

  /// Finds the longest match that is longer than `known`, and sets `matchStart` to the first of that length.
  /// - Returns: its length within the window, or `known`.
  @inline(__always)
  private mutating func longestMatch(_ chains: GnuHashChains, _ head: Int, _ known: Int) -> Int {
    var best = known
    var left = known >= limits.good ? limits.chain >> 2 : limits.chain
    let oldest = max(position &- GnuMatchSearch.maxDistance, windowStart)
    let scan = bytes + position
    var candidate = head
    var end = (scan + best - 1).loadPair()
    let start = scan.loadPair()
    repeat {
      let match = bytes + candidate
      if (match + best - 1).loadPair() == end, match.loadPair() == start {
        let length = GnuMatchSearch.commonLength(scan, match)
        if length > best {
          matchStart = candidate
          best = length
          if length >= limits.nice { break }
          end = (scan + best - 1).loadPair()
        }
      }
      candidate = Int(chains.previous[candidate & (GnuDeflater.windowBytes - 1)])
      left &-= 1
    } while candidate > oldest && left != 0
    return min(best, windowEnd &- position)
  }

  /// Returns the number of equal bytes, at most `maxMatch`.
  @inline(__always)
  private static func commonLength(_ a: UnsafePointer<UInt8>, _ b: UnsafePointer<UInt8>) -> Int {
    var length = 0
    while length < maxMatch {
      let difference =
        UnsafeRawPointer(a + length).loadUnaligned(as: UInt64.self)
        ^ UnsafeRawPointer(b + length).loadUnaligned(as: UInt64.self)
      if difference != 0 {
        return min(
          length &+ UInt64(littleEndian: difference).trailingZeroBitCount &>> 3, maxMatch)
      }
      length &+= 8
    }
    return maxMatch
  }

  /// Levels 1 to 3: each match is taken as it is found.
  private mutating func searchOnce(_ chains: GnuHashChains, _ writer: DeflateBlockWriter) {
    while position < windowEnd, !isOver {
      var length = 0
      let head = insert(chains, position)
      if isSearchable(head) {
        length = longestMatch(chains, head, GnuMatchSearch.minMatch - 1)
      }
      let isFull: Bool
      if length >= GnuMatchSearch.minMatch {
        isFull = add(writer, length: length, distance: position - matchStart)
        if length <= limits.lazy {
          for next in position + 1..<position + length { _ = insert(chains, next) }
        }
        position += length
      } else {
        isFull = add(writer, literal: bytes[position])
        position += 1
      }
      endBlockIfNeeded(writer, isFull, at: position)
      ensureLookahead()
    }
  }

  /// Levels 4 to 9: a match is taken only if the next position has no longer one.
  private mutating func searchLazily(_ chains: GnuHashChains, _ writer: DeflateBlockWriter) {
    var length = GnuMatchSearch.minMatch - 1
    var isLiteralPending = false
    while position < windowEnd, !isOver {
      let head = insert(chains, position)
      let (lastLength, lastStart) = (length, matchStart)
      length = GnuMatchSearch.minMatch - 1
      if lastLength < limits.lazy, isSearchable(head) {
        length = longestMatch(chains, head, lastLength)
        if length == GnuMatchSearch.minMatch, position - matchStart > GnuMatchSearch.farDistance {
          length -= 1
        }
      }
      if lastLength >= GnuMatchSearch.minMatch, length <= lastLength {
        let isFull = add(writer, length: lastLength, distance: position - 1 - lastStart)
        let end = position - 1 + lastLength
        for next in position + 1..<end { _ = insert(chains, next) }
        position = end
        isLiteralPending = false
        length = GnuMatchSearch.minMatch - 1
        endBlockIfNeeded(writer, isFull, at: end)
      } else {
        if isLiteralPending {
          let isFull = add(writer, literal: bytes[position - 1])
          endBlockIfNeeded(writer, isFull, at: position)
        }
        isLiteralPending = true
        position += 1
      }
      ensureLookahead()
    }
    if isLiteralPending, !isOver { _ = add(writer, literal: bytes[position - 1]) }
  }
}

extension UnsafePointer<UInt8> {
  @inline(__always) fileprivate func loadPair() -> UInt16 {
    UnsafeRawPointer(self).loadUnaligned(as: UInt16.self)
  }
}
