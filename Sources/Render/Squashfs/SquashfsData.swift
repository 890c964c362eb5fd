// The data part of an image: all blocks and fragments, compressed on all cores, written in order.

import Codec
import Platform
import Store

/// Where a content's blocks went.
struct SquashfsBlockLocation: Sendable {
  /// Where its first block begins in the image; 0 where it has none.
  var start: UInt64 = 0
  var words: [UInt32] = []
  var zeroBytes: UInt64 = 0
}

/// A fragment of the image.
struct SquashfsFragment: Sendable {
  let start: UInt64
  let word: UInt32
}

/// What the data part came to.
struct SquashfsLayout: Sendable {
  /// For each content of the plan.
  fileprivate(set) var places: [SquashfsBlockLocation]
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
  /// - Parameter contents: with their fragments decided.
  func write(
    _ contents: [SquashfsContent], _ fragments: SquashfsFragments, to output: SquashfsOutput
  ) throws -> SquashfsLayout {
    let laidOut = Monitor(
      SquashfsLayout(places: Array(repeating: SquashfsBlockLocation(), count: contents.count)))
    let jobs = Monitor(SquashfsJobs(contents, fragments, blockBytes: options.blockBytes))
    let (source, options, cache, progress) = (source, options, cache, progress)
    try runInOrder(
      workers: options.workers, window: options.workers * 4,
      next: { jobs.withLock { $0.next() } },
      makeWorker: {
        let press = SquashfsBlockCompressor(source, options, cache)
        return { job in
          switch job {
          case .blocks(let content, let first, let count):
            return try press.blocks(contents[content], first: first, count: count)
          case .hole: return SquashfsBlocks()
          case .fragment(let number):
            return try press.fragment(
              fragments.tails[fragments.fragments[number]].map { contents[$0] })
          }
        }
      },
      use: { job, made in
        let start = output.offset
        try output.append(made.bytes)
        laidOut.withLock { $0.add(job, made, at: start, contents, options.blockBytes) }
        progress.add(bytes: bytes(of: job, contents, fragments))
      })
    return laidOut.withLock { $0 }
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
    _ job: SquashfsJob, _ made: SquashfsBlocks, at start: UInt64, _ contents: [SquashfsContent],
    _ blockBytes: Int
  ) {
    cached += made.cached
    compressed += made.compressed
    compressedBytes &+= made.compressedBytes
    switch job {
    case .blocks(let content, _, _):
      // Blocks lie in a row, with no room for those of zeros: the first of a file says where.
      if places[content].words.isEmpty { places[content].start = start }
      places[content].words += made.words
      places[content].zeroBytes += made.zeroBytes
    case .hole(let content, let first, let count):
      if places[content].words.isEmpty { places[content].start = start }
      places[content].words += repeatElement(0, count: count)
      places[content].zeroBytes += contents[content].bytes(first: first, count: count, blockBytes)
    case .fragment:
      fragments.append(SquashfsFragment(start: start, word: made.words.first ?? 0))
    }
  }
}

/// The image's file, written from front to back, and the superblock at last.
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

  func write(_ bytes: [UInt8], at place: UInt64) throws(SystemError) {
    var failure: SystemError?
    bytes.withUnsafeBytes { buffer in
      do throws(SystemError) { try fileSystem.write(file, at: place, buffer) } catch {
        failure = error
      }
    }
    if let failure { throw failure }
  }
}
