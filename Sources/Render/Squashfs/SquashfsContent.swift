// Contents, and where their bytes go: whole blocks in a row, and the tail perhaps in a fragment.
//
// Which tails share a fragment follows from sizes and blob ids alone, and a fragment is closed at
// places that the content chooses: a file more or less changes the fragments around it, not all
// that follow. So a re-pack finds the others in the cache.

import Codec
import Store

/// The bytes of one or more files.
struct SquashfsContent: Sendable {
  let blob: Digest
  let sizeBytes: UInt64
  /// The ranges that may hold something else than zeros; nil for all.
  let data: [Range<UInt64>]?
  /// Blocks, with the last one short where the tail has no fragment.
  fileprivate(set) var blocks: UInt64
  /// Bytes in a fragment.
  fileprivate(set) var tailBytes = 0
  fileprivate(set) var fragment = Squashfs.noFragment
  fileprivate(set) var fragmentOffset: UInt32 = 0

  init(blob: Digest, sizeBytes: UInt64, holes: HoleMap?, blockBytes: Int) {
    self.blob = blob
    self.sizeBytes = sizeBytes
    data = holes?.data(sizeBytes: sizeBytes)
    blocks = (sizeBytes - 1) / UInt64(blockBytes) + 1
  }

  /// Where the tail begins.
  var tailOffset: UInt64 { sizeBytes - UInt64(tailBytes) }

  /// The bytes in the blocks `first ..< first + count`; the last one may be short.
  func bytes(first: UInt64, count: Int, _ blockBytes: Int) -> UInt64 {
    let start = first * UInt64(blockBytes)
    return min(UInt64(count) * UInt64(blockBytes), tailOffset - start)
  }
}

/// The fragments of an image: runs of tails.
struct SquashfsFragments: Sendable {
  /// Places of contents, in order.
  private(set) var tails: [Int] = []
  /// For each fragment its part of `tails`.
  private(set) var fragments: [Range<Int>] = []

  /// Decides where the tails of `contents` go, and tells them.
  init(_ contents: inout [SquashfsContent], _ options: SquashfsOptions) {
    let block = options.blockBytes
    var start = 0
    var bytes = 0
    func mayShare(_ content: SquashfsContent) -> Bool {
      switch options.tails {
      case .ownBlocks: false
      case .shareSmallFiles: content.sizeBytes < UInt64(block)
      case .shareAll: content.sizeBytes % UInt64(block) != 0
      }
    }
    for i in contents.indices where mayShare(contents[i]) {
      let tail = Int(contents[i].sizeBytes % UInt64(block))
      if bytes + tail > block {
        fragments.append(start..<tails.count)
        start = tails.count
        bytes = 0
      }
      contents[i].blocks -= 1
      contents[i].tailBytes = tail
      contents[i].fragment = UInt32(fragments.count)
      contents[i].fragmentOffset = UInt32(bytes)
      tails.append(i)
      bytes += tail
      if bytes >= block / 2, SquashfsFragments.isCut(contents[i].blob, tail, block) {
        fragments.append(start..<tails.count)
        start = tails.count
        bytes = 0
      }
    }
    if start < tails.count { fragments.append(start..<tails.count) }
  }

  /// Past the middle of a block, a cut comes about every quarter block, by chance of the content.
  private static func isCut(_ blob: Digest, _ tailBytes: Int, _ blockBytes: Int) -> Bool {
    let chance = Double(tailBytes) / Double(blockBytes / 4)
    return Double(blob.prefix >> 11) < chance * Double(UInt64(1) << 53)
  }
}
