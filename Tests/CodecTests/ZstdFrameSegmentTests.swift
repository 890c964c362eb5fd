// Segments of zstd blocks, combined into one frame in any order, compared with the zstd tool.

import Codec
import Foundation
import TestSupport
import Testing

@Suite struct ZstdFrameSegmentTests {
  @Test(.usesTools, arguments: seeds)
  func `segments in any order form one frame that decodes to their bytes`(_ seed: UInt64) throws {
    var random = SplitMix64(seed)
    let compressor = ZstdSegmentCompressor(level: 5)
    // Repeated offsets, and zeros from the first byte: a segment must not depend on the state of
    // the previous one.
    let segments: [[UInt8]] = (0..<12).map { i in
      switch i % 6 {
      case 0: [UInt8](repeating: 0, count: Int(random.next() % 100_000))
      case 1:
        Array(
          Array("0000000000".utf8)
            + Array(repeatElement(Array("070701 0000".utf8), count: 5000).joined()))
      case 2: random.bytes(Int(random.next() % 300_000))
      case 3:
        (0..<Int(random.next() % 400_000)).map { UInt8(truncatingIfNeeded: ($0 * 7) ^ ($0 / 4)) }
      case 4: Array(repeatElement(random.bytes(8), count: 2000).joined())
      default: [UInt8(i)]
      }
    }
    let runs = try segments.map { segment in
      try segment.withUnsafeBytes { try compressor.compress($0) }
    }
    for (segment, run) in zip(segments, runs) {
      // Earlier input does not change the output.
      #expect(
        try segment.withUnsafeBytes { try ZstdSegmentCompressor(level: 5).compress($0) } == run)
    }
    let directory = try TemporaryDirectory()
    for _ in 0..<4 {
      let order = (0..<30).map { _ in Int(random.next() % UInt64(segments.count)) }
      let frame =
        ZstdSegmentCompressor.header + order.flatMap { runs[$0] } + ZstdSegmentCompressor.end
      try Data(frame).write(to: URL(fileURLWithPath: directory.path("f.zst")))
      try Data(order.flatMap { segments[$0] }).write(
        to: URL(fileURLWithPath: directory.path("plain")))
      try shell(
        "zstd -qdc \"$1\" | cmp - \"$2\"; [ $(zstd -lv \"$1\" | sed -n 's/.*Frames: *//p') = 1 ]",
        directory.path("f.zst"), directory.path("plain"))
    }
  }

  @Test func `a segment larger than a window is refused`() throws {
    let long = [UInt8](repeating: 1, count: (8 << 20) + 1)
    #expect(throws: CodecError.self) {
      try long.withUnsafeBytes { try ZstdSegmentCompressor(level: 1).compress($0) }
    }
  }
}
