// How a deflate stream was made, as far as it decides on the bytes: which encoder, how it was set,
// how the work was cut, and what an encoder must be fed to go on from the middle.
//
// What each setting means for a second implementation stands in docs/format.md, "Deflated plans".

/// The way in which a stretch of a deflate stream was made.
public struct DeflateMethod: Hashable, Sendable {
  public enum Encoder: UInt8, Sendable {
    case zlib = 1
    /// A buffer that libdeflate compressed, its last-block mark cleared (`SegmentDeflater`).
    case libdeflate = 2
    /// Stored blocks of 65535 bytes (`StoredBlocks`).
    case stored = 3
  }

  /// How pieces of the input were ended.
  public enum BlockBoundary: UInt8, Sendable {
    /// Not at all: one stream.
    case none = 0
    /// As pigz does: a block's end, then empty blocks up to a byte's end.
    case pigz = 1
    /// As `pigz --independent` does: an empty stored block, twice.
    case independent = 2
  }

  /// What zlib must have seen before it can go on from the middle.
  public enum History: UInt8, Sendable {
    /// The 32 KiB before, as a dictionary: for encoders that enter every position into their
    /// tables (zlib's levels from 4 on), and for pigz's workers, which start so.
    case dictionary = 0
    /// A run-up: what comes before is compressed and thrown away. Levels 1 to 3 enter only some
    /// positions, and which ones the matches before decide.
    case runUp = 1
    /// Nothing.
    case none = 2
  }

  public var encoder: Encoder
  public var level: UInt8
  /// zlib's memLevel.
  public var memoryLevel: UInt8
  /// zlib's strategy: 0 default, 1 filtered, 2 Huffman only, 3 run lengths, 4 fixed codes.
  public var strategy: UInt8
  public var joints: BlockBoundary
  public var history: History
  /// Plain bytes from joint to joint; 0 without joints.
  public var blockBytes: Int

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

  /// zlib as programs call it that compress one stream.
  public static func zlib(level: UInt8, memoryLevel: UInt8, strategy: UInt8 = 0) -> DeflateMethod {
    DeflateMethod(
      .zlib, level: level, memoryLevel: memoryLevel, strategy: strategy,
      history: level < 4 && (strategy == 0 || strategy == 1 || strategy == 4) ? .runUp : .dictionary
    )
  }

  /// pigz; with several threads, or, where that makes a difference, with one.
  public static func pigz(
    level: UInt8, blockBytes: Int = 128 << 10, isSingle: Bool = false, isIndependent: Bool = false
  ) -> DeflateMethod {
    DeflateMethod(
      .zlib, level: level, joints: isIndependent ? .independent : .pigz,
      history: isIndependent ? .none : isSingle && level < 4 ? .runUp : .dictionary,
      blockBytes: blockBytes)
  }

  /// Limits that decoded methods keep.
  public static let blockSizes = (1 << 10)...(4 << 20)

  /// Whether the fields make sense together: what an encoder may be started with.
  public var isPossible: Bool {
    switch encoder {
    case .libdeflate:
      (1...12).contains(level) && joints == .none && history == .none && blockBytes == 0
    case .stored: level == 0 && joints == .none && history == .none && blockBytes == 0
    case .zlib:
      (1...9).contains(level) && (1...9).contains(memoryLevel) && strategy <= 4
        && (joints == .none ? blockBytes == 0 : DeflateMethod.blockSizes.contains(blockBytes))
    }
  }

  /// Plain bytes that must stand before a run, where there are so many.
  public var historyBytes: Int {
    switch history {
    case .none: 0
    case .dictionary: 32 << 10
    case .runUp: joints == .none ? 256 << 10 : 2 * blockBytes
    }
  }

  /// Plain bytes that must stand behind a run, where there are so many: an encoder looks ahead.
  public var lookaheadBytes: Int { encoder == .zlib && joints == .none ? 1024 : 0 }

  /// "pigz -6", "zlib level 9".
  public var name: String {
    switch encoder {
    case .libdeflate: return "libdeflate level \(level)"
    case .stored: return "stored blocks"
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
