// Copies of refs and other immutable small objects of a depot in the cache directory.
//
// The files are not trusted: readers check them as they check the objects, and fetch a damaged one again.

import Codec
import ObjectStorage
import Platform

/// Keeps the bytes of immutable objects by their keys. Any thread may call its methods.
final class RefCache: Sendable {
  private let fileSystem: any FileSystem
  private let directory: Descriptor?
  private let memory = Monitor<[ObjectKey: [UInt8]]>([:])
  /// The bytes that are kept in memory, where there is no directory.
  private static let maxMemoryObjects = 256

  init(_ fileSystem: any FileSystem, path: [UInt8]?) {
    self.fileSystem = fileSystem
    directory = path.flatMap { path in
      try? fileSystem.makePrivatePath(path)
      return try? fileSystem.openDirectory(at: fileSystem.workingDirectory, path)
    }
  }

  private func fileName(_ key: ObjectKey) -> [UInt8] {
    Array(SHA256.digest(of: Array(key.text.utf8)).hex.utf8)
  }

  func read(_ key: ObjectKey, limitBytes: Int) -> [UInt8]? {
    guard let directory else { return memory.withLock { $0[key] } }
    return try? fileSystem.readSmallFile(
      at: directory.raw, fileName(key), limitBytes: limitBytes)
  }

  func write(_ key: ObjectKey, _ bytes: [UInt8]) {
    guard let directory else {
      return memory.withLock { memory in
        if memory.count >= RefCache.maxMemoryObjects { memory.removeAll() }
        memory[key] = bytes
      }
    }
    try? fileSystem.replaceFile(at: directory.raw, fileName(key), with: bytes)
  }

  func remove(_ key: ObjectKey) {
    guard let directory else { return memory.withLock { $0[key] = nil } }
    try? fileSystem.remove(at: directory.raw, fileName(key), isDirectory: false)
  }
}
