// The settings that determine the bytes of a deflate stream: the encoder, its parameters, how the
// input was split into blocks, and the history that the encoder needs to restart in the middle.
//
// docs/format.md, "Plans of streams", describes each setting for a second implementation.

/// The encoder and the settings that produced a part of a deflate stream.
public struct StreamMethod: Hashable, Sendable {
  /// The program that wrote the bytes.
  public enum Encoder: UInt8, Sendable {
    /// zlib, or pigz, which calls it.
    case zlib = 1
    /// libdeflate on a whole buffer, with the last-block mark cleared (`SegmentDeflater`).
    case libdeflate = 2
    /// Stored blocks of 65535 bytes (`StoredBlocks`).
    case stored = 3
    /// GNU gzip (`GnuDeflater`).
    case gnuGzip = 4
    /// Jobs of the zstd tool (`ZstdJobCompressor`). `memoryLevel` is log2 of the window, and `blockBytes` is the
    /// size of a job.
    case zstd = 5
  }

  /// How the encoder ends the blocks of its input.
  public enum BlockBoundary: UInt8, Sendable {
    /// No boundaries: the input is one stream.
    case none = 0
    /// As pigz does: the end of a block, then empty blocks up to a byte boundary.
    case pigz = 1
    /// As `pigz --independent` does: two empty stored blocks.
    case independent = 2
  }

  /// The input before a restart point that zlib needs in order to produce the same bytes.
  public enum History: UInt8, Sendable {
    /// The preceding 32 KiB, as a dictionary. This is enough for encoders that enter every position
    /// into their tables (zlib from level 4), and for pigz's workers, which start this way.
    case dictionary = 0
    /// A run-up: preceding input is compressed and the output discarded. Levels 1 to 3 enter only
    /// some positions into their tables, and earlier matches decide which ones.
    case runUp = 1
    /// No history.
    case none = 2
  }

  /// The encoder.
  public var encoder: Encoder
  /// The compression level of the encoder.
  public var level: UInt8
  /// zlib's memLevel.
  public var memoryLevel: UInt8
  /// zlib's strategy: 0 default, 1 filtered, 2 Huffman only, 3 run lengths, 4 fixed codes.
  public var strategy: UInt8
  /// How the blocks of the input end.
  public var joints: BlockBoundary
  /// The history that a restart needs.
  public var history: History
  /// Plain bytes per block; 0 without block boundaries.
  public var blockBytes: Int

  /// Creates a method with the given settings.
  public init(
    _ encoder: Encoder, level: UInt8, memoryLevel: UInt8 = 8, strategy: UInt8 = 0,
    joints: BlockBoundary = .none, history: History = .none, blockBytes: Int = 0
  ) {
    self.encoder = encoder
    self.level = level
    self.memoryLevel = memoryLevel
    self.strategy = strategy
    self.joints = joints
    self.history = history
    self.blockBytes = blockBytes
  }

  /// Returns zlib's settings as programs use them that compress one stream.
  public static func zlib(level: UInt8, memoryLevel: UInt8, strategy: UInt8 = 0) -> StreamMethod {
    StreamMethod(
      .zlib, level: level, memoryLevel: memoryLevel, strategy: strategy,
      history: level < 4 && (strategy == 0 || strategy == 1 || strategy == 4) ? .runUp : .dictionary
    )
  }

  /// Returns pigz's settings.
  /// - Parameters:
  ///   - level: 1 to 9.
  ///   - blockBytes: pigz's option `-b`, in bytes.
  ///   - isSingle: pigz ran with one thread (`-p 1`). This changes the bytes at levels 1 to 3.
  ///   - isIndependent: pigz's option `--independent`.
  public static func pigz(
    level: UInt8, blockBytes: Int = 128 << 10, isSingle: Bool = false, isIndependent: Bool = false
  ) -> StreamMethod {
    StreamMethod(
      .zlib, level: level, joints: isIndependent ? .independent : .pigz,
      history: isIndependent ? .none : isSingle && level < 4 ? .runUp : .dictionary,
      blockBytes: blockBytes)
  }

