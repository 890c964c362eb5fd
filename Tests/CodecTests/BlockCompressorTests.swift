// Compressed blocks decode to their source and are smaller than it; other blocks are not
// compressed.

import Codec
import TestSupport
import Testing

@Suite struct BlockCompressorTests {
  private static let codecs: [BlockCodec] = [
    .zlib(level: 1), .zlib(level: 9), .zlib(level: 12), .xz(preset: 0), .xz(preset: 6),
    .zstd(level: 1), .zstd(level: 15), .zstd(level: 22),
  ]

  @Test(arguments: codecs)
  func `compressed blocks decode to their source and are smaller than it`(_ codec: BlockCodec)
    throws
  {
    var random = SplitMix64(1)
    let compressor = BlockCompressor(codec, maxBytes: 128 << 10)
    let inputs: [[UInt8]] = [
      [], [7], Array(repeating: 0, count: 128 << 10), random.bytes(128 << 10), random.bytes(100),
      (0..<100_000).map { UInt8(truncatingIfNeeded: $0 / 7) },
      random.bytes(50_000) + random.bytes(50_000),
    ]
    for raw in inputs {
      guard let packed = try compress(compressor, raw) else { continue }
      #expect(packed.count < raw.count)
      var back = [UInt8](repeating: 1, count: raw.count)
      try packed.withUnsafeBytes { source in
        try back.withUnsafeMutableBytes { try compressor.decompress(source, into: $0) }
      }
      #expect(back == raw)
      // Earlier input does not change the output.
      #expect(try compress(BlockCompressor(codec, maxBytes: 128 << 10), raw) == packed)
      // Damage and a wrong length are detected.
      var short = [UInt8](repeating: 0, count: raw.count - 1)
      #expect(throws: CodecError.self) {
        try packed.withUnsafeBytes { source in
          try short.withUnsafeMutableBytes { try compressor.decompress(source, into: $0) }
        }
      }
    }
    #expect(try compress(compressor, inputs[3]) == nil, "noise does not become smaller")
    #expect(try compress(compressor, inputs[2]).map { $0.count < 1000 } == true)
  }

  private func compress(_ compressor: BlockCompressor, _ raw: [UInt8]) throws -> [UInt8]? {
    var target = [UInt8](repeating: 0, count: 128 << 10)
    let count = try raw.withUnsafeBytes { source in
      try target.withUnsafeMutableBytes { try compressor.compress(source, into: $0) }
    }
    return count.map { Array(target[..<$0]) }
  }
}
