// Images that share files or folders take turns: a change locks every path that it may change, and, shared,
// every folder above, so that a change of a folder and one of something in it exclude each other.
//
// 1. A path is known by its real path below the root and by its folder's inode: links and bind mounts do
//    not make it another one.
// 2. Locks are taken in one order, after the image's own, so that nobody waits in a circle. They end with
//    the process.

import Apply
import Codec
import Ingest
import Platform
import Store
import XCAT

/// Held while this value lives.
final class FolderLocks: Sendable {
  private let locks: [FileLock]
  private let operation: ImageOperationLock?

  init(_ locks: [FileLock], _ operation: ImageOperationLock?) {
    self.locks = locks
    self.operation = operation
  }
}

extension Workspace {
  /// Takes the locks of everything that a change of an image may touch, xCAT's own included.
  /// - Parameter locksTree: takes xCAT's lock too; false where the caller has it.
  /// - Throws: `ImageError` while xCAT works on the root tree, or while another image that shares a path
  ///   has an unfinished change.
  func lockFolders(
    _ image: ImageName, _ paths: [AbsolutePath], locksTree: Bool = true
  ) throws -> FolderLocks {
    let store = try store()
    var keys = try lockKeys(paths)
    while true {
      var locks: [FileLock] = []
      for (name, isExclusive) in keys.sorted(by: { $0.key < $1.key }) {
        locks.append(
          try store.lock(named: name, exclusive: isExclusive) {
            tell("waiting: another imgstore changes a folder that image \(image) uses")
          })
      }
      // Who held a lock may have moved folders.
      let now = try lockKeys(paths)
      guard now != keys else {
        try requireNoneUnfinished(besides: image, paths)
        return FolderLocks(locks, locksTree ? try xcatLock(paths) : nil)
      }
      keys = now
    }
  }

  /// The names of the locks, and whether each is to be exclusive.
  private func lockKeys(_ paths: [AbsolutePath]) throws -> [String: Bool] {
    var keys: [String: Bool] = [:]
    for path in Set(paths) {
      var folder = path.parent
      var place: ResolvedPath?
      // What is missing is made below the nearest folder that exists.
      while place == nil {
        do throws(SystemError) {
          let found = try resolver.resolve(
            folder == path.parent ? path : folder, followLast: folder != path.parent)
          place = found
        } catch {
          guard error.isAbsent || error.code == .loop, !folder.components.isEmpty else {
            throw error
          }
          folder = folder.parent
        }
      }
      guard let place else { continue }
      let real = realPath(place)
      let missing = path.components.dropFirst(folder.components.count + 1)
      let whole = real + missing.flatMap { [0x2f] + $0 }
      keys[FolderKey.path(whole)] = true
      let stat = try fileSystem.stat(place.directory.raw)
      keys[FolderKey.entry(stat, place.name)] = true
      for end in whole.indices where whole[end] == 0x2f && end > 0 {
        let key = FolderKey.path(Array(whole[..<end]))
        keys[key] = keys[key] ?? false
      }
    }
    return keys
  }

  private enum FolderKey {
    static func path(_ path: [UInt8]) -> String { "folder-" + short(path) }

    static func entry(_ folder: FileStat, _ name: [UInt8]) -> String {
      "folder-" + short(Array("\(folder.device) \(folder.inode) ".utf8) + name)
    }

    private static func short(_ bytes: [UInt8]) -> String {
      String(SHA256.digest(of: bytes).hex.prefix(32))
    }
  }

  private func requireNoneUnfinished(besides image: ImageName, _ paths: [AbsolutePath]) throws {
    for other in try store().journals.images() where other != image {
      guard let journal = try? journal(of: other) else { continue }
      let ends = [journal.target, journal.before].compactMap { $0 }
        .compactMap { try? snapshot($0, of: other)?.snapshot }
      let theirs = Set(ends.flatMap { $0.requests.map(\.path) })
      guard let shared = paths.first(where: theirs.contains) else { continue }
      let change = try unfinished(other, journal)
      throw ImageError(
        "image \(image)",
        "shares \(shared.text) with the image \(other), of which \(change.words) has not ended",
        advice: change.advice)
    }
  }

  /// xCAT's lock of the root tree among the paths.
  private func xcatLock(_ paths: [AbsolutePath]) throws -> ImageOperationLock? {
    // Whoever changes a boot file works in the folder of that image's root tree.
    let trees = Set(
      paths.compactMap { path in
        path.lastComponent == ImageFiles.rootTreeName
          ? path
          : ImageFiles.bootNames.contains(path.lastComponent)
            ? path.parent.appending(ImageFiles.rootTreeName) : nil
      })
    guard let tree = trees.sorted(by: { precedes($0.bytes, $1.bytes) }).first else { return nil }
    return try ImageOperationLock.acquire(
      resolver, tree: tree, createsFolder: rootPath == [0x2f])
  }

  // MARK: Other images

  /// What the plans change that the definitions of other images name as well.
  func remarksOnSharing(_ plans: [PiecePlan], of image: ImageName) throws -> [String] {
    let changed = plans.filter { !$0.plan.isEmpty }.map(\.path)
    if changed.isEmpty { return [] }
    let tables = try tables()
    let install = try installDirectory(tables)
    var remarks: [String] = []
    for (other, definition) in try tables.definitions().sorted(by: { $0.key < $1.key })
    where other != image.text {
      let folder = ImageFiles.bootDirectory(definition, installDirectory: install)
      let lists = Set(ImageFiles.listAttributes.flatMap { ImageFiles.paths(of: $0, definition) })
      let shared = changed.filter { path in
        folder.map { path.isInside($0) && path.parent == $0 } ?? false || lists.contains(path)
      }
      if let first = shared.first {
        remarks.append(
          "the image \(other) uses \(first.text) too"
            + (shared.count > 1 ? ", and \(shared.count - 1) more paths" : "")
            + ": it changes with \(image)")
      }
    }
    return remarks
  }

  /// Leaves alone what lies outside of the image's own places, unless the request allows it.
  func keepOutside(
    _ plans: [PiecePlan], _ definitions: [ImageDefinition], _ pieces: [Snapshot.Piece],
    _ request: RevertRequest
  ) throws -> [PiecePlan] {
    if request.allowsOutside { return plans }
    let install = try installDirectory(try tables())
    var places = [install, ImportTargets.sharedLists, ImportTargets.plugins]
    for definition in definitions {
      places += [
        ImageFiles.bootDirectory(definition, installDirectory: install),
        ImageFiles.rawDirectory(definition, installDirectory: install),
      ].compactMap { $0 }
    }
    places += pieces.ownTargets
    places += try request.allowed.map { text in
      guard let path = AbsolutePath(text) else {
        throw ImageError(
          "--allow \(text)", "is not an absolute path",
          advice: "Name the file or folder that the change may reach")
      }
      return path
    }
    return plans.map { piece in
      // What goes is there by an import of this image: the target notes that it was not there before.
      guard !piece.plan.isEmpty, piece.wanted != nil,
        !places.contains(where: { piece.path.isInside($0) })
      else {
        return piece
      }
      var kept = piece
      kept.plan = Plan()
      kept.plan.skipped = [
        (
          piece.path.lastComponent,
          "it lies outside of the image's own folders; '--allow \(piece.path.text)' changes it"
        )
      ]
      return kept
    }
  }
}
