// The store's directory (docs/format.md, "The directory"): its contents, and the creation of a new one.
//
//     format            "imgstore store\nversion 2\n"
//     packs/<sha256>    immutable; the name is the file's SHA-256
//     doomed/<sha256>   packs that gc will delete (GarbageCollection.swift): read as a last resort
//     refs/<image>/<n>  immutable, numbered from 1; creating one is the commit
//     refs/<image>/removed   the removed numbers
//     tags/<image>/<t>  a number
//     pins/<image>/<n>  why the snapshot must be kept
//     signatures/<image>/…   statements about a snapshot and their signatures (SignatureFiles.swift)
//     journal/<image>   an unfinished change of a live image
//     quarantine/       damaged, misnamed and unexpected files that were moved away
//     tmp/              unfinished files; each is locked while its writer lives
//     locks/            never removed, never read
//     index.sqlite, index.stamp, cache/   may be deleted at any time
//     xcat/             table files, on a machine without xCAT

import Codec
import Platform

/// Decides what opening a store does if one of its directories is another kind of file, or `format` is
/// damaged.
public enum OddLayoutPolicy: Sendable {
  /// Opening fails.
  case refuse
  /// The file moves to quarantine/, and the directory or `format` is created again. Used by `repair`.
  case replace
  /// The directory counts as empty, and nothing is changed. Used by a dry run of `repair`.
  case passOver
}

/// Holds the open directories of a store.
public struct Layout: Sendable {
  /// The file system of the store. In a store with a setgid, group-writable directory it shares new files
  /// with the group.
  public let fileSystem: any FileSystem
  /// The store's directory.
  public let root: Descriptor
  /// The path under which the store was opened.
  public let path: [UInt8]
  let packs: Descriptor
  let doomed: Descriptor
  let refs: Descriptor
  let tags: Descriptor
  let pins: Descriptor
  let signatures: Descriptor
  let journals: Descriptor
  let temporary: Descriptor
  let locks: Descriptor
  /// The directory of files that may be deleted at any time.
  public let cache: Descriptor
  /// True if the store cannot be written: its file system is read-only, or the caller lacks the rights.
  public let isReadOnly: Bool
  let refListings = RefListings()
  /// The names that opening replaced or skipped.
  let replacedNames: [String]

  static let directories = [
    "packs", "doomed", "refs", "tags", "pins", "signatures", "journal", "tmp", "locks", "cache",
  ]

  /// Opens the store at `path`, or creates one.
  /// - Parameters:
  ///   - create: whether a missing or empty directory becomes a new store.
  ///   - odd: what to do if a directory of the store is another kind of file.
  ///   - owner: who may own the store.
  /// - Throws: `incompatible` for another kind of directory or a newer version; `notFound` if there is no
  ///   store and `create` is false; `refused` if others own it or can write to it; `damaged`; `system`.
  public static func open(
    _ fileSystem: any FileSystem, path: [UInt8], create: Bool, odd: OddLayoutPolicy = .refuse,
    owner: StoreOwnerPolicy = .trusted
  ) throws(StoreError) -> Layout {
    let name = "store \(printable(path))"
    let root: Descriptor
    do throws(SystemError) {
      root = try fileSystem.openDirectory(at: fileSystem.workingDirectory, path, followLink: true)
    } catch {
      guard error.code == .notFound else { throw .system(error, name) }
      guard create else {
        throw StoreError(
          .notFound, name, "does not exist",
          hint: "Pass another path with --store, or take a first snapshot to create a store",
          code: .storeNotFound)
      }
      root = try mapSystemErrors(name) { () throws(SystemError) in
        try fileSystem.makePrivatePath(path)
        return try fileSystem.openDirectory(
          at: fileSystem.workingDirectory, path, followLink: true)
      }
    }
    try owner.check(root, fileSystem, name)
    let fileSystem = try mapSystemErrors(name) { () throws(SystemError) in
      try fileSystem.stat(root.raw).mode & 0o2050 == 0o2050
        ? fileSystem.sharingWithGroup() : fileSystem
    }
    var replacedNames: [String] = []
    if odd == .replace, try StoreFormat.restore(fileSystem, root, name) {
      replacedNames.append("format")
    }
    try StoreFormat.prepare(fileSystem, root, path, name, create: create)
    let layout = try mapDirectoryErrors(name) { () throws(SystemError) in
      var isReadOnly = false
      let locks = try directory("locks", fileSystem, root, odd, &isReadOnly, &replacedNames)
      isReadOnly = isReadOnly || !LeasePhase.canWrite(fileSystem, locks)
      func open(_ name: String) throws(SystemError) -> Descriptor {
        try directory(name, fileSystem, root, odd, &isReadOnly, &replacedNames)
      }
      let (packs, doomed, refs) = (try open("packs"), try open("doomed"), try open("refs"))
      let (tags, pins, journals) = (try open("tags"), try open("pins"), try open("journal"))
      let (temporary, cache) = (try open("tmp"), try open("cache"))
      let signatures = try open("signatures")
      return Layout(
        fileSystem: fileSystem, root: root, path: path, packs: packs, doomed: doomed, refs: refs,
        tags: tags, pins: pins, signatures: signatures, journals: journals, temporary: temporary,
        locks: locks, cache: cache, isReadOnly: isReadOnly, replacedNames: replacedNames)
    }
    try owner.checkDirectories(of: root, fileSystem, name)
    return layout
  }

