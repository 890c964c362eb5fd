// Gathers small objects of `dirs/` in larger ones, so that a new client needs few requests.
//
// 1. The merged object is written before its parts are deleted. Readers skip parts that vanish, and read duplicates.
// 2. Directories of deleted packs are left out: the packs are listed after the directories were read, and a directory is
//    written after its pack.
// 3. A lost directory costs time only: readers read the pack itself.

import Codec
import Platform

/// Merges directories.
struct DirectoryMerge {
  let depot: Depot
  private static let minSmallObjects = 8

  func run() throws {
    let fetcher = DirectoryFetcher(
      storage: depot.storage, requestCount: depot.options.requestCount)
    let small = try fetcher.list().filter { $0.sizeBytes < UInt64(DirectoryObject.targetBytes / 2) }
    guard small.count >= DirectoryMerge.minSmallObjects else { return }
    // A bounded part at once: at most 64 MB of directories.
    var totalBytes: UInt64 = 0
    let group = small.sorted { $0.sizeBytes < $1.sizeBytes }.prefix { object in
      totalBytes += object.sizeBytes
      return totalBytes <= UInt64(DirectoryObject.maxBytes)
    }
    var directories: [DepotPack: PackDirectory] = [:]
    try fetcher.read(group.map(\.digest)) { _, parts in
      for part in parts { directories[part.pack] = part }
    }
    let packs = try PackListing(depot.storage).packs
    let kept = directories.values.filter { packs[$0.pack] == $0.sizeBytes }
    let names = try DirectoryUpload(storage: depot.storage).write(Array(kept))
    for object in group where !names.contains(object.digest) {
      try depot.storage.delete(DepotKeys.directory(object.digest))
    }
  }
}
