// The jobs that compress contents, of about 1 MiB each, in the order of their blocks in the image.

/// A job for one thread.
enum SquashfsJob: Sendable {
  /// `count` blocks of a content starting with block `first`.
  case blocks(content: Int, first: UInt64, count: Int)
  /// Blocks that a hole covers. Nothing is read or written.
  case hole(content: Int, first: UInt64, count: Int)
  case fragment(Int)
}

/// Generates the jobs one by one, without keeping them in memory.
struct SquashfsJobs: Sendable {
  private let contents: [SquashfsContent]
  private let fragments: SquashfsFragments
  private let blockBytes: UInt64
  private let blocksPerJob: UInt64
  private static let jobBytes = 1 << 20

  private var content = 0
  private var block: UInt64 = 0
  private var range = 0
  private var fragment = 0

  init(_ contents: [SquashfsContent], _ fragments: SquashfsFragments, blockBytes: Int) {
    self.contents = contents
    self.fragments = fragments
    self.blockBytes = UInt64(blockBytes)
    blocksPerJob = UInt64(max(SquashfsJobs.jobBytes / blockBytes, 1))
  }

  /// Returns the next job, or nil after the last.
  mutating func next() -> SquashfsJob? {
    while true {
      if content < contents.count, block < contents[content].blocks { return nextBlocks() }
      // A fragment follows the content with its last tail.
      if fragment < fragments.fragments.count,
        fragments.tails[fragments.fragments[fragment].upperBound - 1] <= content
      {
        defer { fragment += 1 }
        return .fragment(fragment)
      }
      guard content < contents.count else { return nil }
      content += 1
      block = 0
      range = 0
    }
  }

  private mutating func nextBlocks() -> SquashfsJob {
    let current = contents[content]
    // Jobs start at multiples of their size, so that later renderings find them in the cache.
    var end = min((block / blocksPerJob + 1) * blocksPerJob, current.blocks)
    guard let data = current.data else {
      defer { block = end }
      return .blocks(content: content, first: block, count: Int(end - block))
    }
    while range < data.count, data[range].upperBound <= block * blockBytes { range += 1 }
    // A hole of many gigabytes becomes a few jobs instead of thousands.
    let nextData = range < data.count ? data[range].lowerBound / blockBytes : current.blocks
    if nextData > block {
      end = min(nextData, current.blocks, block + UInt64(1 << 20))
      defer { block = end }
      return .hole(content: content, first: block, count: Int(end - block))
    }
    defer { block = end }
    return .blocks(content: content, first: block, count: Int(end - block))
  }
}