  /// Runs `body` like `mapSystemErrors`, but reports a non-directory in place of a directory as damage.
  private static func mapDirectoryErrors<R>(
    _ name: String, _ body: () throws(SystemError) -> R
  ) throws(StoreError) -> R {
    do throws(SystemError) {
      return try body()
    } catch {
      guard error.code == .notDirectory || error.code == .loop else { throw .system(error, name) }
      throw StoreError(
        .damaged, name, "has a \(printable(error.path)) that is not a directory",
        hint:
          "Run 'imgstore repair', which moves it to quarantine/ and restores the contents as far as possible"
      )
    }
  }

  /// Opens a directory of the store, and creates it if it is missing.
  ///
  /// In a store that cannot be written, a missing directory counts as empty. In place of a directory
  /// without meaning (tmp, locks, cache), another kind of file is moved to quarantine/.
  private static func directory(
    _ name: String, _ fileSystem: any FileSystem, _ root: Descriptor, _ odd: OddLayoutPolicy,
    _ isReadOnly: inout Bool, _ replacedNames: inout [String]
  ) throws(SystemError) -> Descriptor {
    let bytes = Array(name.utf8)
    do {
      return try fileSystem.openDirectory(at: root.raw, bytes)
    } catch {
      if error.code == .notDirectory || error.code == .loop,
        odd != .refuse || ["tmp", "locks", "cache"].contains(name)
      {
        replacedNames.append(name)
        if odd == .passOver { return try emptyDirectory(fileSystem) }
        try moveToQuarantine(fileSystem, root, bytes)
      } else if error.code != .notFound {
        throw error
      }
    }
    do throws(SystemError) {
      try fileSystem.makeDirectoryIfAbsent(at: root.raw, bytes, .private)
    } catch {
      guard error.isReadOnly else { throw error }
      isReadOnly = true
      return try emptyDirectory(fileSystem)
    }
    return try fileSystem.openDirectory(at: root.raw, bytes)
  }

  /// Moves a file to quarantine/, like `quarantine`, but before the store is open.
  static func moveToQuarantine(
    _ fileSystem: any FileSystem, _ root: Descriptor, _ name: [UInt8]
  ) throws(SystemError) {
    try fileSystem.makeDirectoryIfAbsent(at: root.raw, quarantineName, .private)
    let target = try fileSystem.openDirectory(at: root.raw, quarantineName)
    try fileSystem.rename(
      at: root.raw, name, to: target.raw, name + Array("-\(randomName())".utf8),
      exclusively: true)
    try fileSystem.sync(target.raw)
    try fileSystem.sync(root.raw)
  }

  /// Returns an open directory that has no name and no entries.
  private static func emptyDirectory(
    _ fileSystem: any FileSystem
  ) throws(SystemError) -> Descriptor {
    let name = Array("/tmp/imgstore-\(randomName())".utf8)
    try fileSystem.makeDirectory(at: fileSystem.workingDirectory, name, mode: 0o700)
    defer { try? fileSystem.remove(at: fileSystem.workingDirectory, name, isDirectory: true) }
    return try fileSystem.openDirectory(at: fileSystem.workingDirectory, name)
  }

  private static let objectCachePrefix = Array("stat-".utf8)

  /// Returns the name of a file of `cache` that relies on stored objects. The store deletes such files when
  /// it may have lost objects.
  public func objectCacheName(_ key: Digest) -> [UInt8] {
    Layout.objectCachePrefix + Array(key.shortHex.utf8)
  }

  /// Deletes the files of `cache` that rely on stored objects.
  func removeObjectCaches() {
    if isReadOnly { return }
    for name in (try? fileSystem.names(of: cache.raw)) ?? []
    where name.starts(with: Layout.objectCachePrefix) {
      try? fileSystem.remove(at: cache.raw, name, isDirectory: false)
    }
  }
}
