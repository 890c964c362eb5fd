// The options of a squashfs image, and the report about a written one.

import Codec
import Platform

/// The options of a squashfs image. Equal trees and options give equal bytes.
public struct SquashfsOptions: Sendable, Hashable {
  /// The compressors that all recent kernels support.
  public enum Compression: Sendable, Hashable {
    /// zlib streams; level 1 to 12 of libdeflate.
    case gzip(level: Int32 = 9)
    /// xz; preset 0 to 9.
    case xz(preset: UInt32 = 6)
    /// Zstandard; level 1 to 22.
    case zstd(level: Int32 = 15)
  }

  /// The location of the part of a file that does not fill a block.
  public enum TailPacking: Sendable, Hashable {
    /// In a short block of its own, without fragments.
    case ownBlocks
    /// In a shared fragment, if the file is smaller than a block. This is the default of mksquashfs.
    case shareSmallFiles
    /// In a shared fragment, for files of every size (`mksquashfs -always-use-fragments`).
    case shareAll
  }

  /// The compressor and its level.
  public var compression: Compression
  /// The block size: a power of two from 4 KiB to 1 MiB.
  public var blockBytes: Int
  /// The location of tails.
  public var tails: TailPacking
  /// The number of threads that compress. It does not change the bytes.
  public var workers: Int
  /// The creation time in the superblock, in seconds since 1970.
  public var madeSeconds: UInt32

  /// Creates options.
  public init(
    compression: Compression, blockBytes: Int = 128 << 10, tails: TailPacking = .shareSmallFiles,
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

  /// Checks the level and the block size.
  /// - Throws: `RenderError` for a level or block size that squashfs or the codec does not support.
  func check() throws(RenderError) {
    guard codec.isValid else {
      throw RenderError(
        "squashfs compression \(compression)", "has an unsupported level",
        hint: "Levels are 1 to 12 for gzip, 0 to 9 for xz, 1 to 22 for zstd")
    }
    guard (4096...1 << 20).contains(blockBytes), blockBytes.nonzeroBitCount == 1 else {
      throw RenderError(
        "squashfs block size \(blockBytes)", "is not allowed",
        hint: "Choose a power of two from 4096 to 1048576")
    }
  }
}

/// The decision about one entry of an image.
public enum SquashfsSelection: Sendable, Hashable {
  case keep
  /// Excludes the entry and everything below it.
  case drop
  /// Includes a directory only if an entry below it is included.
  case keepIfNeeded
}

/// A difference between the tree and the image.
public struct SquashfsProblem: Sendable, Hashable {
  /// The path relative to the tree; empty for its root.
  public let path: [UInt8]
  /// The difference, as a clause.
  public let what: String
}

/// The report about a written image.
public struct SquashfsReport: Sendable {
  /// The size of the image without its padding.
  public internal(set) var usedBytes: UInt64 = 0
  /// The size of the file: a multiple of 4 KiB.
  public internal(set) var fileBytes: UInt64 = 0
  /// The number of inodes.
  public internal(set) var inodes = 0
  /// The total size of files, with each content counted once.
  public internal(set) var contentBytes: UInt64 = 0
  /// The number of fragments.
  public internal(set) var fragments = 0
  /// Entries without content in the snapshot, and attributes and times that squashfs cannot represent.
  public internal(set) var problems: [SquashfsProblem] = []
  /// The number of blocks and fragments from the cache.
  public internal(set) var cachedBlocks = 0
  /// The number of blocks and fragments that were compressed.
  public internal(set) var compressedBlocks = 0
  /// The number of file bytes in blocks from the cache, including holes.
  public internal(set) var cachedBytes: UInt64 = 0
}
