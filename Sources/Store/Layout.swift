// The store's folder (docs/format.md, "The folder"): what lies where, and making a new one.
//
//     format            "imgstore store\nversion 1\n"
//     packs/<sha256>    immutable; the name is the file's SHA-256
//     doomed/<sha256>   packs on their way out (GarbageCollection.swift): read, never relied on
//     refs/<image>/<n>  immutable, numbered from 1; creating one is the commit
//     tags/<image>/<t>  a number
//     pins/<image>/<n>  why the snapshot must stay
//     journal/<image>   a change of a live image that is under way
//     tmp/              unfinished files; each is locked by its writer while it lives
//     locks/            never removed, never read
//     index.sqlite, index.stamp, cache/   may be deleted at any time
//     xcat/             table files, where the machine has no xCAT

import Codec
import Platform

/// The open folders of a store.
public struct Layout: Sendable {
  public let fileSystem: any FileSystem
  public let root: Descriptor
  public let path: [UInt8]
  let packs: Descriptor
  let doomed: Descriptor
  let refs: Descriptor
  let tags: Descriptor
  let pins: Descriptor
  let journals: Descriptor
  let temporary: Descriptor
  let locks: Descriptor
  public let cache: Descriptor

  static let formatName = Array("format".utf8)
  private static let folders = [
    "packs", "doomed", "refs", "tags", "pins", "journal", "tmp", "locks", "cache",
  ]
  static let formatText = "imgstore store\nversion 1\n"

  /// Opens the store at `path`, making it where nothing is.
  /// - Parameter create: whether a missing or empty folder becomes a new store.
  /// - Throws: `incompatible` where the folder is something else, or of a newer version;
  ///   `missing` where nothing is and `create` is not set.
  public static func open(
    _ fileSystem: any FileSystem, path: [UInt8], create: Bool
  ) throws(StoreError) -> Layout {
    let name = "store \(printable(path))"
    let root: Descriptor
    do throws(SystemError) {
      root = try fileSystem.openDirectory(at: fileSystem.workingDirectory, path, followLink: true)
    } catch {
      guard error.code == .notFound else { throw .system(error, name) }
      guard create else {
        throw StoreError(
          .missing, name, "there is no store there",
          advice: "Name another with --store, or take a first snapshot to make one")
      }
      root = try explaining(name) { () throws(SystemError) in
        try makePath(fileSystem, path)
        return try fileSystem.openDirectory(
          at: fileSystem.workingDirectory, path, followLink: true)
      }
    }
    try prepare(fileSystem, root, name, create: create)
    return try explaining(name) { () throws(SystemError) in
      func folder(_ name: String) throws(SystemError) -> Descriptor {
        let bytes = Array(name.utf8)
        do {
          return try fileSystem.openDirectory(at: root.raw, bytes)
        } catch {
          guard error.code == .notFound else { throw error }
          try makeDirectoryIfAbsent(fileSystem, root, bytes)
          return try fileSystem.openDirectory(at: root.raw, bytes)
        }
      }
      return Layout(
        fileSystem: fileSystem, root: root, path: path, packs: try folder("packs"),
        doomed: try folder("doomed"), refs: try folder("refs"), tags: try folder("tags"),
        pins: try folder("pins"), journals: try folder("journal"), temporary: try folder("tmp"),
        locks: try folder("locks"), cache: try folder("cache"))
    }
  }

  static let statCachePrefix = Array("stat-".utf8)

  /// The name of a stat cache in `cache`.
  public func statCacheName(_ key: Digest) -> [UInt8] {
    Layout.statCachePrefix + Array(key.shortHex.utf8)
  }

  /// Forgets every stat cache: for when objects may have been lost.
  func removeStatCaches() {
    for name in (try? fileSystem.names(of: cache.raw)) ?? []
    where name.starts(with: Layout.statCachePrefix) {
      try? fileSystem.remove(at: cache.raw, name, isDirectory: false)
    }
  }