  /// Returns the settings of GNU gzip.
  public static func gnuGzip(level: UInt8) -> StreamMethod {
    StreamMethod(.gnuGzip, level: level, history: .runUp)
  }

  /// Returns the settings of the zstd tool.
  /// - Parameter windowLog: log2 of the frame's window.
  public static func zstd(level: UInt8, windowLog: UInt8) -> StreamMethod {
    StreamMethod(
      .zstd, level: level, memoryLevel: windowLog, history: .dictionary,
      blockBytes: ZstdJobCompressor.jobBytes(level: level, windowLog: windowLog))
  }

  /// The range of `blockBytes` that decoded methods may have.
  public static let blockSizes = (1 << 10)...(4 << 20)

  /// Whether an encoder accepts this combination of settings.
  public var isPossible: Bool {
    switch encoder {
    case .libdeflate:
      (1...12).contains(level) && joints == .none && history == .none && blockBytes == 0
    case .gnuGzip:
      (1...9).contains(level) && memoryLevel == 8 && strategy == 0 && joints == .none
        && history == .runUp && blockBytes == 0
    case .zstd:
      ZstdJobCompressor.levels.contains(level)
        && ZstdJobCompressor.windowLogs.contains(memoryLevel) && strategy == 0 && joints == .none
        && history == .dictionary && ZstdJobCompressor.jobSizes.contains(blockBytes)
    case .stored: level == 0 && joints == .none && history == .none && blockBytes == 0
    case .zlib:
      (1...9).contains(level) && (1...9).contains(memoryLevel) && strategy <= 4
        && (joints == .none ? blockBytes == 0 : StreamMethod.blockSizes.contains(blockBytes))
    }
  }

  /// Returns the number of plain bytes before a run that an encoder needs.
  /// - Parameter plainOffset: the number of plain bytes before the run.
  public func historyBytes(before plainOffset: UInt64) -> UInt64 {
    if encoder == .zstd { return min(plainOffset, UInt64(ZstdJobCompressor.overlapBytes(self))) }
    if encoder == .gnuGzip {
      // GNU gzip's window moves at fixed offsets, so the run-up starts at a multiple of its size.
      let start = plainOffset - min(plainOffset, level < 4 ? 256 << 10 : 64 << 10)
      return plainOffset - start / UInt64(GnuDeflater.windowBytes) * UInt64(GnuDeflater.windowBytes)
    }
    switch history {
    case .none: return 0
    case .dictionary: return min(plainOffset, 32 << 10)
    case .runUp: return min(plainOffset, joints == .none ? 256 << 10 : UInt64(2 * blockBytes))
    }
  }

  /// The number of plain bytes after a run that an encoder needs, or all of them if there are
  /// fewer: zlib and GNU gzip look ahead.
  public var lookaheadBytes: Int {
    switch encoder {
    case .zlib: joints == .none ? 1024 : 0
    case .gnuGzip: GnuDeflater.lookaheadBytes
    case .libdeflate, .stored, .zstd: 0
    }
  }

  /// Whether an encoder and its buffers need more than a few MiB of memory.
  public var isLarge: Bool { encoder == .zstd }

  /// The method's name for messages, such as "pigz -6" or "zlib level 9".
  public var name: String {
    switch encoder {
    case .libdeflate: return "libdeflate level \(level)"
    case .stored: return "stored blocks"
    case .gnuGzip: return "GNU gzip -\(level)"
    case .zstd: return "zstd -\(level)"
    case .zlib:
      let odd = strategy == 0 ? "" : " strategy \(strategy)"
      switch joints {
      case .none:
        return "zlib level \(level)\(odd)" + (memoryLevel == 8 ? "" : " memLevel \(memoryLevel)")
      case .pigz, .independent:
        return "pigz -\(level)" + (joints == .independent ? " -i" : "")
          + (blockBytes == 128 << 10 ? "" : " -b \(blockBytes >> 10)")
          + (history == .runUp ? " -p 1" : "")
      }
    }
  }
}
