// Encoders that repeat what other programs wrote, with those programs as the oracle.

import Codec
import Foundation
import TestSupport
import Testing

/// Texts, noise, runs and repetitions, also at the largest distances of deflate's window.
private func mixedBytes(_ random: inout SplitMix64, _ count: Int) -> [UInt8] {
  var bytes: [UInt8] = []
  while bytes.count < count {
    switch random.next() % 5 {
    case 0: bytes += random.bytes(Int(random.next() % 5000))
    case 1: bytes += [UInt8](repeating: random.bytes(1)[0], count: Int(random.next() % 40000))
    case 2:
      let words = (0..<50).map { _ in random.bytes(2 + Int(random.next() % 7)) }
      for _ in 0..<(random.next() % 2000) { bytes += words[Int(random.next() % 50)] }
    case 3 where bytes.count > 32768:
      let distance = [32506, 32507, 32505, 32768, 4096, 4097][Int(random.next() % 6)]
      let length = [3, 4, 258, 259, 300][Int(random.next() % 5)]
      let start = bytes.count - distance
      bytes += bytes[start..<start + length]
    default:
      let from = bytes.isEmpty ? 0 : Int(random.next() % UInt64(bytes.count))
      bytes += bytes[from..<min(bytes.count, from + Int(random.next() % 30000))]
    }
  }
  return Array(bytes.prefix(count))
}

/// Returns what a shell command writes to `$2` for the bytes in `$1`.
private func output(of script: String, _ plain: [UInt8]) throws -> [UInt8] {
  let directory = try TemporaryDirectory()
  try Data(plain).write(to: URL(fileURLWithPath: directory.path("plain")))
  try shell(script, directory.path("plain"), directory.path("packed"))
  return [UInt8](try Data(contentsOf: URL(fileURLWithPath: directory.path("packed"))))
}

/// Returns one run of a stream.
private func replay(
  _ method: StreamMethod, _ plain: [UInt8], _ part: Range<Int>, carry: RunEncoder.Carry = .none
) throws -> [UInt8] {
  var encoder = RunEncoder(method)
  let history = Int(method.historyBytes(before: UInt64(part.lowerBound)))
  let end = min(plain.count, part.upperBound + method.lookaheadBytes)
  return try plain[part.lowerBound - history..<end].withUnsafeBytes {
    try encoder.replay(
      $0, history: history, plainBytes: part.count, carry: carry,
      isLast: part.upperBound == plain.count
    ) { Array($0) }
  }
}

