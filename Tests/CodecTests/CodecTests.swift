// Numbers, digests and zstd, compared with known values and the real tools, and tested with damage.

import Codec
import Foundation
import TestSupport
import Testing

@Suite struct CodecTests {
  @Test(.usesTools) func `SHA-256 equals the known values, also for long inputs`() throws {
    #expect(
      SHA256.digest(of: Array("abc".utf8)).hex
        == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    let directory = try TemporaryDirectory()
    var random = SplitMix64(1)
    let bytes = random.bytes(1_000_003)
    try Data(bytes).write(to: URL(fileURLWithPath: directory.path("f")))
    let sum = try run("sha256sum", directory.path("f")).output.prefix(64)
    var hash = SHA256()
    for start in stride(from: 0, to: bytes.count, by: 777) {
      hash.update(Array(bytes[start..<min(start + 777, bytes.count)]))
    }
    let digest = hash.finish()
    #expect(digest.hex == String(sum))
    #expect(Digest(hex: sum) == digest)
    #expect(Digest(digest.bytes) == digest)
    #expect(Digest(hex: String(sum.dropLast()) + "g") == nil)
    #expect(Digest(hex: "+" + sum.dropFirst()) == nil)
    // Every byte at every place is a digit, or refuses the text.
    for value in UInt8.min...UInt8.max {
      let digit = Int(String(decoding: [value], as: UTF8.self), radix: 16)
      for location in [0, 7, 8, 31, 63] {
        var text = [UInt8](repeating: 0x30, count: 64)
        text[location] = value
        let expected = digit.map { digit in
          String(repeating: "0", count: location) + String(digit, radix: 16)
            + String(repeating: "0", count: 63 - location)
        }
        #expect(Digest(hexDigits: text)?.hex == expected, "byte \(value) at \(location)")
      }
    }
    #expect(Digest(hexDigits: Array(sum.uppercased().utf8)) == digest)
    for location in [0, 15, 16, 31, 32, 47, 48, 63] {
      for wrong in [0, 0x10, 0x2f, 0x3a, 0x40, 0x47, 0x60, 0x67, 0x80, 0xb0, 0xc1, 0xe1, 0xff] {
        var digits = Array(sum.utf8)
        digits[location] = UInt8(wrong)
        #expect(Digest(hexDigits: digits) == nil, "\(wrong) at \(location)")
      }
    }
  }

  @Test(arguments: seeds) func `encoded numbers decode to themselves`(_ seed: UInt64) throws {
    var random = SplitMix64(seed)
    let values =
      (0..<200).map { _ in random.next() >> UInt64.random(in: 0..<64, using: &random) } + [0, .max]
    var writer = ByteWriter()
    for value in values {
      writer.varint(value)
      writer.signed(Int64(bitPattern: value))
      writer.word64(value)
    }
    writer.bytes.withUnsafeBytes { buffer in
      var reader = ByteReader(buffer)
      for value in values {
        #expect((try? reader.varint()) == value)
        #expect((try? reader.signed()) == Int64(bitPattern: value))
        #expect((try? reader.word64()) == value)
      }
      #expect(reader.isAtEnd)
    }
  }

  @Test func `varints that are not in their shortest form are refused`() {
    for bytes: [UInt8] in [
      [0x80, 0], [0xff, 0x80, 0], Array(repeating: 0xff, count: 11), [0x80], [],
    ] {
      bytes.withUnsafeBytes { buffer in
        var reader = ByteReader(buffer)
        #expect(throws: CodecError.self) { try reader.varint() }
      }
    }
  }

  @Test(arguments: seeds) func `damage to a zstd frame is detected`(_ seed: UInt64) throws {
    var random = SplitMix64(seed)
    let plain = (0..<20_000).map { UInt8(truncatingIfNeeded: $0 / 7) } + random.bytes(20_000)
    var stored = [UInt8](repeating: 0, count: ZstdCompressor.bound(plain.count))
    let compressor = ZstdCompressor(level: 3)
    let n = try plain.withUnsafeBytes { source in
      try stored.withUnsafeMutableBytes { try compressor.compress(source, into: $0) }
    }
    stored.removeSubrange(n...)
    let decompressor = ZstdDecompressor()
    func decode(_ bytes: [UInt8]) throws -> [UInt8] {
      var back = [UInt8](repeating: 0, count: plain.count)
      try bytes.withUnsafeBytes { source in
        try back.withUnsafeMutableBytes { try decompressor.decompress(source, into: $0) }
      }
      return back
    }
    #expect(try decode(stored) == plain)
    for _ in 0..<300 {
      var bad = stored
      bad[Int.random(in: 0..<n, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      // An unused bit of the header may change without effect; changed content must always be
      // detected.
      if let back = try? decode(bad) { #expect(back == plain, "seed \(seed)") }
    }
  }
}
