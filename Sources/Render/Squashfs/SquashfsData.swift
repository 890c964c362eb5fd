// Writes the data part of an image: all blocks and fragments, compressed on all processors, in order.

import Platform

/// The location of a content's blocks.
struct SquashfsBlockLocation: Sendable {
  /// The offset of the first block in the image; 0 if there is none.
  var start: UInt64 = 0
  var words: [UInt32] = []
  var zeroBytes: UInt64 = 0
}

/// A fragment in the image.
struct SquashfsFragment: Sendable {
  let start: UInt64
  let word: UInt32
}

/// The layout of the written data part.
struct SquashfsLayout: Sendable {
  /// The location of each content of the plan.
  fileprivate(set) var locations: [SquashfsBlockLocation]
  fileprivate(set) var fragments: [SquashfsFragment] = []
  fileprivate(set) var cached = 0
  fileprivate(set) var compressed = 0
  fileprivate(set) var compressedBytes: UInt64 = 0
}

/// Writes the data part.
struct SquashfsData {
  let source: OverlayTree
  let options: SquashfsOptions
  let cache: (any BlockCache)?
  let progress: Progress

  /// Compresses and writes the contents.
  /// - Parameters:
  ///   - contents: the contents, with their fragments assigned.
  ///   - fragments: the fragments.
  ///   - output: the image's file.
  func write(
    _ contents: [SquashfsContent], _ fragments: SquashfsFragments, to output: SquashfsOutput
  ) throws -> SquashfsLayout {
    var layout = SquashfsLayout(
      locations: Array(repeating: SquashfsBlockLocation(), count: contents.count))
    var jobs = SquashfsJobs(contents, fragments, blockBytes: options.blockBytes)
    try runInOrder(
      threads: options.workers, window: options.workers * 4,
      makeWorker: { [source, options, cache] in
        let compressor = SquashfsBlockCompressor(source, options, cache)
        return { (job: SquashfsJob) in
          switch job {
          case .blocks(let content, let first, let count):
            return try compressor.blocks(contents[content], first: first, count: count)
          case .hole: return SquashfsBlocks()
          case .fragment(let number):
            return try compressor.fragment(
              fragments.tails[fragments.fragments[number]].map { contents[$0] })
          }
        }
      },
      use: { job, blocks in
        let start = output.offset
        try output.append(blocks.bytes)
        layout.add(job, blocks, at: start, contents, options.blockBytes)
        progress.add(bytes: bytes(of: job, contents, fragments))
      },
      produce: { submit in while let job = jobs.next() { try submit(job) } })
    return layout
  }

  private func bytes(
    of job: SquashfsJob, _ contents: [SquashfsContent], _ fragments: SquashfsFragments
  ) -> UInt64 {
    switch job {
    case .blocks(let content, let first, let count), .hole(let content, let first, let count):
      return contents[content].bytes(first: first, count: count, options.blockBytes)
    case .fragment(let number):
      return fragments.tails[fragments.fragments[number]].reduce(0) {
        $0 + UInt64(contents[$1].tailBytes)
      }
    }
  }
}

extension SquashfsLayout {
  fileprivate mutating func add(
    _ job: SquashfsJob, _ blocks: SquashfsBlocks, at start: UInt64, _ contents: [SquashfsContent],
    _ blockBytes: Int
  ) {
    cached += blocks.cached
    compressed += blocks.compressed
    compressedBytes &+= blocks.compressedBytes
    switch job {
    case .blocks(let content, _, _):
      // Blocks are consecutive, and blocks of zeros take no space. The first block determines the
      // start of a file.
      if locations[content].words.isEmpty { locations[content].start = start }
      locations[content].words += blocks.words
      locations[content].zeroBytes += blocks.zeroBytes
    case .hole(let content, let first, let count):
      if locations[content].words.isEmpty { locations[content].start = start }
      locations[content].words += repeatElement(0, count: count)
      locations[content].zeroBytes += contents[content].bytes(
        first: first, count: count, blockBytes)
    case .fragment:
      fragments.append(SquashfsFragment(start: start, word: blocks.words.first ?? 0))
    }
  }
}

/// The image's file, written sequentially, with the superblock last.
final class SquashfsOutput: @unchecked Sendable {  // used by one thread at a time
  private let fileSystem: any FileSystem
  private let file: Int32
  private(set) var offset: UInt64

  init(_ fileSystem: any FileSystem, _ file: Int32) {
    self.fileSystem = fileSystem
    self.file = file
    offset = UInt64(Squashfs.superblockBytes)
  }

  func append(_ bytes: [UInt8]) throws(SystemError) {
    guard !bytes.isEmpty else { return }
    try write(bytes, at: offset)
    offset += UInt64(bytes.count)
  }

  func write(_ bytes: [UInt8], at position: UInt64) throws(SystemError) {
    try bytes.withUnsafeBytes { (bytes) throws(SystemError) in
      try fileSystem.write(file, at: position, bytes)
    }
  }
}
