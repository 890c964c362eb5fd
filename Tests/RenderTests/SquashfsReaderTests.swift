// Images of mksquashfs are read as tar archives of the same tree, and damaged ones cause errors.

import Foundation
import Platform
import Render
import TestSupport
import Testing

@Suite(.usesTools) struct SquashfsReaderTests {
  /// Reads the bytes of an image for the reader.
  private func reader(_ bytes: [UInt8]) throws -> SquashfsReader {
    try SquashfsReader(sizeBytes: UInt64(bytes.count)) { offset, target in
      let start = Int(offset)
      bytes[start..<start + target.count].withUnsafeBytes { target.copyMemory(from: $0) }
    }
  }

  private func archive(_ bytes: [UInt8]) throws -> [UInt8] {
    let source = try reader(bytes).tarStream(top: Array("rootimg".utf8))
    var result: [UInt8] = []
    var window = [UInt8](repeating: 0, count: 100_000)
    while case let n = try window.withUnsafeMutableBytes({ try source($0) }), n > 0 {
      result += window[..<n]
      // A damaged image may claim far more data than it contains.
      if result.count > 64 << 20 { break }
    }
    return result
  }

  private func image(_ directory: TemporaryDirectory, _ options: String) throws -> [UInt8] {
    try runFixture("scripts/trees/make-squashfs-image.sh", directory.path, options)
    return Array(try Data(contentsOf: URL(fileURLWithPath: directory.path("image"))))
  }

  @Test(arguments: [
    "-comp gzip", "-comp xz", "-comp zstd", "-comp gzip -no-fragments", "-comp zstd -b 1M",
    "-comp gzip -always-use-fragments -b 4096", "-noI -noD -noF -noX",
  ])
  func `an image of mksquashfs is read as its tree`(_ options: String) throws {
    let directory = try TemporaryDirectory()
    let bytes = try archive(try image(directory, options))
    try Data(bytes).write(to: URL(fileURLWithPath: directory.path("image.tar")))
    try shell(
      "cd \"$1\"; mkdir out; tar --xattrs --xattrs-include='*' -xpf image.tar -C out",
      directory.path)
    // squashfs has times in seconds, and the archive has no holes.
    #expect(
      try differences(directory.path("rootimg"), directory.path("out/rootimg"), seconds: true) == ""
    )
  }

  @Test func `images with lz4 and lzo are refused, and the error names the codec`() throws {
    let directory = try TemporaryDirectory()
    var bytes = try image(directory, "-comp gzip")
    for (number, name) in [(UInt8(5), "lz4"), (3, "lzo")] {
      bytes[20] = number
      #expect { try reader(bytes) } throws: { "\($0)".contains(name) }
    }
  }

  @Test(arguments: seeds)
  func `a damaged image causes an error or is read, and never traps`(_ seed: UInt64) throws {
    let directory = try TemporaryDirectory()
    let sound = try image(directory, seed % 2 == 0 ? "-comp zstd" : "-comp gzip -noI -noD")
    var random = SplitMix64(seed)
    for _ in 0..<60 {
      var bytes = sound
      for _ in 0..<Int.random(in: 1...8, using: &random) {
        // Damage to the tables at the end and to the superblock has the most effect.
        let range =
          Bool.random(using: &random) ? bytes.count - min(bytes.count, 9000)..<bytes.count : 0..<96
        bytes[Int.random(in: range, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      if Bool.random(using: &random) {
        bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random))
      }
      _ = try? archive(bytes)
    }
  }
}
