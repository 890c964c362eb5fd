// The contents of an image and the location of their bytes: consecutive whole blocks, and possibly
// a tail in a fragment.
//
// The assignment of tails to fragments depends only on sizes and blob ids. The contents also
// determine where a fragment ends. Adding or removing a file therefore changes the fragments around
// it, but not all that follow, and a new pack finds the others in the cache.

import Codec
import Store

/// The content of one or more files.
struct SquashfsContent: Sendable {
  let blob: Digest
  let sizeBytes: UInt64
  /// The ranges that may contain other bytes than zeros; nil for all.
  let data: [Range<UInt64>]?
  /// The number of blocks. The last one is short if the tail is not in a fragment.
  fileprivate(set) var blocks: UInt64
  /// The number of bytes in a fragment.
  fileprivate(set) var tailBytes = 0
  fileprivate(set) var fragment = Squashfs.noFragment
  fileprivate(set) var fragmentOffset: UInt32 = 0

  init(blob: Digest, sizeBytes: UInt64, holes: HoleMap?, blockBytes: Int) {
    self.blob = blob
    self.sizeBytes = sizeBytes
    data = holes?.data(sizeBytes: sizeBytes)
    blocks = (sizeBytes - 1) / UInt64(blockBytes) + 1
  }

  /// The offset of the tail.
  var tailOffset: UInt64 { sizeBytes - UInt64(tailBytes) }

  /// Returns the number of bytes in the blocks `first ..< first + count`; the last one may be short.
  func bytes(first: UInt64, count: Int, _ blockBytes: Int) -> UInt64 {
    let start = first * UInt64(blockBytes)
    return min(UInt64(count) * UInt64(blockBytes), tailOffset - start)
  }
}

/// The fragments of an image, each a run of tails.
struct SquashfsFragments: Sendable {
  /// The indices of the contents with tails, in order.
  private(set) var tails: [Int] = []
  /// The range of `tails` of each fragment.
  private(set) var fragments: [Range<Int>] = []

  /// Assigns the tails of `contents` to fragments, and records the assignment in `contents`.
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

  /// Returns whether a fragment ends after a tail. In the second half of a block, the content's
  /// hash ends it about every quarter block.
  private static func isCut(_ blob: Digest, _ tailBytes: Int, _ blockBytes: Int) -> Bool {
    let chance = Double(tailBytes) / Double(blockBytes / 4)
    return Double(blob.prefix >> 11) < chance * Double(UInt64(1) << 53)
  }
}