@Suite(.usesTools) struct RunEncoderTests {
  @Test(arguments: seeds)
  func `a stream of GNU gzip is repeated at every level and size`(_ seed: UInt64) throws {
    var random = SplitMix64(seed)
    let sizes = [
      0, 1, 2, 3, 300, 32_767, 65_274 + Int(random.next() % 3), 65_536 + Int(random.next() % 300),
      98_000 + Int(random.next() % 700), 200_000 + Int(random.next() % 200_000),
    ]
    for (index, size) in sizes.enumerated() {
      let plain = mixedBytes(&random, size)
      for level in [1 + (index + Int(seed)) % 9, 6, 9] {
        let packed = try output(of: "gzip -n -\(level) < \"$1\" > \"$2\"", plain)
        let repeated = try replay(.gnuGzip(level: UInt8(level)), plain, 0..<size)
        #expect(
          repeated.elementsEqual(packed.dropFirst(10).dropLast(8)),
          "seed \(seed): level \(level), \(size) bytes")
      }
    }
  }

  @Test(arguments: [1, 2, 3, 4, 6, 9] as [UInt8])
  func `GNU gzip's blocks are repeated alone, from the bytes around them`(_ level: UInt8) throws {
    var random = SplitMix64(UInt64(level))
    let plain = mixedBytes(&random, 3_000_000)
    let packed = try output(of: "gzip -n -\(level) < \"$1\" > \"$2\"", plain)
    let stream = Array(packed.dropFirst(10).dropLast(8))
    let scanner = InflateBlockScanner()
    var decoded = [UInt8](repeating: 0, count: plain.count + 1)
    _ = try stream.withUnsafeBytes { stream in
      try decoded.withUnsafeMutableBytes { try scanner.decode(stream, into: $0) }
    }
    #expect(scanner.isAtEnd)
    let boundaries = scanner.boundaries
    var repeatedCount = 0
    var tried = 0
    for (start, end) in zip(boundaries, boundaries.dropFirst().dropLast())
    where end.plainOffset > start.plainOffset {
      tried += 1
      let carry = RunEncoder.Carry(
        bits: UInt8(start.bitOffset % 8), value: stream[Int(start.bitOffset / 8)])
      let expected = stream[Int(start.bitOffset / 8)..<Int(end.bitOffset / 8)]
      let part = Int(start.plainOffset)..<Int(end.plainOffset)
      if try replay(.gnuGzip(level: level), plain, part, carry: carry).starts(with: expected) {
        repeatedCount += 1
      }
    }
    // At levels 1 to 3 the chains depend on all earlier matches.
    #expect(
      tried > 10 && repeatedCount * 10 >= tried * (level < 4 ? 3 : 9),
      "\(repeatedCount) of \(tried)")
  }

  @Test(arguments: [1, 2, 3, 5, 9, 13, 16, 19] as [UInt8])
  func `frames of the zstd tool are repeated job by job`(_ level: UInt8) throws {
    var random = SplitMix64(UInt64(level))
    let windowLog = ZstdJobCompressor.windowLog(level: level)
    let method = StreamMethod.zstd(level: level, windowLog: windowLog)
    // Two jobs and a part of a third one where jobs are small.
    let plain = mixedBytes(&random, min(2 * method.blockBytes, 9 << 20) + 300_001)
    for script in [
      "cat \"$1\" | zstd -q -\(level) -T0 > \"$2\"", "zstd -q -\(level) -T1 \"$1\" -o \"$2\"",
    ] {
      let packed = try output(of: script, plain)
      let layout = try #require(ZstdFrameLayout(Array(packed.prefix(18))))
      #expect(layout.windowLog == windowLog && layout.checksumBytes == 4)
      #expect([nil, UInt64(plain.count)].contains(layout.contentBytes))
      var repeated = Array(packed.prefix(layout.headerBytes))
      for start in stride(from: 0, to: plain.count, by: method.blockBytes) {
        let part = start..<min(start + method.blockBytes, plain.count)
        repeated += try replay(method, plain, part)
      }
      #expect(repeated.elementsEqual(packed.dropLast(4)), "level \(level): \(script)")
    }
  }

  @Test func `a frame of whole jobs from a pipe ends with an empty block`() throws {
    var random = SplitMix64(5)
    let method = StreamMethod.zstd(level: 1, windowLog: 19)
    let plain = mixedBytes(&random, 2 * method.blockBytes)
    let packed = try output(of: "cat \"$1\" | zstd -q -1 > \"$2\"", plain)
    #expect(packed.dropLast(4).suffix(3) == [1, 0, 0])
  }

  @Test func `a method with settings that no encoder has is refused`() {
    #expect(StreamMethod.gnuGzip(level: 9).isPossible)
    #expect(!StreamMethod.gnuGzip(level: 0).isPossible)
    #expect(!StreamMethod(.gnuGzip, level: 6, history: .dictionary).isPossible)
    #expect(StreamMethod.zstd(level: 19, windowLog: 23).isPossible)
    for (level, window, job) in [
      (0, 20, 4 << 20), (20, 23, 32 << 20), (3, 27, 8 << 20), (3, 21, 1 << 30),
    ] {
      let method = StreamMethod(
        .zstd, level: UInt8(level), memoryLevel: UInt8(window), history: .dictionary,
        blockBytes: job)
      #expect(!method.isPossible, "level \(level), window \(window), job \(job)")
    }
  }
}

@Suite struct ZstdFrameLayoutTests {
  @Test func `the header of a frame tells its window, content and checksum`() throws {
    let piped = try #require(ZstdFrameLayout([0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x60, 0, 0]))
    #expect(piped.headerBytes == 6 && piped.windowLog == 22 && piped.contentBytes == nil)
    let known = try #require(
      ZstdFrameLayout([0x28, 0xb5, 0x2f, 0xfd, 0x84, 0x60, 0x00, 0x1c, 0x69, 0x08, 0]))
    #expect(
      known.headerBytes == 10 && known.contentBytes == 0x0869_1c00 && known.checksumBytes == 4)
    let single = try #require(
      ZstdFrameLayout([0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0x01, 0x00, 0x10, 0x00, 0]))
    #expect(single.headerBytes == 9 && single.windowLog == 21 && single.checksumBytes == 0)
  }

  @Test func `a header that is cut off, reserved or for a dictionary is refused`() {
    #expect(ZstdFrameLayout([0x28, 0xb5, 0x2f, 0xfd, 0x84, 0x60, 0x00]) == nil)
    #expect(ZstdFrameLayout([0x28, 0xb5, 0x2f, 0xfd, 0x08, 0x60, 0, 0]) == nil)
    #expect(ZstdFrameLayout([0x28, 0xb5, 0x2f, 0xfd, 0x01, 0x60, 0, 0]) == nil)
    #expect(ZstdFrameLayout([0x28, 0xb5, 0x2f]) == nil)
    #expect(ZstdFrameLayout.skippableBytes([0x5a, 0x2a, 0x4d, 0x18, 1, 2, 0, 0]) == 513)
    #expect(ZstdFrameLayout.block([7, 0, 0]) == nil)
  }
}
