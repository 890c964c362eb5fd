// What may be asked of a squashfs image, and what is said of one that was made.

import Codec
import Platform

/// How a squashfs image is made. Equal trees and options give equal bytes.
public struct SquashfsOptions: Sendable, Hashable {
  /// The compressors that every kernel of the last years reads.
  public enum Compression: Sendable, Hashable {
    /// zlib streams; level 1 ... 12 of libdeflate.
    case gzip(level: Int32 = 9)
    /// xz; preset 0 ... 9.
    case xz(preset: UInt32 = 6)
    /// Zstandard; level 1 ... 22.
    case zstd(level: Int32 = 15)
  }

  /// Where the end of a file goes that does not fill a block.
  public enum Tails: Sendable, Hashable {
    /// Into a short block of its own: no fragments.
    case ownBlocks
    /// Into a fragment, together with others, where the file is smaller than a block; this is what
    /// mksquashfs does.
    case shareSmallFiles
    /// Into a fragment for files of every size (`mksquashfs -always-use-fragments`).
    case shareAll
  }

  public var compression: Compression
  /// A power of two from 4 KiB to 1 MiB.
  public var blockBytes: Int
  public var tails: Tails
  /// Threads that compress. Their number does not change the bytes.
  public var workers: Int
  /// The time of making that the superblock records, in seconds since 1970.
  public var madeSeconds: UInt32

  public init(
    compression: Compression, blockBytes: Int = 128 << 10, tails: Tails = .shareSmallFiles,
    workers: Int = processorCount, madeSeconds: UInt32
  ) {
    self.compression = compression
    self.blockBytes = blockBytes
    self.tails = tails
    self.workers = workers
    self.madeSeconds = madeSeconds
  }

  var codec: BlockCodec {
    switch compression {
    case .gzip(let level): .zlib(level: level)
    case .xz(let preset): .xz(preset: preset)
    case .zstd(let level): .zstd(level: level)
    }
  }

  /// - Throws: `RenderError` for a level or block size that squashfs or the codec does not have.
  func check() throws(RenderError) {
    guard codec.isValid else {
      throw RenderError(
        "squashfs compression \(compression)", "is of a level that does not exist",
        advice: "Levels are 1 to 12 for gzip, 0 to 9 for xz, 1 to 22 for zstd")
    }
    guard (4096...1 << 20).contains(blockBytes), blockBytes.nonzeroBitCount == 1 else {
      throw RenderError(
        "squashfs block size \(blockBytes)", "is not allowed",
        advice: "Choose a power of two from 4096 to 1048576")
    }
  }
}

/// Decides which entries go into an image.
public enum SquashfsSelection: Sendable, Hashable {
  case keep
  /// Not this entry, and nothing below it.
  case drop
  /// A directory that is there only if something below it is kept.
  case keepIfNeeded
}

/// Something of the tree that is not in the image as it is in the tree.
public struct SquashfsProblem: Sendable, Hashable {
  /// Relative to the tree; empty for its root.
  public let path: [UInt8]
  public let what: String
}

/// What was written.
public struct SquashfsReport: Sendable {
  /// The image's size without its padding.
  public internal(set) var usedBytes: UInt64 = 0
  /// The file's size: a multiple of 4 KiB.
  public internal(set) var fileBytes: UInt64 = 0
  public internal(set) var inodes = 0
  /// Bytes of files, each content once.
  public internal(set) var contentBytes: UInt64 = 0
  public internal(set) var fragments = 0
  /// Entries that have no bytes in the snapshot, and attributes and times that squashfs cannot hold.
  public internal(set) var problems: [SquashfsProblem] = []
  /// Blocks and fragments that came out of the cache, and those that were compressed.
  public internal(set) var cachedBlocks = 0
  public internal(set) var compressedBlocks = 0
  /// Bytes of files whose blocks came out of the cache, holes included.
  public internal(set) var cachedBytes: UInt64 = 0
}
