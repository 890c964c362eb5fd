// A background writer's bytes are in the file after `finish`, on every file system, or an error was
// thrown.

import Foundation
import Platform
import TestSupport
import Testing

@Suite struct BackgroundWriterTests {
  private func give(
    _ bytes: [UInt8], to writer: BackgroundWriter, _ random: inout SplitMix64
  ) throws {
    try bytes.withUnsafeBytes { content in
      var rest = UnsafeRawBufferPointer(content)
      while !rest.isEmpty {
        let n = min(rest.count, Int.random(in: 1...3_000_000, using: &random))
        try writer.write(UnsafeRawBufferPointer(rebasing: rest[..<n]))
        rest = UnsafeRawBufferPointer(rebasing: rest[n...])
      }
    }
    try writer.finish()
    #expect(writer.countBytes == UInt64(bytes.count))
  }

  private func create(_ path: String) throws -> Descriptor {
    let kernel = KernelFileSystem.shared
    return try kernel.openFile(
      at: kernel.workingDirectory, Array(path.utf8), [.write, .create, .exclusive])
  }

  @Test(arguments: seeds) func `files contain the bytes that were written`(_ seed: UInt64) throws {
    var random = SplitMix64(seed)
    let directory = try TemporaryDirectory()
    // tmpfs does not support O_DIRECT.
    let memory = "/dev/shm/imgstore-writer-\(seed)"
    defer { try? FileManager.default.removeItem(atPath: memory) }
    for (i, size) in [0, 1, 4 << 20, 4 << 20 + 1, 13_000_000, 16 << 20].enumerated() {
      for path in [directory.path("\(i)"), memory] {
        try? FileManager.default.removeItem(atPath: path)
        let bytes = random.bytes(size)
        let file = try create(path)
        let writer = BackgroundWriter(KernelFileSystem.shared, .newFile(file))
        try give(bytes, to: writer, &random)
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data(bytes), "seed \(seed)")
      }
    }
  }

  @Test func `a pipe gets every byte`() throws {
    var random = SplitMix64(5)
    let bytes = random.bytes(9_000_001)
    let pipe = Pipe()
    let reader = try startThreadCollecting(pipe.fileHandleForReading)
    let writer = BackgroundWriter(
      KernelFileSystem.shared, .open(pipe.fileHandleForWriting.fileDescriptor))
    try give(bytes, to: writer, &random)
    try pipe.fileHandleForWriting.close()
    #expect(reader.bytes() == bytes)
  }

  @Test func `an error of any write is thrown`() throws {
    var random = SplitMix64(6)
    let bytes = random.bytes(14_000_000)
    let directory = try TemporaryDirectory()
    // Three full buffers and a rest.
    for operation in 0..<4 {
      let files = FaultyFileSystem(failing: operation, .once(.noSpace))
      let file = try create(directory.path("\(operation)"))
      let writer = BackgroundWriter(files, .newFile(file))
      let error = #expect(throws: SystemError.self) { try give(bytes, to: writer, &random) }
      #expect(error?.code == .noSpace && files.isHit, "operation \(operation)")
    }
  }

  @Test
  func `a file is written although the file system rejects direct writes late`()
    throws
  {
    var random = SplitMix64(7)
    let bytes = random.bytes(14_000_000)
    let directory = try TemporaryDirectory()
    for operation in 0..<4 {
      let files = FaultyFileSystem(failing: operation, .once(.invalid))
      let path = directory.path("\(operation)")
      let file = try create(path)
      guard files.setDirect(file.raw, true) else { return }
      try give(bytes, to: BackgroundWriter(files, .newFile(file)), &random)
      let found = try Data(contentsOf: URL(fileURLWithPath: path))
      #expect(files.isHit && found == Data(bytes), "operation \(operation)")
    }
  }

  private final class Collector: @unchecked Sendable {  // read after the thread has ended
    var data: [UInt8] = []
    var thread: ThreadHandle?
    func bytes() -> [UInt8] {
      thread?.join()
      return data
    }
  }

  private func startThreadCollecting(_ handle: FileHandle) throws -> Collector {
    let collector = Collector()
    collector.thread = try startThread { collector.data = Array(handle.readDataToEndOfFile()) }
    return collector
  }
}
