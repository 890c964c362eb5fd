// xz streams of independent blocks, compared with the xz tool.

import Codec
import Foundation
import TestSupport
import Testing

@Suite struct XzStreamTests {
  private func size(_ block: [UInt8], _ plain: Int) throws -> XzBlockSize {
    try block.withUnsafeBytes {
      try XzBlockCompressor.size(of: $0, plainBytes: UInt64(plain))
    }
  }

  @Test(.usesTools, arguments: seeds)
  func `blocks of any kind and number form one stream that every reader accepts`(_ seed: UInt64)
    throws
  {
    var random = SplitMix64(seed)
    let compressor = XzBlockCompressor(preset: 1)
    let segments: [[UInt8]] = (0..<Int(random.next() % 9)).map { i in
      switch i % 4 {
      case 0: random.bytes(Int(random.next() % 300_000))
      case 1: [UInt8](repeating: 7, count: Int(random.next() % 3_000_000))
      case 2: (0..<Int(random.next() % 200_000)).map { UInt8(truncatingIfNeeded: $0 / 9) }
      default: [1]
      }
    }
    var stream = XzStream.header
    var sizes: [XzBlockSize] = []
    for segment in segments {
      let block = try segment.withUnsafeBytes { try compressor.compress($0) }
      #expect(block.count % 4 == 0)
      // Earlier input does not change the output.
      #expect(
        try segment.withUnsafeBytes { try XzBlockCompressor(preset: 1).compress($0) } == block)
      sizes.append(try size(block, segment.count))
      stream += block
    }
    stream += try XzStream.end(of: sizes)
    let directory = try TemporaryDirectory()
    let file = directory.path("x.xz")
    try Data(stream).write(to: URL(fileURLWithPath: file))
    try Data(segments.flatMap { $0 }).write(to: URL(fileURLWithPath: directory.path("plain")))
    try shell(
      """
      xz -t "$1"; xz -dc "$1" | cmp - "$2"; busybox xzcat "$1" | cmp - "$2"; xz -T2 -dc "$1" | cmp - "$2"
      python3 -c 'import lzma,sys; sys.stdout.buffer.write(lzma.open(sys.argv[1]).read())' "$1" | cmp - "$2"
      """, file, directory.path("plain"))
    let list = try run("xz", "--robot", "--list", file).output
    #expect(list.contains("file\t1\t\(segments.count)\t\(stream.count)\t"), "seed \(seed): \(list)")
  }

  @Test func `the sizes of a damaged block are refused`() throws {
    let plain = [UInt8](repeating: 3, count: 5000)
    let block = try plain.withUnsafeBytes { try XzBlockCompressor(preset: 0).compress($0) }
    #expect(try size(block, 5000).plainBytes == 5000)
    for cut in [0, 1, 4, 11, block.count - 4] {
      #expect(throws: CodecError.self) { try size(Array(block[..<cut]), 5000) }
    }
    for at in 0..<12 {
      var bad = block
      bad[at] ^= 0x10
      #expect(throws: CodecError.self) { try size(bad, 5000) }
    }
  }
}
