// The directory of an image's standby trees. It is next to the root tree, because only entries of one file
// system can be exchanged.
//
//     rootimg/                        the live tree
//     .imgstore-TOKEN-standby/        mode 0700: nobody else reaches setuid programs of old states
//         NAME/                       a root tree in the state of a snapshot
//         NAME.stat                   its record: a stat cache whose base is that snapshot
//
// 1. TOKEN depends on the store and the image, so several stores and images may have one parent directory.
//    NAME is random.
// 2. A tree without a record, or with that of another directory, is garbage: an interrupted command left it.
//    Nothing uses it, and the next command that tidies the directory removes it.
// 3. Commands that change the directory hold the image's lock.
// 4. A directory that other users can change is never used.

import Apply
import Codec
import Ingest
import Platform
import Store

/// A root tree in the state of a snapshot, ready to be exchanged with the live one.
struct StandbyTree: Sendable {
  let image: ImageName
  /// The path of the live tree.
  let path: AbsolutePath
  /// The standby directory, open, and the tree's name in it.
  let location: ResolvedPath
  /// The tree's own path.
  let ownPath: AbsolutePath
  /// The record; nil if the tree is garbage.
  let record: StatCache?

  static let recordSuffix = Array(".stat".utf8)

  var recordName: [UInt8] { location.name + StandbyTree.recordSuffix }

  /// Returns whether the tree was verified to be the root tree of a snapshot.
  func isRecorded(as component: Snapshot.Component) -> Bool {
    component.path == path.bytes && record?.describes(component) == true
  }
}

/// The directory of the standby trees of one image.
struct StandbyDirectory {
  let context: Context
  let image: ImageName
  /// The path of the live tree.
  let path: AbsolutePath
  /// The location of the live tree.
  let live: ResolvedPath
  let descriptor: Descriptor

  /// Returns the name of the directory.
  static func name(_ context: Context, _ image: ImageName) -> [UInt8] {
    let key = SHA256.digest(of: context.storePath + [0] + context.cacheKey(image).bytes)
    return TemporaryName.prefix(String(key.hex.prefix(16))) + Array("-standby".utf8)
  }

  /// Opens the standby directory next to a root tree.
  /// - Parameter create: whether to create a missing directory.
  /// - Returns: nil if it, or the directory of the tree, does not exist.
  /// - Throws: `ImageError` (`accessDenied`) if other users own it or may enter it; `SystemError`.
  static func open(
    _ context: Context, _ image: ImageName, at path: AbsolutePath, create: Bool = false
  ) throws -> StandbyDirectory? {
    if path.isRoot { return nil }
    let live: ResolvedPath
    do throws(SystemError) { live = try LivePaths(context).locate(path) } catch {
      if error.isAbsent || error.code == .loop { return nil }
      throw error
    }
    let name = name(context, image)
    if create {
      do throws(SystemError) {
        try context.fileSystem.makeDirectory(at: live.directory.raw, name, mode: 0o700)
      } catch { guard error.code == .exists else { throw error } }
    }
    guard let stat = try context.fileSystem.statIfPresent(at: live.directory.raw, name) else {
      return nil
    }
    guard stat.kind == .directory, isTrustedOwner(stat.uid), stat.mode & 0o077 == 0 else {
      throw ImageError(
        .accessDenied, printable(path.parent.appending(name).bytes),
        "is not a directory that only its owner may enter, so its standby trees are not used",
        hint: "Remove it; 'imgstore standby' makes it again")
    }
    return StandbyDirectory(
      context: context, image: image, path: path, live: live,
      descriptor: try context.fileSystem.openDirectory(at: live.directory.raw, name))
  }

  var name: [UInt8] { StandbyDirectory.name(context, image) }

  /// Returns the location of a tree that does not exist yet.
  func newLocation() -> ResolvedPath {
    ResolvedPath(directory: descriptor, name: Array(randomName().utf8))
  }

  /// Returns the tree of a name in the directory, with its record.
  func tree(named name: [UInt8]) throws -> StandbyTree {
    let location = ResolvedPath(directory: descriptor, name: name)
    let stat = try context.fileSystem.statIfPresent(at: descriptor.raw, name)
    let record = StatCache.load(
      context.fileSystem, at: descriptor, name + StandbyTree.recordSuffix)
    let isValid = stat.flatMap { record?.isRecord(of: $0, at: path.bytes) } ?? false
    return StandbyTree(
      image: image, path: path, location: location,
      ownPath: path.parent.appending(self.name).appending(name), record: isValid ? record : nil)
  }

  /// Returns all trees, garbage included, in the order of their names.
  func trees() throws -> [StandbyTree] {
    try context.fileSystem.names(of: descriptor.raw).sorted(by: precedes)
      .filter { !$0.contains(0x2e) }.map { try tree(named: $0) }
  }

  /// Removes a tree and its record. A tree that is only partly removed has no record any more.
  func remove(_ tree: StandbyTree) throws {
    try context.fileSystem.removeIfPresent(at: descriptor.raw, tree.recordName)
    try StoreProtection(context).treeRemover().remove(at: descriptor.raw, tree.location.name)
  }

  /// Removes records without a tree, and the directory itself if it is empty.
  func tidy() throws {
    let names = Set(try context.fileSystem.names(of: descriptor.raw))
    for name in names where name.contains(0x2e) {
      let tree = Array(name.prefix { $0 != 0x2e })
      guard !names.contains(tree) || name != tree + StandbyTree.recordSuffix else { continue }
      try context.fileSystem.removeIfPresent(at: descriptor.raw, name)
    }
    if try context.fileSystem.names(of: descriptor.raw).isEmpty {
      try context.fileSystem.remove(at: live.directory.raw, name, isDirectory: true)
    }
  }
}

extension FileSystem {
  /// Removes a file; a missing file is not an error.
  fileprivate func removeIfPresent(at directory: Int32, _ name: [UInt8]) throws(SystemError) {
    do throws(SystemError) { try remove(at: directory, name, isDirectory: false) } catch {
      guard error.code == .notFound else { throw error }
    }
  }
}
