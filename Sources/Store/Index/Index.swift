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
// 7. Whatever is wrong with the index is found in use (SQLite's errors, impossible rows, rows that lead
//    to another object, sums that do not fit) and leads to one rebuild a process; then the question is
//    asked again. The index is never a reason to call a pack damaged.
// 8. A store that cannot be written is read through its index if the stamp fits, and else through a
//    private one: an SQLite temporary database, without a name, gone with the process.
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
  let layout: Layout
  let reader: PackReader
  let connection: Monitor<Database?>
  let report: @Sendable (String) -> Void
  private let isRebuilt = Monitor(false)

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

  /// Opens the index as it is now, in step with the packs.
  func refresh() throws(StoreError) {
    // The shared lock must be gone before the exclusive one is asked for: hence the function.
    if try openIfCurrent() { return }
    if layout.isReadOnly { return try updatePrivate() }
    let exclusive = try lock(exclusive: true)
    defer { withExtendedLifetime(exclusive) {} }
    try updateLocked()
  }

  private func openIfCurrent() throws(StoreError) -> Bool {
    let shared = try lock(exclusive: false)
    defer { withExtendedLifetime(shared) {} }
    do throws(StoreError) {
      guard try isStamped() else { return false }
    } catch {
      if layout.isReadOnly { return false }
      throw error
    }
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

  // MARK: Questions

  /// Runs a query. An index that cannot answer it is rebuilt, once a process, and asked again.
  func query<R>(_ body: (Database) throws -> R) throws(StoreError) -> R {
    do throws(StoreError) {
      return try ask(body)
    } catch {
      guard error.kind == .index, error.isIndexDamage else { throw error }
      try rebuildOnce("the index was damaged: rebuilt from the packs (\(error.finding))")
      return try ask(body)
    }
  }

  private func ask<R>(_ body: (Database) throws -> R) throws(StoreError) -> R {
    try explainingSQLite {
      try connection.withLock { database throws -> R in
        guard let database else { throw StoreError(.index, "the index", "is not open") }
        return try body(database)
      }
    }
  }

  /// Rebuilds the index, unless that was done before; other threads wait for it.
  func rebuildOnce(_ remark: String) throws(StoreError) {
    try isRebuilt.withLock { isDone throws(StoreError) in
      if isDone { return }
      try rebuild(remark: remark)
      isDone = true
    }
  }

  // MARK: Private indexes

  /// Brings the private index of a read-only store up to date, or makes it (rule 8).
  private func updatePrivate(isAsked: Bool = false) throws(StoreError) {
    let shared = try lock(exclusive: false)
    defer { withExtendedLifetime(shared) {} }
    let listing = try listing()
    if !isAsked, let database = connection.withLock({ $0 }), database.path.isEmpty {
      let rows = IndexRows(database)
      let change = try rows.differences(from: listing)
      if !change.isEmpty { try rows.apply(change, scan) }
      return
    }
    let database = try opening { () throws(SQLiteError) in try Database(path: "", .create) }
    let rows = try IndexRows(creating: database)
    try fill(rows, listing)
    connection.withLock { $0 = database }
    let packs = listing.kept.count + listing.doomed.count
    report(
      "the store is read-only and its index does not fit: reading through a private index of "
        + "\(packs) packs")
  }

  // MARK: Changing

  /// Takes in what has changed among the packs; the lock is held exclusively.
  private func updateLocked() throws(StoreError) {
    guard try isStamped() else { return try rebuildLocked() }
    try removeUnfinished()
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
    try removeUnfinished()
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

  /// Runs `body`, which puts other content under names of packs, and rebuilds the index after it.
  func replacePacks(_ body: () throws(StoreError) -> Void) throws(StoreError) {
    let exclusive = try lock(exclusive: true)
    defer { withExtendedLifetime(exclusive) {} }
    do throws(StoreError) {
      try body()
    } catch {
      reader.forgetAll()
      try? rebuildLocked(isAsked: true)
      throw error
    }
    reader.forgetAll()
    try rebuildLocked(isAsked: true)
  }

  /// Rebuilds the index from the packs.
  /// - Parameter remark: what to say of it.
  func rebuild(remark: String? = nil) throws(StoreError) {
    if layout.isReadOnly { return try updatePrivate(isAsked: true) }
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
    let wasThere = try clearForRebuild()
    do {
      try makeNewFile()
      let database = try opening { () throws(SQLiteError) in
        try Database(path: newPath, .write)
      }
      try fill(try IndexRows(creating: database), listing)
    }
    try explaining("the index") { () throws(SystemError) in
      try fileSystem.rename(
        at: layout.root.raw, Index.newName, to: layout.root.raw, Index.name, exclusively: false)
    }
    try stamp()
    if !isAsked, wasThere || !packs.isEmpty {
      report(
        wasThere
          ? "index.sqlite was out of date or damaged: rebuilt from the packs"
          : "index.sqlite was missing: rebuilt from the packs")
    }
    let database = try openToWrite()
    connection.withLock { $0 = database }
  }

  /// Gives a new index the rows of all packs.
  private func fill(_ rows: IndexRows, _ listing: PackListing) throws(StoreError) {
    let doomed = Set(listing.doomed)
    var batch: [FinishedPack] = []
    for pack in listing.kept + listing.doomed {
      batch.append(try scan(pack))
      if batch.reduce(0, { $0 + $1.frames.count }) > 4096 {
        try rows.insert(batch) { doomed.contains($0) }
        batch = []
      }
    }
    try rows.insert(batch) { doomed.contains($0) }
  }

  private func openToWrite() throws(StoreError) -> Database {
    let database = try opening { () throws(SQLiteError) in try Database(path: path, .write) }
    try IndexRows(database).disableSQLiteSync()
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
      try layout.fileSystem.names(of: folder.raw).compactMap(Layout.packName).sorted()
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

  /// The rows of a pack: what can be read of it.
  private func scan(_ name: Digest) throws(StoreError) -> FinishedPack {
    try reader.scanReadable(name).pack
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
    throw StoreError(.index, "the index", "\(error)", isIndexDamage: false)
  }
}

private func indexError(_ error: SQLiteError) -> StoreError {
  StoreError(
    .index, "the index", "SQLite: \(error.message)",
    advice: error.isFull
      ? "Make room on the store's file system and run the command again; the store is intact"
      : "Run 'imgstore reindex': the index is rebuilt from the packs, which hold everything",
    isIndexDamage: !error.isTransient)
}

extension SQLiteError {
  /// It says nothing of the file: a full disk, another process, lack of memory (SQLITE_NOMEM), an
  /// interruption (SQLITE_INTERRUPT).
  fileprivate var isTransient: Bool { isFull || isBusy || code == 7 || code == 9 }
}
