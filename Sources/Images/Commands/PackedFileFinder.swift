// Finds the files of snapshots that may become recipes, by name and by their first bytes: the components that
// are single files, and ramdisks in trees, such as boot/initrd.img-6.1.0 of a root image.
//
// 1. A directory is read once, however many snapshots contain it.
// 2. The order is that in which files become recipes: packed images first, because their contents are then in
//    the store when files that contain them are examined.

import Codec
import Recipes
import Store

/// A file that may become a recipe.
struct PossibleRecipe {
  let path: [UInt8]
  let blob: Digest
  let sizeBytes: UInt64
}

/// Finds files that may become recipes. Belongs to one thread.
struct PackedFileFinder {
  private let store: ObjectStore
  private var visitedTrees: Set<Digest> = []
  private var visitedBlobs: Set<Digest> = []
  /// The number of files that are recipes already.
  private(set) var alreadyMade = 0

  /// The beginnings of the names of ramdisks and packed images in trees.
  private static let names = ["initrd", "initramfs", "rootimg"].map { Array($0.utf8) }

  /// - Parameter refused: files that the finder does not return.
  init(_ store: ObjectStore, leavingOut refused: Set<Digest> = []) {
    self.store = store
    visitedBlobs = refused
  }

  /// Returns the files of a snapshot that no earlier call has returned.
  /// - Throws: `StoreError`.
  mutating func files(of snapshot: Snapshot) throws -> [PossibleRecipe] {
    var files: [PossibleRecipe] = []
    let components =
      snapshot.components.filter { $0.role == .packed }
      + snapshot.components.filter { $0.role != .packed }
    for component in components {
      if let ids = component.entry.ids {
        try addFiles(in: ids, component.path, to: &files)
      } else {
        try add(component.entry, component.path, to: &files)
      }
    }
    return files
  }

  private mutating func addFiles(
    in ids: Tree.IDs, _ path: [UInt8], to files: inout [PossibleRecipe]
  ) throws {
    guard visitedTrees.insert(ids.tree).inserted else { return }
    for entry in try Tree.entries(ids, from: store) {
      let child = path + [UInt8(ascii: "/")] + entry.name
      if let ids = entry.ids {
        try addFiles(in: ids, child, to: &files)
      } else if PackedFileFinder.names.contains(where: { entry.name.starts(with: $0) }) {
        try add(entry, child, to: &files)
      }
    }
  }

  private mutating func add(_ entry: Entry, _ path: [UInt8], to files: inout [PossibleRecipe])
    throws
  {
    guard case .file(let blob, let size) = entry.content, size >= RecipeFinder.minBytes,
      visitedBlobs.insert(blob).inserted
    else { return }
    if try store.parts(of: blob, sizeBytes: size).reconstruction != nil {
      alreadyMade += 1
      return
    }
    var head = [UInt8](repeating: 0, count: Int(min(size, 512)))
    try head.withUnsafeMutableBytes { try store.fill($0, from: blob, sizeBytes: size, at: 0) }
    guard RecipeFinder.isCandidate(head, sizeBytes: size) else { return }
    files.append(PossibleRecipe(path: path, blob: blob, sizeBytes: size))
  }
}
