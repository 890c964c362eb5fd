// A file without a name that a thread of its own writes, block by block.

/// A file that is written by a thread of its own. Where the file system allows it, writes bypass the page
/// cache, because the bytes are not read again soon.
public final class StagedFile: Sendable {
  /// Direct writes have this length in bytes and this alignment in memory.
  public static let blockBytes = 4096

  private struct State {
    var writtenBytes: UInt64 = 0
    var hasFailed = false
  }

  /// The open file.
  public let descriptor: Descriptor
  private let fileSystem: any FileSystem
  private let state: Monitor<State>
  private let thread: BufferPipeline

  /// Opens a file without a name on the file system of `directory`; nil if that is not possible.
  public init?(_ fileSystem: any FileSystem, in directory: Descriptor) {
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
  public func finish(sizeBytes: UInt64) -> Bool {
    thread.wait()
    let state = state.withLock { $0 }
    guard !state.hasFailed, state.writtenBytes >= sizeBytes else { return false }
    return (try? fileSystem.truncate(descriptor.raw, to: sizeBytes)) != nil
  }
}
