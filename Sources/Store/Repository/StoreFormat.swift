// The file `format` of a store (docs/format.md, "The directory"), and the creation of a new store.
//
// 1. `format` is renamed into place last: a directory without it is not a store, unless it has snapshots.
// 2. One process at a time creates a store: it holds a lock on the directory. The others find a complete
//    store.
// 3. A version that this program does not know is refused before anything is read or written.

import Platform

/// The file `format`.
enum StoreFormat {
  static let fileName = Array("format".utf8)
  /// Version 4 may have frames of differences. Version 3 may have frames with bases. Version 2 has refs with
  /// numbers, and records of removed ones. Version 1 is read as well.
  static let newestVersion = 4
  /// The version that this program writes before its first frame with a base: most are frames of differences.
  static let versionWithBases = 4
  /// The version of new stores, which older programs can read until they have a frame with a base.
  static let createdVersion = 2

  /// Returns the content of the file.
  static func text(version: Int) -> String { "imgstore store\nversion \(version)\n" }

  /// Raises the version of an open store to `version`, unless it has that or a higher one.
  /// - Throws: `damaged` if the file cannot be read; `system`.
  static func upgrade(_ layout: Layout, to version: Int) throws(StoreError) {
    let present = try self.version(of: layout)
    if present >= version { return }
    // Version 1 has no records of removed snapshots, which every later version needs.
    if present < createdVersion {
      try RefLog(layout: layout).recordGaps()
      // That may have taken long. Another process may have raised the version meanwhile.
      if try self.version(of: layout) >= version { return }
    }
    try mapSystemErrors("the file format") { () throws(SystemError) in
      try TemporaryFile.write(
        Array(text(version: version).utf8), in: layout.root, as: fileName, exclusively: false,
        layout)
    }
  }

  /// Checks the format file. In an empty directory, writes it if `create` is true.
  static func prepare(
    _ fileSystem: any FileSystem, _ root: Descriptor, _ path: [UInt8], _ name: String, create: Bool
  ) throws(StoreError) {
    if let text = try read(fileSystem, root, name) {
      try check(text, name)
      return
    }
    let lock = create ? creationLock(fileSystem, root) : nil
    defer { withExtendedLifetime(lock) {} }
    if create, let text = try read(fileSystem, root, name) {
      try check(text, name)
      return
    }
    let names = try mapSystemError(name, try fileSystem.names(of: root.raw))
    try requireNoHistory(fileSystem, root, name, names.map { printable($0) })
    // A store whose creation was interrupted contains only empty directories and format.new. ext4 and xfs
    // create lost+found at the top of a file system.
    let expectedNames = Set(Layout.directories + ["format.new", "lost+found"])
    guard names.allSatisfy({ expectedNames.contains(printable($0)) }) else {
      throw StoreError(
        .incompatible, name, "contains other files and is not a store",
        hint: "Pass an empty or new directory with --store")
    }
    guard create else {
      throw StoreError(
        .notFound, name, "does not exist",
        hint: "Pass another path with --store, or take a first snapshot to create a store",
        code: .storeNotFound)
    }
    try mapSystemErrors(name) { () throws(SystemError) in
      for directory in Layout.directories {
        try fileSystem.makeDirectoryIfAbsent(at: root.raw, Array(directory.utf8), .private)
      }
      let new = Array("format.new".utf8)
      // An interrupted command, or another program, may have left a file of this name.
      if try fileSystem.statIfPresent(at: root.raw, new) != nil {
        try fileSystem.remove(at: root.raw, new, isDirectory: false)
      }
      let file = try fileSystem.openFile(
        at: root.raw, new, [.write, .create, .exclusive, .noFollow])
      try fileSystem.write(file.raw, Array(StoreFormat.text(version: createdVersion).utf8))
      try fileSystem.sync(file.raw)
      let locks = try fileSystem.openDirectory(at: root.raw, Array("locks".utf8))
      try LeasePhase.prepare(fileSystem, locks)
      try fileSystem.rename(at: root.raw, new, to: root.raw, fileName, exclusively: false)
      try fileSystem.sync(root.raw)
      try fileSystem.syncParent(of: path)
    }
  }

  /// Returns the directory with a lock on it; nil on a file system without locks of directories (NFS).
  private static func creationLock(
    _ fileSystem: any FileSystem, _ root: Descriptor
  ) -> Descriptor? {
    guard let directory = try? fileSystem.openDirectory(at: root.raw, [0x2e]),
      (try? fileSystem.lock(directory.raw, exclusive: true, wait: true)) == true
    else { return nil }
    return directory
  }

  /// Checks that a directory without the file `format` is not a store with snapshots.
  /// - Parameter names: the names in the directory.
  /// - Throws: `damaged` if there are snapshots.
  private static func requireNoHistory(
    _ fileSystem: any FileSystem, _ root: Descriptor, _ name: String, _ names: [String]
  ) throws(StoreError) {
    guard Set(["packs", "refs", "journal", "locks"]).isSubset(of: names) else { return }
    let isEmpty = try mapSystemErrors(name) { () throws(SystemError) in
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
      .damaged, name, "has no file 'format'",
      hint: "Run 'imgstore repair', which restores that file")
  }

  /// Returns the text of the format file; nil if it does not exist.
  static func read(
    _ fileSystem: any FileSystem, _ root: Descriptor, _ name: String
  ) throws(StoreError) -> String? {
    let stat = try mapSystemError(name, try fileSystem.statIfPresent(at: root.raw, fileName))
    guard let stat else { return nil }
    guard stat.kind == .file else {
      throw StoreError(
        .damaged, name, "has a 'format' that \(Layout.kindProblem(of: stat.kind))",
        hint: "Run 'imgstore repair', which restores that file")
    }
    return try mapSystemErrors(name) { () throws(SystemError) in
      // Only the first two lines count, so 4096 bytes are enough.
      let file = try fileSystem.openFile(
        at: root.raw, fileName, [.read, .noFollow, .nonBlocking])
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 8)
      defer { buffer.deallocate() }
      let n = try fileSystem.readFully(file.raw, at: 0, into: buffer)
      return String(decoding: buffer[..<n], as: UTF8.self)
    }
  }

  /// Reads the format file of an open store again and returns the version that it names.
  static func version(of layout: Layout) throws(StoreError) -> Int {
    let name = "store \(printable(layout.path))"
    guard let text = try read(layout.fileSystem, layout.root, name) else {
      throw StoreError(.damaged, name, "has no file 'format'")
    }
    return try check(text, name)
  }

  /// Returns the version that the text of a format file names.
  /// - Throws: `damaged` for other text; `incompatible` for an unknown version.
  @discardableResult
  private static func check(_ text: String, _ name: String) throws(StoreError) -> Int {
    let lines = text.split(separator: "\n")
    guard lines.count >= 2, lines[0] == "imgstore store", lines[1].hasPrefix("version "),
      let version = Int(lines[1].dropFirst(8))
    else {
      throw StoreError(
        .damaged, name, "has a file 'format' with unexpected contents",
        hint:
          "Run 'imgstore repair', which restores that file, or pass another store with --store")
    }
    guard (1...newestVersion).contains(version) else {
      throw StoreError(
        .incompatible, name,
        "has format version \(version), and this imgstore reads versions 1 to \(newestVersion)",
        hint: "Install a newer imgstore. This one has not changed the store")
    }
    return version
  }
}
