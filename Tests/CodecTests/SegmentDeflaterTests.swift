// Deflate segments and their verification, with Python's zlib as the oracle.

import Codec
import Foundation
import TestSupport
import Testing

@Suite struct SegmentDeflaterTests {
  /// Text-like, random, repetitive and mixed bytes.
  private func sample(_ random: inout SplitMix64, _ count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count {
      switch random.next() % 4 {
      case 0: bytes += random.bytes(Int(random.next() % 5000))
      case 1:
        bytes += [UInt8](
          repeating: UInt8(truncatingIfNeeded: random.next()), count: Int(random.next() % 40000))
      case 2:
        let words = (0..<50).map { _ in random.bytes(3 + Int(random.next() % 6)) }
        for _ in 0..<2000 { bytes += words[Int(random.next() % 50)] }
      default:
        let from = bytes.isEmpty ? 0 : Int(random.next() % UInt64(bytes.count))
        bytes += bytes[from..<min(bytes.count, from + 30000)]
      }
    }
    return Array(bytes.prefix(count))
  }

  private func python(_ script: String, _ path: String) throws -> ToolResult {
    try run("python3", "-c", script, path)
  }

  @Test(.usesTools, arguments: seeds)
  func `concatenated segments are one stream that zlib reads`(_ seed: UInt64) throws {
    var random = SplitMix64(seed)
    let directory = try TemporaryDirectory()
    var deflater = SegmentDeflater(level: 5)
    var plain: [UInt8] = []
    var stream: [UInt8] = []
    var crc = CRC32()
    for size in [0, 1, 2, 100, 65535, 65536, 200_000, 700_000, 3] {
      let segment = sample(&random, size)
      plain += segment
      stream += try segment.withUnsafeBytes { try deflater.deflate($0) }
      crc.append(CRC32.of(segment), countBytes: UInt64(size))
      let stored = random.bytes(Int(random.next() % 150_000))
      plain += stored
      stream += stored.withUnsafeBytes { StoredBlocks.encode($0) }
      crc.append(CRC32.of(stored), countBytes: UInt64(stored.count))
    }
    stream += SegmentDeflater.end
    try Data(plain).write(to: URL(fileURLWithPath: directory.path("plain")))
    try Data(stream).write(to: URL(fileURLWithPath: directory.path("stream")))
    let check = try python(
      """
      import sys, zlib
      d = zlib.decompressobj(-15); out = d.decompress(open(sys.argv[1] + '/stream', 'rb').read())
      plain = open(sys.argv[1] + '/plain', 'rb').read()
      assert d.eof and not d.unused_data and out == plain, 'differs'
      print(zlib.crc32(plain))
      """, directory.path)
    #expect(check.output == "\(crc.value)\n", "seed \(seed): \(check.errors)")
  }

  @Test(.usesTools) func `the verifier accepts every strategy of zlib`() throws {
    let directory = try TemporaryDirectory()
    var random = SplitMix64(7)
    let plain = sample(&random, 300_000)
    try Data(plain).write(to: URL(fileURLWithPath: directory.path("plain")))
    try runFixture("scripts/oracles/deflate-with-every-strategy.py", directory.path)
    var proof = DeflateVerifier()
    for n in 0..<20 {
      let stream = [UInt8](try Data(contentsOf: URL(fileURLWithPath: directory.path("\(n)"))))
      let shape = try verify(&proof, stream, plain)
      #expect((shape.endBit + 7) / 8 == stream.count, "stream \(n)")
      #expect(stream[shape.lastBlockBit / 8] >> UInt8(shape.lastBlockBit % 8) & 1 == 1)
    }
  }

  @Test(arguments: seeds)
  func `a stream with a flipped bit is refused or decodes to the same bytes`(_ seed: UInt64) throws
  {
    var random = SplitMix64(seed)
    let plain = sample(&random, 50_000)
    var deflater = SegmentDeflater(level: 6)
    let stream =
      try plain.withUnsafeBytes { try deflater.deflate($0) } + SegmentDeflater.end
    var proof = DeflateVerifier()
    _ = try verify(&proof, stream, plain)
    var refused = 0
    for _ in 0..<2000 {
      var damaged = stream
      damaged[Int(random.next() % UInt64(stream.count))] ^= 1 << UInt8(random.next() % 8)
      if random.next() % 4 == 0 {
        damaged.removeLast(Int(random.next() % UInt64(stream.count - 1)))
      }
      do { _ = try verify(&proof, damaged, plain) } catch { refused += 1 }
    }
    // The padding bits of stored blocks have no meaning.
    #expect(refused > 1900, "seed \(seed)")
    for size in [0, 49_999] {
      #expect(throws: CodecError.self) { try verify(&proof, stream, Array(plain.prefix(size))) }
    }
    #expect(throws: CodecError.self) { try verify(&proof, stream, plain + [0]) }
  }

  private func verify(
    _ proof: inout DeflateVerifier, _ stream: [UInt8], _ plain: [UInt8]
  ) throws -> DeflateStreamInfo {
    let padded = stream + [UInt8](repeating: 0xff, count: DeflateVerifier.slackBytes)
    return try padded.withUnsafeBytes { buffer in
      try plain.withUnsafeBytes {
        try proof.verify(
          UnsafeRawBufferPointer(rebasing: buffer[..<stream.count]), decodesTo: $0)
      }
    }
  }
}
