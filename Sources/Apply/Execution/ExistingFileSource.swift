// The file that is about to be replaced, as a source of its successor's content. A log that has grown, a
// data base of which some pages changed, have chunks where the snapshot has them: hashing those costs less than
// decoding the frames that they are in.
//
// 1. Nothing of the file is believed: a part counts when its SHA-256 is the chunk's.
// 2. Where parts turn out to be others, more and more of those that follow are not even tried.

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
  private var isLost = false
  private var failures: UInt64 = 0
  private var passed: UInt64 = 0

  /// - Parameter sizeBytes: what the plan's maker saw.
  init(_ fileSystem: any FileSystem, _ parent: Descriptor, _ name: [UInt8], sizeBytes: UInt64) {
    self.fileSystem = fileSystem
    self.parent = parent
    self.name = name
    self.sizeBytes = sizeBytes
  }

  /// The same file for another thread.
  func again() -> ExistingFileSource {
    ExistingFileSource(fileSystem, parent, name, sizeBytes: sizeBytes)
  }

  /// The bytes of a part, in `buffer`; nil where the file has others at its place, or cannot be read.
  func bytes(
    of part: BlobPart, in buffer: UnsafeMutableRawBufferPointer
  ) -> UnsafeRawBufferPointer? {
    guard let chunk = part.chunk, part.lengthBytes <= buffer.count,
      part.offset &+ UInt64(part.lengthBytes) <= sizeBytes, !isLost
    else { return nil }
    guard passed == 0 else {
      passed -= 1
      return nil
    }
    guard let found = read(part, into: buffer), hash.digest(of: found) == chunk else {
      passed = 1 << min(failures, 16)
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
      isLost = true
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
