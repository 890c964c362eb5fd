// Staged blobs: files without a name hold the bytes written to them, and disappear if nobody takes them.

import Codec
import Foundation
import Ingest
import Platform
import TestSupport
import Testing

@Suite struct StagedBlobsTests {
  private let kernel = KernelFileSystem.shared

  private func open(_ path: String) throws -> Descriptor {
    try kernel.openDirectory(at: kernel.workingDirectory, Array(path.utf8))
  }

  /// Writes whole blocks from rotating buffers.
  private func write(_ bytes: [UInt8], to file: StagedFile, _ random: inout SplitMix64) {
    let block = StagedFile.blockBytes
    let buffers = (0..<BufferPipeline.rangeCount).map { _ in
      UnsafeMutableRawBufferPointer.allocate(byteCount: 700 * block, alignment: block)
    }
    defer {
      file.wait()
      for buffer in buffers { buffer.deallocate() }
    }
    bytes.withUnsafeBytes { content in
      var rest = UnsafeRawBufferPointer(content)
      var i = 0
      while !rest.isEmpty {
        defer { i += 1 }
        let buffer = buffers[i % buffers.count]
        let n = min(rest.count, block * Int.random(in: 1...700, using: &random))
        buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<n]))
        let blocks = (n + block - 1) / block * block
        file.begin(UnsafeRawBufferPointer(rebasing: buffer[..<blocks]))
        rest = UnsafeRawBufferPointer(rebasing: rest[n...])
      }
    }
  }

  @Test(arguments: seeds)
  func `a staged blob gets a name and holds the written bytes`(_ seed: UInt64) throws {
    var random = SplitMix64(seed)
    // A file system on a disk, and one without direct writes.
    let memory = URL(fileURLWithPath: "/dev/shm").appendingPathComponent("imgstore-\(seed)")
    try FileManager.default.createDirectory(at: memory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: memory) }
    let disk = try TemporaryDirectory()
    for path in [disk.path, memory.path] {
      let descriptor = try open(path)
      let staged = StagedBlobs(kernel, on: descriptor)
      let size = Int(StagedBlobs.minBytes) + Int.random(in: 0...5_000_000, using: &random)
      let bytes = random.bytes(size)
      let id = SHA256.digest(of: bytes)
      let file = try #require(staged.begin(sizeBytes: UInt64(size)))
      write(bytes, to: file, &random)
      staged.keep(file, as: id, sizeBytes: UInt64(size))
      #expect(try FileManager.default.contentsOfDirectory(atPath: path) == [])
      #expect(staged.take(id, sizeBytes: UInt64(size) + 1) == nil)
      let taken = try #require(staged.take(id, sizeBytes: UInt64(size)))
      try kernel.link(open: taken.raw, to: descriptor.raw, Array("blob".utf8))
      let found = try Data(contentsOf: URL(fileURLWithPath: path + "/blob"))
      #expect(found == Data(bytes))
      #expect(staged.take(id, sizeBytes: UInt64(size)) == nil, "one taker")
    }
  }

  @Test func `small blobs and blobs too large for the disk are not staged`() throws {
    let directory = try TemporaryDirectory()
    let descriptor = try open(directory.path)
    let free = try kernel.freeBytes(descriptor.raw)
    let staged = StagedBlobs(kernel, on: descriptor)
    #expect(staged.begin(sizeBytes: StagedBlobs.minBytes - 1) == nil)
    #expect(staged.begin(sizeBytes: free / 4 * 3) == nil)
    // An announced size counts, because it cannot be checked yet.
    let first = try #require(staged.begin(sizeBytes: free / 3))
    #expect(staged.begin(sizeBytes: free / 3) == nil)
    #expect(staged.begin(sizeBytes: StagedBlobs.minBytes) != nil)
    withExtendedLifetime(first) {}
  }

  @Test func `a failed write drops that file only`() throws {
    let directory = try TemporaryDirectory()
    let descriptor = try open(directory.path)
    var random = SplitMix64(7)
    let bytes = random.bytes(9_000_000)
    let id = SHA256.digest(of: bytes)
    // Operations: free space, open, then writes.
    for operation in 1..<8 {
      let faulty = FaultyFileSystem(failing: operation, .once(.noSpace))
      let staged = StagedBlobs(faulty, on: descriptor)
      let file = staged.begin(sizeBytes: UInt64(bytes.count))
      if let file {
        write(bytes, to: file, &random)
        staged.keep(file, as: id, sizeBytes: UInt64(bytes.count))
      }
      if let taken = staged.take(id, sizeBytes: UInt64(bytes.count)) {
        #expect(try kernel.stat(taken.raw).size == UInt64(bytes.count), "operation \(operation)")
      } else {
        #expect(faulty.isHit, "operation \(operation)")
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == [])
    }
  }
}
