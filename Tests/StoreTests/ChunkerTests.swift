// The chunker's cuts equal those of a byte-by-byte implementation of FastCDC.

import Codec
import Store
import TestSupport
import Testing

@Suite struct ChunkerTests {
  private static let gear: [UInt64] = (0...255).map { byte in
    let digest = SHA256.digest(of: Array("imgstore gear".utf8) + [UInt8(byte)])
    return (0..<8).reduce(0) { $0 | UInt64(digest.bytes[$1]) << (8 * UInt64($1)) }
  }

  /// FastCDC with the sizes and the gear table of `Chunker`, byte by byte. docs/format.md leaves the cuts open.
  private func definition(_ data: ArraySlice<UInt8>) -> Int {
    var hash: UInt64 = 0
    let end = min(data.count, Chunker.maxBytes)
    guard end > Chunker.minBytes else { return end }
    for i in Chunker.minBytes..<end {
      hash = (hash << 1) &+ Self.gear[Int(data[data.startIndex + i])]
      let bits: UInt64 = i < min(end, Chunker.normalBytes) ? 20 : 16
      if hash >> (64 - bits) == 0 { return i + 1 }
    }
    return end
  }

  @Test(arguments: seeds) func `every cut equals the definition`(_ seed: UInt64) {
    var random = SplitMix64(seed)
    // Few distinct values produce many cuts, and runs of equal bytes none.
    for values in [256, 16, 3] {
      var data = random.bytes(5 << 20 + Int.random(in: 0...99_999, using: &random))
      if values < 256 { data = data.map { UInt8(Int($0) % values) } }
      let quiet = Int.random(in: 0..<data.count / 2, using: &random)
      for i in quiet..<(quiet + data.count / 8) where values == 16 { data[i] = 7 }
      var at = 0
      while at < data.count {
        let expected = definition(data[at...])
        let found = data.withUnsafeBytes {
          Chunker.firstCut(UnsafeRawBufferPointer(rebasing: $0[at...]))
        }
        #expect(found == expected, "seed \(seed), \(values) values, chunk at \(at)")
        if found != expected { break }
        at += expected
      }
    }
  }
}
