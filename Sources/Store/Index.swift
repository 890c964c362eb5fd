// The SQLite index: where each object is. It holds nothing that the packs do not say.
// This file: opening it, keeping it in step with the packs, its lock and its stamp.
//
// 1. index.sqlite may be missing, old or garbage at any moment. `index.stamp` names the exact file
//    (inode, size, times) that we last left; any other file is made anew from the packs.
// 2. Every row follows from the packs alone, and from the folder that each lies in (packs/ or
//    doomed/): packs are numbered by the first 63 bits of their names, and every copy of an object
//    has its row. An index that was made anew equals the old one, dump for dump.
// 3. Writers hold locks/index exclusively from before the change until the new stamp is written;
//    whoever checks the stamp holds it shared.
// 4. Packs are moved and removed only under that lock (`changePacks`), so that a listing made under
//    it is one state of the store. New packs appear in packs/ at any time.
// 5. A row for a pack stands only where the pack's name is durable: a snapshot may rest on it.
// 6. Nobody waits for locks/index while our connection reads: who has that lock may wait for SQLite's.
//
//        missing, foreign or damaged ──rebuild──▶ ┌─────────┐ ◀──insert── packs of a session
//        packs that it does not know ──add──────▶ │ current │
//        rows of packs that are gone ──remove───▶ └─────────┘ ──damage found in use──▶ rebuild

import Codec
import Platform
import SQLite

/// The packs on disk.
struct PackListing {
  /// In packs/, in order of their names.
  let kept: [Digest]
  /// In doomed/ only, in order.
  let doomed: [Digest]

  /// All of them in order of their names, each with whether it is doomed.
  var inOrder: [(name: Digest, isDoomed: Bool)] {
    let kept = kept.map { (name: $0, isDoomed: false) }
    if doomed.isEmpty { return kept }
    return (kept + doomed.map { ($0, true) }).sorted { $0.name < $1.name }
  }
}

/// The index of one store. Any thread may call it.
final class Index: Sendable {
  private let layout: Layout
  private let reader: PackReader
  let connection: Monitor<Database?>
  private let report: @Sendable (String) -> Void

  private static let name = Array("index.sqlite".utf8)
  private static let newName = Array("index.sqlite.new".utf8)
  private static let stampName = Array("index.stamp".utf8)
  private static let lockName = Array("index".utf8)
  /// The stamp is padded to this length and written in place: that needs no space.
  private static let stampBytes = 128

  /// Opens the index and brings it up to date.
  init(
    _ layout: Layout, _ reader: PackReader, report: @escaping @Sendable (String) -> Void
  ) throws(StoreError) {
    self.layout = layout
    self.reader = reader
    self.report = report
    connection = Monitor(nil)
    try refresh()
  }

  private var path: String { String(decoding: layout.path + [0x2f] + Index.name, as: UTF8.self) }

  /// Opens the index as it is now, in step with the packs.
  func refresh() throws(StoreError) {
    // The shared lock must be gone before the exclusive one is asked for: hence the function.
    if try openIfCurrent() { return }
    let exclusive = try lock(exclusive: true)
    defer { withExtendedLifetime(exclusive) {} }
    try updateLocked()
  }

  private func openIfCurrent() throws(StoreError) -> Bool {
    let shared = try lock(exclusive: false)
    defer { withExtendedLifetime(shared) {} }
    guard try isStamped() else { return false }
    let listing = try listing()
    do throws(StoreError) {
      let database = try opening { () throws(SQLiteError) in try Database(path: path, .read) }
      guard try IndexRows(database).differences(from: listing).isEmpty else { return false }
      connection.withLock { $0 = database }
      return true
    } catch {
      return false  // what cannot be read is rebuilt
    }
  }

  /// Takes in what has changed among the packs; the lock is held exclusively.
  private func updateLocked() throws(StoreError) {
    guard try isStamped() else { return try rebuildLocked() }
    do throws(StoreError) {
      let database = try openToWrite()
      let rows = IndexRows(database)
      let change = try rows.differences(from: try listing())
      if !change.isEmpty {
        try syncPacks(if: !change.missing.isEmpty)
        try rows.apply(change, scan)
        try stamp()
        if !change.missing.isEmpty {
          report("index: added \(change.missing.count) packs that were not in it yet")
        }
        if !change.lost.isEmpty {
          layout.removeStatCaches()
          report("index: dropped \(change.lost.count) packs that are no longer there")
        }
      }
      connection.withLock { $0 = database }
    } catch {
      guard error.kind == .index else { throw error }
      try rebuildLocked()
    }
  }

  // MARK: Changing

