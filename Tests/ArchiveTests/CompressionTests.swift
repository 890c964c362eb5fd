// Compressed streams, compared with the usual tools and tested with damage.

import Archive
import Foundation
import TestSupport
import Testing

@Suite(.usesTools) struct CompressionTests {
  private func plain(_ bytes: [UInt8], step: Int = .max) throws -> [UInt8] {
    let reader = DecompressingReader(source(bytes, step: step))
    return try readAll { try reader.read($0) }
  }

  private func pack(_ content: [UInt8], _ tool: String) throws -> [UInt8] {
    let directory = try TemporaryDirectory()
    try Data(content).write(to: URL(fileURLWithPath: directory.path("f")))
    try shell("cd \"$1\"; \(tool) <f >packed", directory.path)
    return try fileBytes(directory.path("packed"))
  }

  /// Returns bytes of which half are random.
  private func content(_ seed: UInt64) -> [UInt8] {
    var random = SplitMix64(seed)
    return random.bytes(60_000) + [UInt8](repeating: 7, count: 700_000) + random.bytes(1)
  }

  @Test(arguments: [
    "gzip -9", "xz -T1", "xz -9e", "xz -0 --check=sha256", "zstd -q", "zstd -q -19 --no-check",
    "zstd -q --long=27", "cat",
  ])
  func `streams of the usual tools decode in portions of any size`(_ tool: String) throws {
    for content in [content(1), [1, 2, 3], []] {
      let packed = try pack(content, tool)
      for step in [1000, 3, .max] where step > 3 || packed.count < 100_000 {
        #expect(try plain(packed, step: step) == content, "\(tool) \(step)")
      }
      if tool != "cat" { #expect(try plain(packed + packed) == content + content) }
    }
  }

  @Test(arguments: ["gzip", "xz", "zstd -q"])
  func `a truncated, changed or extended stream is an error`(_ tool: String) throws {
    let content = content(2)
    let good = try pack(content, tool)
    var random = SplitMix64(7)
    for cut in [1, 4, 5, 9, good.count / 2, good.count - 8] {
      #expect(throws: ArchiveError.self, "cut \(cut)") { try plain(Array(good.dropLast(cut))) }
    }
    for garbage in [[1], Array("garbage garbage garbage".utf8)] as [[UInt8]] {
      #expect(throws: ArchiveError.self) { try plain(good + garbage) }
    }
    for _ in 0..<60 {
      var bad = good
      let at = Int.random(in: 12..<bad.count, using: &random)
      bad[at] ^= 1 << UInt8.random(in: 0...7, using: &random)
      // The checksums of zstd and xz find every changed bit of the content.
      if let back = try? plain(bad) { #expect(back == content, "byte \(at)") }
    }
  }

  @Test func `padding after an xz stream must be a multiple of four zeros, as in xz`() throws {
    let good = try pack([1, 2, 3], "xz")
    #expect(try plain(good + [0, 0, 0, 0] + good) == [1, 2, 3, 1, 2, 3])
    #expect(throws: ArchiveError.self) { try plain(good + [0, 0]) }
  }

  @Test func `a stream that requires too much memory is refused`() throws {
    let zstd = try pack(content(3), "zstd -q --ultra --long=30")
    let xz = try pack(content(3), "xz --lzma2=dict=512MiB")
    for bytes in [zstd, xz] {
      let error = #expect(throws: ArchiveError.self) { try plain(bytes) }
      #expect(error?.reason.contains("memory") == true, "\(error?.reason ?? "")")
    }
  }

  @Test func `the skippable frame that pzstd writes first is skipped`() throws {
    let frame: [UInt8] = [0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 9, 9, 9, 9]
    #expect(try plain(frame + pack([1, 2, 3], "zstd -q")) == [1, 2, 3])
  }
}
