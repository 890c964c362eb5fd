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

  @Test func `a lock is free after its value is gone`() throws {
    let temporary = try TemporaryDirectory()
    let directory = try files.openDirectory(at: files.workingDirectory, Array(temporary.path.utf8))
    let name = Array("lock".utf8)
    do {
      let lock = try FileLock.acquire(files, at: directory.raw, name, exclusive: true)
      #expect(try FileLock.acquireIfFree(files, at: directory.raw, name, exclusive: true) == nil)
      withExtendedLifetime(lock) {}
    }
    #expect(try FileLock.acquireIfFree(files, at: directory.raw, name, exclusive: true) != nil)
  }
}
