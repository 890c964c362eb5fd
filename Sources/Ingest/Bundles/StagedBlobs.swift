// Blobs that are written twice: while a bundle is read into the store, its large files are also written to
// the file system that needs them. Placing such a file only gives it a name.
//
// 1. A staged file has no name (O_TMPFILE): it is invisible, and disappears with the process.
// 2. Staging affects speed only. A file that fails, or would take more than half of the free space, is
//    dropped. The blob is then written from the store like any other.
// 3. Only a caller that has hashed all bytes written to a file may keep it under a blob's id.

import Codec
import Platform

/// Holds files without a name on one file system, by their blobs. All methods may be called from any thread.
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

  /// Returns a file to write a blob of that size to; nil if the blob is too small or staging is not possible.
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