  /// Checks the format file; in an empty folder, writes it.
  private static func prepare(
    _ fileSystem: any FileSystem, _ root: Descriptor, _ name: String, create: Bool
  ) throws(StoreError) {
    if let text = try readFormat(fileSystem, root, name) {
      try checkFormat(text, name)
      return
    }
    let names = try explaining(name) { () throws(SystemError) in
      try fileSystem.names(of: root.raw)
    }
    // A store whose making was interrupted holds nothing but empty folders and the temporary.
    let ours = Set(folders + ["format.new"])
    guard names.allSatisfy({ ours.contains(printable($0)) }) else {
      throw StoreError(
        .incompatible, name, "the folder holds other files and is no store",
        advice: "Name an empty or new folder with --store")
    }
    guard create else {
      throw StoreError(
        .missing, name, "there is no store there",
        advice: "Name another with --store, or take a first snapshot to make one")
    }
    try explaining(name) { () throws(SystemError) in
      for folder in folders {
        try makeDirectoryIfAbsent(fileSystem, root, Array(folder.utf8))
      }
      let new = Array("format.new".utf8)
      let file = try fileSystem.openFile(at: root.raw, new, [.write, .create, .truncate])
      try fileSystem.write(file.raw, Array(formatText.utf8))
      try fileSystem.sync(file.raw)
      let locks = try fileSystem.openDirectory(at: root.raw, Array("locks".utf8))
      try LeasePhase.prepare(fileSystem, locks)
      try fileSystem.rename(at: root.raw, new, to: root.raw, formatName, exclusively: false)
      try fileSystem.sync(root.raw)
    }
  }

  private static func readFormat(
    _ fileSystem: any FileSystem, _ root: Descriptor, _ name: String
  ) throws(StoreError) -> String? {
    do throws(SystemError) {
      return String(
        decoding: try fileSystem.readSmallFile(at: root.raw, formatName, limitBytes: 4096),
        as: UTF8.self)
    } catch {
      if error.code == .notFound { return nil }
      throw .system(error, name)
    }
  }

  private static func checkFormat(_ text: String, _ name: String) throws(StoreError) {
    let lines = text.split(separator: "\n")
    guard lines.count >= 2, lines[0] == "imgstore store", lines[1].hasPrefix("version "),
      let version = Int(lines[1].dropFirst(8))
    else {
      throw StoreError(
        .incompatible, name, "its file 'format' is not one of ours",
        advice: "Restore that file (the two lines stand in docs/format.md), or name another store")
    }
    guard version == 1 else {
      throw StoreError(
        .incompatible, name, "it is of format version \(version); this imgstore reads version 1",
        advice: "Install a newer imgstore; this one has not touched the store")
    }
  }

  private static func makePath(_ fileSystem: any FileSystem, _ path: [UInt8]) throws(SystemError) {
    do {
      try fileSystem.makeDirectory(at: fileSystem.workingDirectory, path, mode: 0o700)
    } catch {
      if error.code == .exists { return }
      guard error.code == .notFound, let slash = path.lastIndex(of: 0x2f), slash > 0 else {
        throw error
      }
      try makePath(fileSystem, Array(path[..<slash]))
      try makeDirectoryIfAbsent(fileSystem, nil, path)
    }
  }
}

/// Makes a directory with mode 0700 unless it is there.
func makeDirectoryIfAbsent(
  _ fileSystem: any FileSystem, _ parent: Descriptor?, _ name: [UInt8]
) throws(SystemError) {
  do {
    try fileSystem.makeDirectory(
      at: parent?.raw ?? fileSystem.workingDirectory, name, mode: 0o700)
  } catch {
    if error.code != .exists { throw error }
  }
}

extension FileSystem {
  /// Writes an array at the file's position.
  public func write(_ file: Int32, _ bytes: [UInt8]) throws(SystemError) {
    var failure: SystemError?
    bytes.withUnsafeBytes { buffer in
      do throws(SystemError) { try write(file, buffer) } catch { failure = error }
    }
    if let failure { throw failure }
  }
}
