// An earlier version of the tree that an archive contains: what the archive's files are compressed against
// (Predecessors.swift).

import Codec
import Platform
import Store

/// The root tree of an earlier snapshot.
public struct EarlierTree: Sendable {
  fileprivate let store: ObjectStore
  fileprivate let ids: Tree.IDs

  /// Creates a description of the root tree of a snapshot; nil if the snapshot has none.
  public init?(_ store: ObjectStore, _ earlier: Snapshot) {
    guard let ids = earlier.components.first(where: { $0.role == .rootTree })?.entry.ids else {
      return nil
    }
    self.store = store
    self.ids = ids
  }
}

/// Finds the earlier versions of an archive's files by their paths. Belongs to one thread.
final class EarlierFiles {
  /// The most entries in memory, apart from those of the directories on one path.
  private static let maxEntries = 1 << 16
  /// Files below more directories have no predecessor.
  private static let maxDepth = 64

  private let tree: EarlierTree
  private var entryCount = 0
  private var directories: [[UInt8]: EarlierDirectory?] = [:]

  init(_ tree: EarlierTree) { self.tree = tree }

  /// Returns the earlier version of a file; nil if there is none.
  /// - Parameters:
  ///   - path: the path in the tree, without a slash at its start.
  ///   - sizeBytes: the size of the new version.
  func predecessor(of path: [UInt8], sizeBytes: UInt64) -> BlobPredecessor? {
    let separators = path.indices.filter { path[$0] == UInt8(ascii: "/") }
    guard separators.count <= EarlierFiles.maxDepth else { return nil }
    if entryCount >= EarlierFiles.maxEntries {
      directories.removeAll()
      entryCount = 0
    }
    var directory = load([]) { tree.ids }
    var start = 0
    for end in separators {
      guard let parent = directory else { return nil }
      directory = load(Array(path[..<end])) {
        parent.entry(Array(path[start..<end]), .directory)?.ids
      }
      start = end + 1
    }
    guard
      case .file(let blob, let earlierBytes)? = directory?.entry(Array(path[start...]), .file)?
        .content, earlierBytes > 0
    else { return nil }
    return BlobPredecessor(blob, sizeBytes: earlierBytes, newSizeBytes: sizeBytes)
  }

  /// Returns the earlier version of a directory; nil if there is none, or it cannot be read.
  private func load(_ path: [UInt8], _ ids: () -> Tree.IDs?) -> EarlierDirectory? {
    if let known = directories[path] { return known }
    var found: EarlierDirectory?
    if let ids = ids(), let entries = try? Tree.entries(ids, from: tree.store) {
      found = EarlierDirectory(entries)
    }
    entryCount += 1 + (found?.count ?? 0)
    directories[path] = .some(found)
    return found
  }
}
