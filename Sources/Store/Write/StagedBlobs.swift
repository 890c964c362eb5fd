// Blobs that lie ready: while a bundle is read into the store, its large files are also written once
// where they will be needed, so that placing one is giving it a name.
//
// 1. A staged file has no name (O_TMPFILE): nobody can see it, and it is gone with the process.
// 2. Staging is a matter of speed alone. Whatever fails, or would take more than half of the free
//    space, is forgotten, and the blob is written from the store as any other.
// 3. A file is kept under a blob's id only by whoever has hashed all that was written to it.

import Codec
import Platform

/// Files without a name on one file system, by the blob that they hold. Any thread may call it.
public final class StagedBlobs: Sendable {
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

  /// - Parameter directory: on the file system where the blobs will be needed.
  public init(_ fileSystem: any FileSystem, on directory: Descriptor) {
    self.fileSystem = fileSystem
    self.directory = directory
    let freeBytes = (try? fileSystem.freeBytes(directory.raw)) ?? 0
    state = Monitor(State(leftBytes: freeBytes / 2))
  }

  /// A file to write a blob of that size to; nil where it is not worth it, or not possible.
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

  /// Keeps a file that holds the whole blob.
  public func keep(_ file: StagedFile, as blob: Digest, sizeBytes: UInt64) {
    guard file.finish(sizeBytes: sizeBytes) else { return }
    state.withLock { $0.files[blob] = (file, sizeBytes) }
  }

  /// The file that holds the blob, for one taker.
  public func take(_ blob: Digest, sizeBytes: UInt64) -> Descriptor? {
    state.withLock { state in
      guard let staged = state.files[blob], staged.sizeBytes == sizeBytes else { return nil }
      state.files[blob] = nil
      return staged.file.descriptor
    }
  }
}

/// One file that is being written, by a thread of its own, past the page cache where that is possible:
/// the bytes are read again by nobody soon.
public final class StagedFile: Sendable {
  /// Blocks past the page cache have this length, and lie at such addresses.
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
    // tmpfs and others know no way past the page cache.
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

  /// Adds whole blocks, aligned in memory as well; the file's last one is filled up with whatever there is.
  /// `BufferPipeline`'s rules hold for the bytes.
  public func begin(_ blocks: UnsafeRawBufferPointer) {
    precondition(blocks.count % StagedFile.blockBytes == 0, "no whole blocks")
    thread.begin(blocks)
  }

  /// Waits until the bytes are no longer needed.
  public func wait() { thread.wait() }

  /// Cuts off what is more than the file's content.
  /// - Returns: whether the file holds all that was given, and that is `sizeBytes` bytes at least.
  fileprivate func finish(sizeBytes: UInt64) -> Bool {
    thread.wait()
    let state = state.withLock { $0 }
    guard !state.hasFailed, state.writtenBytes >= sizeBytes else { return false }
    return (try? fileSystem.truncate(descriptor.raw, to: sizeBytes)) != nil
  }
}
