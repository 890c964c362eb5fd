// The earlier versions of files: what a new file is compressed against (docs/format.md, "Frames").
//
// A file's predecessor is the file of the same path in an earlier snapshot. If there is none, it is the file
// whose path differs only in digits: `lib/modules/6.1.0-57-amd64/…` follows `lib/modules/6.1.0-50-amd64/…`,
// and `libssl.so.3.0.19` follows `libssl.so.3.0.17`.
//
// A predecessor is a hint. A wrong one, or an unreadable earlier directory, costs bytes and nothing else.

import Codec
import Platform
import Store

/// An earlier snapshot to look for predecessors in.
public struct Predecessors: Sendable {
  let store: ObjectStore
  /// The components of the earlier snapshot by their paths.
  let components: [[UInt8]: Entry]

  /// Creates the description of an earlier snapshot.
  /// - Parameter requests: the components that are captured. A component follows that of its path, or else
  ///   that of its role.
  public init(_ store: ObjectStore, _ earlier: Snapshot, for requests: [CaptureRoot]) {
    self.store = store
    var components: [[UInt8]: Entry] = [:]
    for request in requests {
      let match =
        earlier.components.first { $0.path == request.path.bytes }
        ?? earlier.components.first { $0.role == request.role }
      components[request.path.bytes] = match?.entry
    }
    self.components = components
  }
}

/// Finds predecessors. Belongs to one thread.
final class PredecessorFinder {
  /// The most entries in memory, apart from those of one directory.
  private static let maxEntries = 1 << 16

  private let predecessors: Predecessors
  private var entryCount = 0
  private var directories: [ObjectIdentifier: EarlierDirectory?] = [:]

  init(_ predecessors: Predecessors) { self.predecessors = predecessors }

  /// Returns the earlier version of a file; nil if there is none.
  func predecessor(of entry: ScannedEntry, in directory: ScannedDirectory) -> BlobPredecessor? {
    let earlier = earlierEntry(entry.name, .file, in: directory)
    guard case .file(let blob, let sizeBytes)? = earlier?.content, sizeBytes > 0 else { return nil }
    return BlobPredecessor(blob, sizeBytes: sizeBytes, newSizeBytes: entry.stat.size)
  }

  private func earlierEntry(
    _ name: [UInt8], _ kind: FileKind, in directory: ScannedDirectory
  ) -> Entry? {
    guard directory.parent != nil else { return predecessors.components[name] }
    return earlier(directory)?.entry(name, kind)
  }

  /// Returns the earlier version of a directory; nil if there is none, or it cannot be read.
  private func earlier(_ directory: ScannedDirectory) -> EarlierDirectory? {
    if let known = directories[ObjectIdentifier(directory)] { return known }
    var found: EarlierDirectory?
    if let parent = directory.parent,
      let ids = earlierEntry(directory.name, .directory, in: parent)?.ids,
      let entries = try? Tree.entries(ids, from: predecessors.store)
    {
      found = EarlierDirectory(entries)
    }
    if entryCount >= PredecessorFinder.maxEntries {
      directories.removeAll()
      entryCount = 0
    }
    entryCount += 1 + (found?.count ?? 0)
    directories[ObjectIdentifier(directory)] = .some(found)
    return found
  }
}