  /// Adds the packs of a session; they are durable.
  func insert(_ packs: [FinishedPack]) throws(StoreError) {
    if packs.isEmpty { return }
    let exclusive = try lock(exclusive: true)
    defer { withExtendedLifetime(exclusive) {} }
    // A collector may have taken them for a dead writer's: then they are not to be relied on.
    let doomed = Set(try doomed(of: packs))
    guard try isStamped() else {
      // Someone touched it since we opened it: made anew, it knows our packs as well.
      return try rebuildLocked()
    }
    do throws(StoreError) {
      let database = try openToWrite()
      try IndexRows(database).insert(packs) { doomed.contains($0) }
      try stamp()
      connection.withLock { $0 = database }
    } catch {
      guard error.kind == .index else { throw error }
      try rebuildLocked()
    }
  }

  /// Runs `body`, which moves or removes packs, and makes the index follow, as one change for
  /// everybody who looks at both.
  func changePacks(_ body: () throws(StoreError) -> Void) throws(StoreError) {
    let exclusive = try lock(exclusive: true)
    defer { withExtendedLifetime(exclusive) {} }
    do throws(StoreError) {
      try body()
    } catch {
      try? updateLocked()
      throw error
    }
    try updateLocked()
  }

  /// Makes the index anew from the packs.
  /// - Parameter remark: what to say of it.
  func rebuild(remark: String? = nil) throws(StoreError) {
    let exclusive = try lock(exclusive: true)
    defer { withExtendedLifetime(exclusive) {} }
    try rebuildLocked(isAsked: true)
    if let remark { report(remark) }
  }

  private func rebuildLocked(isAsked: Bool = false) throws(StoreError) {
    // What was remembered of files may rest on packs that are gone: nobody may vouch for it.
    layout.removeStatCaches()
    let fileSystem = layout.fileSystem
    let listing = try listing()
    let packs = listing.kept + listing.doomed
    try syncPacks(if: !packs.isEmpty)
    let wasThere = try explaining("the index") { () throws(SystemError) in
      for name in [Index.newName, Index.stampName] {
        if try fileSystem.statIfPresent(at: layout.root.raw, name) != nil {
          try fileSystem.remove(at: layout.root.raw, name, isDirectory: false)
        }
      }
      return try fileSystem.statIfPresent(at: layout.root.raw, Index.name) != nil
    }
    let newPath = String(decoding: layout.path + [0x2f] + Index.newName, as: UTF8.self)
    do {
      let database = try opening { () throws(SQLiteError) in
        try Database(path: newPath, .create)
      }
      let rows = try IndexRows(creating: database)
      let doomed = Set(listing.doomed)
      var batch: [FinishedPack] = []
      for pack in packs {
        batch.append(try scan(pack))
        if batch.reduce(0, { $0 + $1.frames.count }) > 4096 {
          try rows.insert(batch) { doomed.contains($0) }
          batch = []
        }
      }
      try rows.insert(batch) { doomed.contains($0) }
    }
    try explaining("the index") { () throws(SystemError) in
      try fileSystem.rename(
        at: layout.root.raw, Index.newName, to: layout.root.raw, Index.name, exclusively: false)
      let journal = Index.name + Array("-journal".utf8)
      if try fileSystem.statIfPresent(at: layout.root.raw, journal) != nil {
        try fileSystem.remove(at: layout.root.raw, journal, isDirectory: false)
      }
    }
    try stamp()
    if !isAsked, wasThere || !packs.isEmpty {
      report(
        wasThere
          ? "index.sqlite was changed or copied from outside: made anew from the packs (normal)"
          : "index.sqlite was missing: made anew from the packs (normal)")
    }
    let database = try openToWrite()
    connection.withLock { $0 = database }
  }

  private func openToWrite() throws(StoreError) -> Database {
    let database = try opening { () throws(SQLiteError) in try Database(path: path, .write) }
    try IndexRows(database).leaveDurabilityToStamp()
    return database
  }

  /// Rule 5, for packs that others put there.
  private func syncPacks(if isNeeded: Bool) throws(StoreError) {
    guard isNeeded else { return }
    try explaining("the folder packs/") { () throws(SystemError) in
      try layout.fileSystem.sync(layout.packs.raw)
    }
  }

  // MARK: Packs

  /// The packs on disk, as one state.
  func packs() throws(StoreError) -> PackListing {
    let shared = try lock(exclusive: false)
    defer { withExtendedLifetime(shared) {} }
    return try listing()
  }

  /// The caller holds the lock.
  private func listing() throws(StoreError) -> PackListing {
    func names(_ folder: Descriptor) throws(SystemError) -> [Digest] {
      try layout.fileSystem.names(of: folder.raw).compactMap(Digest.init(hexDigits:)).sorted()
    }
    return try explaining("the folders packs/ and doomed/") { () throws(SystemError) in
      let kept = try names(layout.packs)
      let doomed = try names(layout.doomed)
      if doomed.isEmpty { return PackListing(kept: kept, doomed: []) }
      let isKept = Set(kept)
      return PackListing(kept: kept, doomed: doomed.filter { !isKept.contains($0) })
    }
  }

