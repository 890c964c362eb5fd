// The file that is about to be replaced, as a source of the new content. A log file that grew, or a
// database with some changed pages, has many chunks at the same offsets as the snapshot. Hashing
// these costs less than decoding their frames.
//
// 1. The file is not trusted: a part is used only if its SHA-256 equals the chunk's id.
// 2. After mismatches, an increasing number of parts is skipped without trying them.

import Codec
import Platform
import Store

/// A file that is about to be replaced. Belongs to one thread at a time.
final class ExistingFileSource {
  private let fileSystem: any FileSystem
  private let parent: Descriptor
  private let name: [UInt8]
  private let sizeBytes: UInt64
  private var hash = SHA256()
  private var file: Descriptor?
  private var isUnreadable = false
  private var failures: UInt64 = 0
  private var skipCount: UInt64 = 0

  /// Creates a source.
  /// - Parameter sizeBytes: the file's size when the plan was made.
  init(_ fileSystem: any FileSystem, _ parent: Descriptor, _ name: [UInt8], sizeBytes: UInt64) {
    self.fileSystem = fileSystem
    self.parent = parent
    self.name = name
    self.sizeBytes = sizeBytes
  }

  /// Returns a source of the same file for another thread.
  func copyForThread() -> ExistingFileSource {
    ExistingFileSource(fileSystem, parent, name, sizeBytes: sizeBytes)
  }

  /// Reads a part into `buffer`.
  /// - Returns: the bytes; nil if the file has other bytes at this offset, or cannot be read.
  func bytes(
    of part: BlobPart, in buffer: UnsafeMutableRawBufferPointer
  ) -> UnsafeRawBufferPointer? {
    guard let chunk = part.chunk, part.lengthBytes <= buffer.count,
      part.offset &+ UInt64(part.lengthBytes) <= sizeBytes, !isUnreadable
    else { return nil }
    guard skipCount == 0 else {
      skipCount -= 1
      return nil
    }
    guard let found = read(part, into: buffer), hash.digest(of: found) == chunk else {
      skipCount = 1 << min(failures, 16)
      failures += 1
      return nil
    }
    failures = 0
    return found
  }

  private func read(
    _ part: BlobPart, into buffer: UnsafeMutableRawBufferPointer
  ) -> UnsafeRawBufferPointer? {
    let target = UnsafeMutableRawBufferPointer(rebasing: buffer[..<part.lengthBytes])
    guard let file = file ?? open(),
      (try? fileSystem.readFully(file.raw, at: part.offset, into: target)) == part.lengthBytes
    else {
      isUnreadable = true
      return nil
    }
    return UnsafeRawBufferPointer(target)
  }

  private func open() -> Descriptor? {
    guard
      let found = try? fileSystem.openFile(
        at: parent.raw, name, [.read, .noFollow, .nonBlocking]),
      (try? fileSystem.stat(found.raw))?.kind == .file
    else { return nil }
    file = found
    return found
  }
}
