// The objects in `dirs/` whose packs are in the location index, so that a new pack does not mean reading all of them.
//
// 1. An object in `dirs/` never changes, so it is known for ever. Its name does not tell which packs it has.
// 2. The record may be wrong, lost or damaged at any time: a pack whose directory is not found is looked for in all
//    objects, or read itself. So only the number of requests depends on the record.

import Codec
import Platform

/// Keeps the names in the cache directory, or in memory. Any thread may call its methods.
final class KnownDirectories: Sendable {
  private let fileSystem: any FileSystem
  /// The directory of the record; nil keeps it in memory.
  private let directory: Descriptor?
  private let memory = Monitor<Set<Digest>>([])
  private static let fileName = Array("directories".utf8)
  private static let maxBytes = 64 << 20

  init(_ fileSystem: any FileSystem, path: [UInt8]?) {
    self.fileSystem = fileSystem
    directory = path.flatMap { path in
      try? fileSystem.makePrivatePath(path)
      return try? fileSystem.openDirectory(at: fileSystem.workingDirectory, path)
    }
  }

  /// Returns the known names.
  func load() -> Set<Digest> {
    guard let directory else { return memory.withLock { $0 } }
    guard
      let bytes = try? fileSystem.readSmallFile(
        at: directory.raw, KnownDirectories.fileName, limitBytes: KnownDirectories.maxBytes)
    else { return [] }
    let count = bytes.count / Digest.byteCount
    return bytes.withUnsafeBytes { bytes in
      Set(
        (0..<count).compactMap {
          Digest(
            reading: UnsafeRawBufferPointer(
              rebasing: bytes[($0 * Digest.byteCount)..<(($0 + 1) * Digest.byteCount)]))
        })
    }
  }

  /// Replaces the record.
  func save(_ names: Set<Digest>) {
    guard let directory else { return memory.withLock { $0 = names } }
    var writer = ByteWriter()
    for name in names.sorted() { writer.digest(name) }
    try? fileSystem.replaceFile(
      at: directory.raw, KnownDirectories.fileName, with: writer.bytes)
  }

  /// Forgets all names, because the index was dropped.
  func clear() { save([]) }
}
