// Locks end when their holder releases them, even while a child process has a copy of the descriptor.

import Glibc
import Platform
import TestSupport
import Testing

@Suite struct FileLockTests {
  private let files = KernelFileSystem.shared

  @Test func `a released lock is free although another descriptor of the open file remains`() throws
  {
    let temporary = try TemporaryDirectory()
    let directory = try files.openDirectory(at: files.workingDirectory, Array(temporary.path.utf8))
    let name = Array("lock".utf8)
    let file = try files.openFile(at: directory.raw, name, [.readWrite, .create])
    #expect(try files.lock(file.raw, exclusive: true, wait: false))
    #expect(try files.lock(file.raw, byte: 7, exclusive: true, wait: false))
    // What fork(2) gives to a child.
    let copy = dup(file.raw)
    defer { close(copy) }
    let other = try files.openFile(at: directory.raw, name, [.readWrite])
    #expect(try !files.lock(other.raw, exclusive: true, wait: false))
    files.unlock(file.raw)
    #expect(try files.lock(other.raw, exclusive: true, wait: false))
    #expect(try files.lock(other.raw, byte: 7, exclusive: true, wait: false))
  }

  @Test(arguments: [true, false])
  func `a lock is free after its value is gone, although a copy of its descriptor remains`(
    _ usesKeys: Bool
  ) throws {
    let temporary = try TemporaryDirectory()
    let directory = try files.openDirectory(at: files.workingDirectory, Array(temporary.path.utf8))
    let name = Array("lock".utf8)
    func acquire() throws -> FileLock {
      usesKeys
        ? try FileLock.acquire(
          files, at: directory.raw, name, keys: [.init(byte: 7, isExclusive: true)],
          waiting: .atMost(seconds: 0))
        : try FileLock.acquire(
          files, at: directory.raw, name, exclusive: true, waiting: .atMost(seconds: 0))
    }
    var copies: [Int32] = []
    defer { for copy in copies { close(copy) } }
    do {
      let lock = try acquire()
      // What fork(2) gives to a child.
      for number in 3..<Int32(1 << 16) {
        let link = try? files.readLink(
          at: files.workingDirectory, Array("/proc/self/fd/\(number)".utf8))
        if link == Array("\(temporary.path)/lock".utf8) {
          // The copy has the same name, and must not be copied again.
          copies.append(dup(number))
          break
        }
      }
      #expect(throws: SystemError.self) { try acquire() }
      withExtendedLifetime(lock) {}
    }
    #expect(!copies.isEmpty)
    _ = try acquire()
  }
}