  /// Those of the packs that are in doomed/ only. The caller holds the lock.
  /// - Throws: `missing` where one is in neither folder: no snapshot may rest on it.
  private func doomed(of packs: [FinishedPack]) throws(StoreError) -> [Digest] {
    func isIn(_ folder: Descriptor, _ pack: Digest) throws(StoreError) -> Bool {
      try explaining("pack \(pack.shortHex)") { () throws(SystemError) in
        try layout.fileSystem.statIfPresent(at: folder.raw, Array(pack.hex.utf8)) != nil
      }
    }
    var doomed: [Digest] = []
    for pack in packs.map(\.name) {
      if try isIn(layout.packs, pack) { continue }
      guard try isIn(layout.doomed, pack) else {
        throw StoreError(
          .missing, "pack \(pack.shortHex)",
          "was just written, and is in the store no longer: something removes files from packs/",
          advice: "Find out what does; then run the command again, and 'imgstore verify'")
      }
      doomed.append(pack)
    }
    return doomed
  }

  /// Reads the directories of a pack's frames.
  func scan(_ name: Digest) throws(StoreError) -> FinishedPack {
    let file = try reader.open(name)
    var frames: [PackedFrame] = []
    var offset = UInt64(PackFormat.headerBytes)
    while let header = try reader.header(file, name, at: offset) {
      frames.append(
        PackedFrame(
          offset: offset, frameBytes: header.frameBytes, rawBytes: header.rawBytes,
          objects: header.objects.map { ($0.kind, $0.id, $0.length) }))
      offset += UInt64(header.frameBytes)
    }
    let size = try explaining("pack \(name.shortHex)") { () throws(SystemError) in
      try layout.fileSystem.stat(file.raw).size
    }
    return FinishedPack(name: name, sizeBytes: size, frames: frames)
  }

  // MARK: Lock and stamp

  /// Rule 6.
  private func lock(exclusive: Bool) throws(StoreError) -> FileLock {
    connection.withLock { $0?.endReading() }
    return try explaining("the index") { () throws(SystemError) in
      try FileLock.acquire(
        layout.fileSystem, at: layout.locks.raw, Index.lockName, exclusive: exclusive)
    }
  }

  /// The file is the very one that we last left.
  private func isStamped() throws(StoreError) -> Bool {
    try explaining("the index") { () throws(SystemError) in
      guard let stat = try layout.fileSystem.statIfPresent(at: layout.root.raw, Index.name),
        try layout.fileSystem.statIfPresent(at: layout.root.raw, Index.stampName) != nil
      else { return false }
      let text = try layout.fileSystem.readSmallFile(
        at: layout.root.raw, Index.stampName, limitBytes: 4096)
      return text == Index.stampText(stat)
    }
  }

  private func stamp() throws(StoreError) {
    try explaining("the index") { () throws(SystemError) in
      let fileSystem = layout.fileSystem
      let database = try fileSystem.openFile(at: layout.root.raw, Index.name, [.read])
      try fileSystem.sync(database.raw)
      let text = Index.stampText(try fileSystem.stat(database.raw))
      let file = try fileSystem.openFile(at: layout.root.raw, Index.stampName, [.write, .create])
      try fileSystem.write(file.raw, text)
      if try fileSystem.stat(file.raw).size != UInt64(text.count) {
        try fileSystem.truncate(file.raw, to: UInt64(text.count))
      }
    }
  }

  private static func stampText(_ stat: FileStat) -> [UInt8] {
    let text =
      "\(stat.inode) \(stat.size) \(stat.modified.seconds).\(stat.modified.nanoseconds) "
      + "\(stat.changed.seconds).\(stat.changed.nanoseconds)"
    let bytes = Array(text.utf8)
    return bytes + Array(repeating: 0x20, count: max(0, stampBytes - 1 - bytes.count)) + [0x0a]
  }
}

func opening<R>(_ body: () throws(SQLiteError) -> R) throws(StoreError) -> R {
  do { return try body() } catch { throw indexError(error) }
}

func explainingSQLite<R>(_ body: () throws -> R) throws(StoreError) -> R {
  do {
    return try body()
  } catch let error as SQLiteError {
    throw indexError(error)
  } catch let error as StoreError {
    throw error
  } catch {
    throw StoreError(.index, "the index", "\(error)")
  }
}

private func indexError(_ error: SQLiteError) -> StoreError {
  StoreError(
    .index, "the index", "SQLite says: \(error.message)",
    advice: error.isFull
      ? "Make room on the store's file system and run the command again; the store is intact"
      : "Run 'imgstore reindex'; the packs are the truth, the index is made from them")
}
