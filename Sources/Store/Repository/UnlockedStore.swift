// Reads a store without locks and without writing: for completion, which runs at each press of the Tab key.
//
// 1. It makes, changes and locks nothing, and waits for nobody: no folder, no lease, no index. A store that lacks one
//    of its folders cannot be opened so.
// 2. It reads the index file as it is on disk and never rebuilds it. An object that the index lacks is missing; a wrong
//    row is an error.
// 3. Garbage collection does not wait for such a reader: a pack may be removed while it is read, which is an error
//    here. No snapshot, restored file or report may depend on what is read.

import Codec
import Platform
import SQLite

/// A store that is open for reading without locks. Any thread may call it.
public final class UnlockedStore: Sendable {
  private let layout: Layout
  private let packs: PackReader
  /// Opened with the first look-up.
  private let index = Monitor<Database?>(nil)

  /// Opens the store at `path`.
  /// - Throws: `StoreError`: there is no store, it lacks a folder, or `owner` refuses it.
  public init(
    _ fileSystem: any FileSystem, path: [UInt8], owner: StoreOwnerPolicy = .trusted
  ) throws(StoreError) {
    layout = try Layout.openUnlocked(fileSystem, path: path, owner: owner)
    packs = PackReader(layout)
  }

  public var refs: RefLog { RefLog(layout: layout) }
}

extension UnlockedStore: ObjectSource {
  public func object(_ kind: ObjectKind, _ id: Digest) throws -> [UInt8] {
    guard let place = try place(kind, id) else {
      throw StoreError.missing("\(kind.noun) \(id.hex)", "the index does not have it")
    }
    let frame = try packs.frame(place.address, frameBytes: place.frameBytes)
    guard frame.header.holds(kind, id, start: place.start, length: place.length) else {
      throw StoreError(
        .index, "\(kind.noun) \(id.shortHex)", "the index points to a place that holds another")
    }
    return frame.withBytes(start: place.start, length: place.length) { [UInt8]($0) }
  }

  private func openIndex() throws -> Database {
    // Opening a fifo would block.
    guard
      try layout.fileSystem.stat(at: layout.root.raw, Index.name, followLink: false).kind == .file
    else { throw StoreError(.index, "the index", "is not a file") }
    return try Database(path: Index.path(in: layout), .unlocked)
  }

  private func place(_ kind: ObjectKind, _ id: Digest) throws(StoreError) -> ObjectPlace? {
    try explainingSQLite {
      try index.withLock { opened -> ObjectPlace? in
        let database = try opened ?? openIndex()
        opened = database
        return try Index.place(kind, id, isDoomed: false, in: database)
          ?? Index.place(kind, id, isDoomed: true, in: database)
      }
    }
  }
}

extension Layout {
  /// Opens the folders of a store without making any.
  fileprivate static func openUnlocked(
    _ fileSystem: any FileSystem, path: [UInt8], owner: StoreOwnerPolicy
  ) throws(StoreError) -> Layout {
    let name = "store \(printable(path))"
    let root = try explaining(name) { () throws(SystemError) in
      try fileSystem.openDirectory(at: fileSystem.workingDirectory, path, followLink: true)
    }
    try owner.check(root, fileSystem, name)
    try prepare(fileSystem, root, path, name, create: false)
    let layout = try explaining(name) { () throws(SystemError) in
      func open(_ name: String) throws(SystemError) -> Descriptor {
        try fileSystem.openDirectory(at: root.raw, Array(name.utf8))
      }
      return Layout(
        fileSystem: fileSystem, root: root, path: path, packs: try open("packs"),
        doomed: try open("doomed"), refs: try open("refs"), tags: try open("tags"),
        pins: try open("pins"), signatures: try open("signatures"), journals: try open("journal"),
        temporary: try open("tmp"), locks: try open("locks"), cache: try open("cache"),
        isReadOnly: true, oddNames: [])
    }
    try owner.checkFolders(of: root, fileSystem, name)
    return layout
  }
}
