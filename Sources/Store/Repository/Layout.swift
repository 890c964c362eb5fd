// The store's folder (docs/format.md, "The folder"): what lies where, and making a new one.
//
//     format            "imgstore store\nversion 2\n"
//     packs/<sha256>    immutable; the name is the file's SHA-256
//     doomed/<sha256>   packs on their way out (GarbageCollection.swift): read, never relied on
//     refs/<image>/<n>  immutable, numbered from 1; creating one is the commit
//     refs/<image>/removed   which numbers were removed
//     tags/<image>/<t>  a number
//     pins/<image>/<n>  why the snapshot must stay
//     signatures/<image>/…   what was signed of a snapshot, and the signatures (SignatureFiles.swift)
//     journal/<image>   a change of a live image that is under way
//     quarantine/       damaged, misnamed and odd files that were moved out of the way
//     tmp/              unfinished files; each is locked by its writer while it lives
//     locks/            never removed, never read
//     index.sqlite, index.stamp, cache/   may be deleted at any time
//     xcat/             table files, where the machine has no xCAT

import Codec
import Platform

/// What opening a store does where something else has the name of one of its folders, or `format` is
/// damaged.
public enum OddLayoutPolicy: Sendable {
  /// The store cannot be opened.
  case refuse
  /// It moves to quarantine/, and the folder or file is made: what `repair` does.
  case replace
  /// The folder counts as empty, and nothing is changed: a dry run of `repair`.
  case passOver
}

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
  let signatures: Descriptor
  let journals: Descriptor
  let temporary: Descriptor
  let locks: Descriptor
  public let cache: Descriptor
  /// Nothing can be written: the file system is read-only, or the caller has no right to write.
  public let isReadOnly: Bool
  /// What was replaced, or passed over, to open it.
  let oddNames: [String]

  static let formatName = Array("format".utf8)
  static let folders = [
    "packs", "doomed", "refs", "tags", "pins", "signatures", "journal", "tmp", "locks", "cache",
  ]
  static let formatText = "imgstore store\nversion \(newestVersion)\n"
  /// Version 2 has refs with numbers, and records of removed ones; version 1 is read as well.
  static let newestVersion = 2

  /// Opens the store at `path`, making it where nothing is.
  /// - Parameters:
  ///   - create: whether a missing or empty folder becomes a new store.
  ///   - owner: whose store it may be.
  /// - Throws: `incompatible` where the folder is something else, or of a newer version;
  ///   `notFound` where nothing is and `create` is not set; `refused` where others own it or can write.
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
          .notFound, name, "there is no store there",
          advice: "Name another with --store, or take a first snapshot to make one")
      }
      root = try explaining(name) { () throws(SystemError) in
        try makePath(fileSystem, path)
        return try fileSystem.openDirectory(
          at: fileSystem.workingDirectory, path, followLink: true)
      }
    }
    try owner.check(root, fileSystem, name)
    let fileSystem = try explaining(name) { () throws(SystemError) in
      try fileSystem.stat(root.raw).mode & 0o2050 == 0o2050
        ? fileSystem.sharingWithGroup() : fileSystem
    }
    var oddNames: [String] = []
    if odd == .replace, try restoreFormat(fileSystem, root, name) { oddNames.append("format") }
    try prepare(fileSystem, root, path, name, create: create)
    let layout = try explainingOddFolder(name) { () throws(SystemError) in
      var isReadOnly = false
      let locks = try folder("locks", fileSystem, root, odd, &isReadOnly, &oddNames)
      isReadOnly = isReadOnly || !LeasePhase.canWrite(fileSystem, locks)
      func open(_ name: String) throws(SystemError) -> Descriptor {
        try folder(name, fileSystem, root, odd, &isReadOnly, &oddNames)
      }
      let (packs, doomed, refs) = (try open("packs"), try open("doomed"), try open("refs"))
      let (tags, pins, journals) = (try open("tags"), try open("pins"), try open("journal"))
      let (temporary, cache) = (try open("tmp"), try open("cache"))
      let signatures = try open("signatures")
      return Layout(
        fileSystem: fileSystem, root: root, path: path, packs: packs, doomed: doomed, refs: refs,
        tags: tags, pins: pins, signatures: signatures, journals: journals, temporary: temporary,
        locks: locks, cache: cache, isReadOnly: isReadOnly, oddNames: oddNames)
    }
    try owner.checkFolders(of: root, fileSystem, name)
    return layout
  }

  /// `explaining`, where something that is no folder in the place of one is damage.
  private static func explainingOddFolder<R>(
    _ name: String, _ body: () throws(SystemError) -> R
  ) throws(StoreError) -> R {
    do throws(SystemError) {
      return try body()
    } catch {
      guard error.code == .notDirectory || error.code == .loop else { throw .system(error, name) }
      throw StoreError(
        .damaged, name, "\(printable(error.path)) in it is no folder",
        advice: "'imgstore repair' moves it away, and restores what can be restored")
    }
  }

  /// Opens a folder of the store, making it where it is missing.
  ///
  /// In a store that cannot be written a missing folder is an empty one. Something else under the name
  /// of a folder that carries no meaning is moved to quarantine/.
  private static func folder(
    _ name: String, _ fileSystem: any FileSystem, _ root: Descriptor, _ odd: OddLayoutPolicy,
    _ isReadOnly: inout Bool, _ oddNames: inout [String]
  ) throws(SystemError) -> Descriptor {
    let bytes = Array(name.utf8)
    do {
      return try fileSystem.openDirectory(at: root.raw, bytes)
    } catch {
      if error.code == .notDirectory || error.code == .loop,
        odd != .refuse || ["tmp", "locks", "cache"].contains(name)
      {
        oddNames.append(name)
        if odd == .passOver { return try emptyFolder(fileSystem) }
        try setAside(fileSystem, root, bytes)
      } else if error.code != .notFound {
        throw error
      }
    }
    do throws(SystemError) {
      try makeDirectoryIfAbsent(fileSystem, root, bytes)
    } catch {
      guard error.isReadOnly else { throw error }
      isReadOnly = true
      return try emptyFolder(fileSystem)
    }
    return try fileSystem.openDirectory(at: root.raw, bytes)
  }

  /// `quarantine`, for what is in the way before the store is open.
  static func setAside(
    _ fileSystem: any FileSystem, _ root: Descriptor, _ name: [UInt8]
  ) throws(SystemError) {
    try makeDirectoryIfAbsent(fileSystem, root, quarantineName)
    let target = try fileSystem.openDirectory(at: root.raw, quarantineName)
    try fileSystem.rename(
      at: root.raw, name, to: target.raw, name + Array("-\(randomName())".utf8),
      exclusively: true)
    try fileSystem.sync(target.raw)
    try fileSystem.sync(root.raw)
  }

  /// An open folder that has no name and no entries.
  private static func emptyFolder(
    _ fileSystem: any FileSystem
  ) throws(SystemError) -> Descriptor {
    let name = Array("/tmp/imgstore-\(randomName())".utf8)
    try fileSystem.makeDirectory(at: fileSystem.workingDirectory, name, mode: 0o700)
    defer { try? fileSystem.remove(at: fileSystem.workingDirectory, name, isDirectory: true) }
    return try fileSystem.openDirectory(at: fileSystem.workingDirectory, name)
  }

  static let statCachePrefix = Array("stat-".utf8)

  /// The name of a stat cache in `cache`.
  public func statCacheName(_ key: Digest) -> [UInt8] {
    Layout.statCachePrefix + Array(key.shortHex.utf8)
  }

  /// Forgets every stat cache: for when objects may have been lost.
  func removeStatCaches() {
    if isReadOnly { return }
    for name in (try? fileSystem.names(of: cache.raw)) ?? []
    where name.starts(with: Layout.statCachePrefix) {
      try? fileSystem.remove(at: cache.raw, name, isDirectory: false)
    }
  }

  /// Checks the format file; in an empty folder, writes it.
  static func prepare(
    _ fileSystem: any FileSystem, _ root: Descriptor, _ path: [UInt8], _ name: String, create: Bool
  ) throws(StoreError) {
    if let text = try readFormat(fileSystem, root, name) {
      try checkFormat(text, name)
      return
    }
    let names = try explaining(name) { () throws(SystemError) in
      try fileSystem.names(of: root.raw)
    }
    try requireNoHistory(fileSystem, root, name, names.map { printable($0) })
    // A store whose making was interrupted holds nothing but empty folders and the temporary; ext4 and xfs
    // make a folder of their own at the top of a file system.
    let ours = Set(folders + ["format.new", "lost+found"])
    guard names.allSatisfy({ ours.contains(printable($0)) }) else {
      throw StoreError(
        .incompatible, name, "the folder holds other files and is no store",
        advice: "Name an empty or new folder with --store")
    }
    guard create else {
      throw StoreError(
        .notFound, name, "there is no store there",
        advice: "Name another with --store, or take a first snapshot to make one")
    }
    try explaining(name) { () throws(SystemError) in
      for folder in folders {
        try makeDirectoryIfAbsent(fileSystem, root, Array(folder.utf8))
      }
      let new = Array("format.new".utf8)
      // What an interrupted command left of it, or somebody else put there.
      if try fileSystem.statIfPresent(at: root.raw, new) != nil {
        try fileSystem.remove(at: root.raw, new, isDirectory: false)
      }
      let file = try fileSystem.openFile(
        at: root.raw, new, [.write, .create, .exclusive, .noFollow])
      try fileSystem.write(file.raw, Array(formatText.utf8))
      try fileSystem.sync(file.raw)
      let locks = try fileSystem.openDirectory(at: root.raw, Array("locks".utf8))
      try LeasePhase.prepare(fileSystem, locks)
      try fileSystem.rename(at: root.raw, new, to: root.raw, formatName, exclusively: false)
      try fileSystem.sync(root.raw)
      try syncParent(fileSystem, of: path)
    }
  }

  /// - Parameter names: what is in the folder.
  /// - Throws: `damaged` where a folder without the file `format` is a store that has snapshots.
  private static func requireNoHistory(
    _ fileSystem: any FileSystem, _ root: Descriptor, _ name: String, _ names: [String]
  ) throws(StoreError) {
    guard Set(["packs", "refs", "journal", "locks"]).isSubset(of: names) else { return }
    let isEmpty = try explaining(name) { () throws(SystemError) in
      do throws(SystemError) {
        let refs = try fileSystem.openDirectory(at: root.raw, Array("refs".utf8))
        return try fileSystem.names(of: refs.raw).isEmpty
      } catch {
        if error.code == .notDirectory || error.code == .loop { return true }
        throw error
      }
    }
    if isEmpty { return }
    throw StoreError(
      .damaged, name, "its file 'format' is gone",
      advice: "Restore that file (the two lines stand in docs/format.md): 'imgstore repair' does")
  }

  /// Makes the name of a folder durable: the store's own, or one on the way to it.
  private static func syncParent(
    _ fileSystem: any FileSystem, of path: [UInt8]
  ) throws(SystemError) {
    let parent = try fileSystem.openDirectory(
      at: fileSystem.workingDirectory, parentPath(of: path), followLink: true)
    try fileSystem.sync(parent.raw)
  }

  static func readFormat(
    _ fileSystem: any FileSystem, _ root: Descriptor, _ name: String
  ) throws(StoreError) -> String? {
    let stat = try explaining(name) { () throws(SystemError) in
      try fileSystem.statIfPresent(at: root.raw, formatName)
    }
    guard let stat else { return nil }
    guard stat.kind == .file else {
      throw StoreError(
        .damaged, name, "its file 'format' \(oddity(of: stat.kind))",
        advice: "Restore that file: docs/format.md has its two lines")
    }
    return try explaining(name) { () throws(SystemError) in
      // What may follow the two lines is of no concern.
      let file = try fileSystem.openFile(
        at: root.raw, formatName, [.read, .noFollow, .nonBlocking])
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 8)
      defer { buffer.deallocate() }
      let n = try fileSystem.readFully(file.raw, at: 0, into: buffer)
      return String(decoding: buffer[..<n], as: UTF8.self)
    }
  }

  /// The version that the store's file `format` names now.
  func formatVersion() throws(StoreError) -> Int {
    let name = "store \(printable(path))"
    guard let text = try Layout.readFormat(fileSystem, root, name) else {
      throw StoreError(.damaged, name, "its file 'format' is gone")
    }
    return try Layout.checkFormat(text, name)
  }

  @discardableResult
  private static func checkFormat(_ text: String, _ name: String) throws(StoreError) -> Int {
    let lines = text.split(separator: "\n")
    guard lines.count >= 2, lines[0] == "imgstore store", lines[1].hasPrefix("version "),
      let version = Int(lines[1].dropFirst(8))
    else {
      throw StoreError(
        .damaged, name, "its file 'format' is not one of ours",
        advice: "Restore that file (the two lines stand in docs/format.md), or name another store")
    }
    guard (1...newestVersion).contains(version) else {
      throw StoreError(
        .incompatible, name,
        "it is of format version \(version); this imgstore reads versions 1 to \(newestVersion)",
        advice: "Install a newer imgstore; this one has not touched the store")
    }
    return version
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
      try syncParent(fileSystem, of: Array(path[..<slash]))
    }
  }
}

/// The folder that holds what `path` names; "." for a relative name.
public func parentPath(of path: [UInt8]) -> [UInt8] {
  var end = path.count
  while end > 1, path[end - 1] == 0x2f { end -= 1 }
  guard let slash = path[..<end].lastIndex(of: 0x2f) else { return [0x2e] }
  return slash == 0 ? [0x2f] : Array(path[..<slash])
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
