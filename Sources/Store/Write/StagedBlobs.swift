// Blobs that are written twice: while a bundle is read into the store, its large files are also written to
// the file system that needs them. Placing such a file only gives it a name.
//
// 1. A staged file has no name (O_TMPFILE): it is invisible, and disappears with the process.
// 2. Staging affects speed only. A file that fails, or would take more than half of the free space, is
//    dropped. The blob is then written from the store like any other.
// 3. Only a caller that has hashed all bytes written to a file may keep it under a blob's id.

import Codec
import Platform

/// Holds files without a name on one file system, by their blobs. All methods may be called from any
/// thread.
public final class StagedBlobs: Sendable {
  /// Smaller blobs are not staged.
  public static let minBytes: UInt64 = 4 << 20
  private static let maxFiles = 64

  private struct State {
    var files: [Digest: (file: StagedFile, sizeBytes: UInt64)] = [:]
    var leftBytes: UInt64
    var isPossible = true
  }

  private let fileSystem: any FileSystem
  private let directory: Descriptor
  private let state: Monitor<State>

  /// Creates an empty collection that may use half of the free space.
  /// - Parameter directory: a directory on the file system where the blobs will be needed.
  public init(_ fileSystem: any FileSystem, on directory: Descriptor) {
    self.fileSystem = fileSystem
    self.directory = directory
    let freeBytes = (try? fileSystem.freeBytes(directory.raw)) ?? 0
    state = Monitor(State(leftBytes: freeBytes / 2))
  }

  /// Returns a file to write a blob of that size to; nil if the blob is too small or staging is not
  /// possible.
  public func begin(sizeBytes: UInt64) -> StagedFile? {
    let isWanted = state.withLock { state in
      guard state.isPossible, sizeBytes >= StagedBlobs.minBytes, sizeBytes <= state.leftBytes,
        state.files.count < StagedBlobs.maxFiles
      else { return false }
      state.leftBytes -= sizeBytes
      return true
    }
    guard isWanted else { return nil }
    if let file = StagedFile(fileSystem, in: directory) { return file }
    state.withLock { $0.isPossible = false }
    return nil
  }

  /// Keeps a file that contains the whole blob. Drops the file if a write has failed.
  public func keep(_ file: StagedFile, as blob: Digest, sizeBytes: UInt64) {
    guard file.finish(sizeBytes: sizeBytes) else { return }
    state.withLock { $0.files[blob] = (file, sizeBytes) }
  }

  /// Returns the file that contains the blob, and removes it from the collection; nil if there is none.
  public func take(_ blob: Digest, sizeBytes: UInt64) -> Descriptor? {
    state.withLock { state in
      guard let staged = state.files[blob], staged.sizeBytes == sizeBytes else { return nil }
      state.files[blob] = nil
      return staged.file.descriptor
    }
  }
}

/// A file that is written by a thread of its own. Where the file system allows it, writes bypass the page
/// cache, because the bytes are not read again soon.
public final class StagedFile: Sendable {
  /// Direct writes have this length in bytes and this alignment in memory.
  public static let blockBytes = 4096

  private struct State {
    var writtenBytes: UInt64 = 0
    var hasFailed = false
  }

  let descriptor: Descriptor
  private let fileSystem: any FileSystem
  private let state: Monitor<State>
  private let thread: BufferPipeline

  fileprivate init?(_ fileSystem: any FileSystem, in directory: Descriptor) {
    self.fileSystem = fileSystem
    let here = Array(".".utf8)
    // tmpfs and other file systems do not support direct writes.
    guard
      let file = (try? fileSystem.openFile(at: directory.raw, here, [.write, .nameless, .direct]))
        ?? (try? fileSystem.openFile(at: directory.raw, here, [.write, .nameless]))
    else { return nil }
    descriptor = file
    let state = Monitor(State())
    self.state = state
    thread = BufferPipeline { bytes in
      guard let offset = state.withLock({ $0.hasFailed ? nil : $0.writtenBytes }) else { return }
      let hasFailed = (try? fileSystem.write(file.raw, at: offset, bytes)) == nil
      state.withLock { state in
        state.writtenBytes += UInt64(bytes.count)
        state.hasFailed = hasFailed
      }
    }
  }

  deinit { thread.wait() }

  /// Starts to write whole blocks, which are aligned in memory. The last block is padded with arbitrary
  /// bytes. The rules of `BufferPipeline` hold for the bytes.
  public func begin(_ blocks: UnsafeRawBufferPointer) {
    precondition(
      blocks.count % StagedFile.blockBytes == 0, "the length is not a multiple of the block size")
    thread.begin(blocks)
  }

  /// Waits until the bytes passed to `begin` are no longer needed.
  public func wait() { thread.wait() }

  /// Waits for the writes and truncates the file to its content.
  /// - Returns: true if all writes succeeded, and they were at least `sizeBytes` bytes.
  fileprivate func finish(sizeBytes: UInt64) -> Bool {
    thread.wait()
    let state = state.withLock { $0 }
    guard !state.hasFailed, state.writtenBytes >= sizeBytes else { return false }
    return (try? fileSystem.truncate(descriptor.raw, to: sizeBytes)) != nil
  }
}
