// Reads a store without locks and without writing, for completion, which runs each time the user presses Tab.
//
// 1. It creates, changes and locks nothing, and waits for no other process: no directory, no lease, no
//    index. It cannot open a store that lacks one of its directories.
// 2. It reads the index file as it is on disk and never rebuilds it. An object that the index lacks is
//    missing; a wrong row is an error.
// 3. Garbage collection does not wait for such a reader. If gc removes a pack while it is read, the read
//    fails. No snapshot, restored file or report may depend on the data.

import Codec
import Platform
import SQLite

/// A store that is open for reading without locks. All methods may be called from any thread.
public final class UnlockedStore: Sendable {
  let layout: Layout
  private let packs: PackReader
  /// Opened by the first lookup.
  private let index = Monitor<Database?>(nil)

  /// Opens the store at `path`.
  /// - Throws: `StoreError` if there is no store, it lacks a directory, or `owner` refuses it.
  public init(
    _ fileSystem: any FileSystem, path: [UInt8], owner: StoreOwnerPolicy = .trusted
  ) throws(StoreError) {
    layout = try Layout.openUnlocked(fileSystem, path: path, owner: owner)
    packs = PackReader(layout)
    packs.setBaseLocator { [weak self] chunk throws(StoreError) in
      try self?.location(.chunk, chunk)
    }
  }

  /// Returns the refs of the store.
  public var refs: RefLog { RefLog(layout: layout) }
}

extension UnlockedStore: ObjectSource {
  /// Returns the bytes of an object.
  /// - Throws: `missing` if the index does not list the object; `index` for a wrong row; `damaged`; `system`.
  public func object(_ kind: ObjectKind, _ id: Digest) throws -> [UInt8] {
    guard let location = try location(kind, id) else {
      throw StoreError.missing("\(kind.noun) \(id.hex)", "is not in the index")
    }
    let frame = try packs.frame(location.address, frameBytes: location.frameBytes)
    guard frame.header.holds(kind, id, start: location.start, length: location.length) else {
      throw StoreError(
        .index, "\(kind.noun) \(id.shortHex)",
        "is not at the location that the index lists")
    }
    return frame.withBytes(start: location.start, length: location.length) { [UInt8]($0) }
  }

  private func openIndex() throws -> Database {
    // Opening a fifo would block.
    guard
      try layout.fileSystem.stat(at: layout.root.raw, IndexFiles.name, followLink: false).kind
        == .file
    else { throw StoreError(.index, "the index", "is not a file") }
    return try Database(path: IndexFiles(layout: layout).path, .unlocked)
  }

  private func location(_ kind: ObjectKind, _ id: Digest) throws(StoreError) -> ObjectLocation? {
    try mapSQLiteErrors {
      try index.withLock { opened -> ObjectLocation? in
        let database = try opened ?? openIndex()
        opened = database
        return try Index.location(kind, id, isDoomed: false, in: database)
          ?? Index.location(kind, id, isDoomed: true, in: database)
      }
    }
  }
}

extension Layout {
  /// Opens the directories of a store without creating any.
  fileprivate static func openUnlocked(
    _ fileSystem: any FileSystem, path: [UInt8], owner: StoreOwnerPolicy
  ) throws(StoreError) -> Layout {
    let name = "store \(printable(path))"
    let root = try mapSystemError(
      name, try fileSystem.openDirectory(at: fileSystem.workingDirectory, path, followLink: true))
    try owner.check(root, fileSystem, name)
    try StoreFormat.prepare(fileSystem, root, path, name, create: false)
    let layout = try mapSystemErrors(name) { () throws(SystemError) in
      func open(_ name: String) throws(SystemError) -> Descriptor {
        try fileSystem.openDirectory(at: root.raw, Array(name.utf8))
      }
      return Layout(
        fileSystem: fileSystem, root: root, path: path, packs: try open("packs"),
        doomed: try open("doomed"), refs: try open("refs"), tags: try open("tags"),
        pins: try open("pins"), signatures: try open("signatures"), journals: try open("journal"),
        temporary: try open("tmp"), locks: try open("locks"), cache: try open("cache"),
        isReadOnly: true, replacedNames: [])
    }
    try owner.checkDirectories(of: root, fileSystem, name)
    return layout
  }
}
