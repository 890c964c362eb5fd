// A short text that identifies the output of this program's deflate encoders. Recipes store it, so
// that a library that encodes differently is detected before it is used.
//
// The fingerprint contains the SHA-256 of the encoded sample, not only a version number. Computing
// it takes about 30 ms once per process, and only if a recipe is created or used.

import CZlib
import CZstd

/// Computes the fingerprints of the deflate encoders.
public enum EncoderFingerprint {
  /// Returns the fingerprint of the encoders of one library, such as "zlib 1.2.13 5f2d…".
  public static func of(_ encoder: StreamMethod.Encoder) -> String {
    switch encoder {
    case .zlib: zlib
    case .libdeflate: libdeflate
    case .stored: "stored"
    case .gnuGzip: gnuGzip
    case .zstd: zstd
    }
  }

  private static let zlib: String = {
    let levels: [StreamMethod] =
      (1...9).map { .zlib(level: $0, memoryLevel: 8) }
      + [
        .zlib(level: 6, memoryLevel: 9), .zlib(level: 6, memoryLevel: 8, strategy: 2),
        .pigz(level: 6, blockBytes: 32 << 10),
      ]
    return "zlib \(String(cString: zlibVersion())) \(digest(of: levels))"
  }()

  /// The encoder is part of this program: its output changes only if it has a defect.
  private static let gnuGzip = "gzip " + digest(of: (1...9).map { .gnuGzip(level: $0) })

  private static let zstd: String = {
    let methods = [1, 3, 9, 15].map {
      StreamMethod.zstd(level: $0, windowLog: ZstdJobCompressor.windowLog(level: $0))
    }
    return "libzstd \(ZSTD_versionNumber()) \(digest(of: methods))"
  }()

  private static let libdeflate =
    SegmentDeflater.fingerprint(level: 5) + " " + digest(of: [StreamMethod(.libdeflate, level: 5)])

  private static func digest(of methods: [StreamMethod]) -> String {
    var hash = SHA256()
    sample.withUnsafeBytes { plain in
      for method in methods {
        var reencoder = RunEncoder(method)
        try? reencoder.replay(
          plain, history: 0, plainBytes: plain.count, carry: .none, isLast: true
        ) { hash.update($0) }
      }
    }
    return String(hash.finish().hex.prefix(16))
  }

  /// 96 KiB that exercise an encoder: words that recur at small and large distances, and noise.
  private static let sample: [UInt8] = {
    var state: UInt64 = 0x696d_6773_746f_7265
    func next() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return state >> 33
    }
    let words = (0..<512).map { _ in (0..<(2 + next() % 9)).map { _ in UInt8(97 + next() % 23) } }
    var bytes: [UInt8] = []
    while bytes.count < 96 << 10 {
      switch next() % 16 {
      case 0: bytes += (0..<(next() % 40)).map { _ in UInt8(truncatingIfNeeded: next()) }
      case 1: bytes += [UInt8](repeating: UInt8(next() % 4), count: Int(next() % 400))
      case 2 where bytes.count > 40_000:
        let from = bytes.count - 1 - Int(next() % 36_000)
        bytes += bytes[from..<min(bytes.count, from + Int(next() % 300))]
      default: bytes += words[Int(next() % (1 + next() % 512))] + [0x20]
      }
    }
    return bytes
  }()
}
