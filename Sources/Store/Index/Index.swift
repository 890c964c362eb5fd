// The SQLite index: the location of each object. All its content follows from the packs. This file opens it
// and updates it from the packs. IndexFiles.swift has its lock and its stamp.
//
// 1. index.sqlite may be missing, old or garbage at any moment. `index.stamp` names the exact file (inode,
//    size, times) that imgstore wrote last. Any other file is rebuilt from the packs.
// 2. Every row follows from the packs alone, and from the directory of each (packs/ or doomed/). Packs are
//    numbered by the first 63 bits of their names, and every copy of an object has its row. A rebuilt index
//    equals the old one, dump for dump.
// 3. Writers hold locks/index exclusively from before the change until the new stamp is written. Readers of
//    the stamp hold it shared.
// 4. Packs are moved and deleted only under that lock (`changePacks`), so a listing made under it is one
//    state of the store. New packs appear in packs/ at any time.
// 5. A pack has rows only if its name is durable, because a snapshot may depend on it.
// 6. No thread waits for locks/index while its connection has an open read transaction: the holder of the
//    lock may wait for SQLite's lock.
// 7. Errors in the index are found in use (SQLite's errors, impossible rows, rows that lead to another
//    object, sums that do not match). They cause one rebuild a process; then the query is repeated. The
//    index is never a reason to report a pack as damaged.
// 8. A read-only store is read through its index if the stamp matches. Otherwise it is read through a
//    private one: an SQLite temporary database without a name, which disappears with the process.
//
//        missing, foreign or damaged ──rebuild──▶ ┌─────────┐ ◀──insert── packs of a session
//        packs that it does not list ──add──────▶ │ current │
//        rows of packs that are gone ──remove───▶ └─────────┘ ──damage found in use──▶ rebuild

import Platform
import SQLite

/// The index of one store. All methods may be called from any thread.
final class Index: Sendable {
  let layout: Layout
  let reader: PackReader
  let connection: Monitor<Database?>
  let report: @Sendable (String) -> Void
  let completeBases = CompleteBases()
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
    reader.setBaseLocator { [weak self] chunk throws(StoreError) in
      try self?.location(.chunk, chunk)
    }
  }

  /// Opens the index and updates it if it does not match the packs.
  func refresh() throws(StoreError) {
    completeBases.removeAll()
    // A separate function releases the shared lock before the exclusive one is requested.
    if try openIfCurrent() { return }
    if layout.isReadOnly { return try updatePrivate() }
    let exclusive = try lock(exclusive: true)
    defer { withExtendedLifetime(exclusive) {} }
    try updateLocked()
  }

  /// Opens the index if stamp and packs match; false otherwise.
  private func openIfCurrent() throws(StoreError) -> Bool {
    let shared = try lock(exclusive: false)
    defer { withExtendedLifetime(shared) {} }
    do throws(StoreError) {
      guard try files.isStamped() else { return false }
    } catch {
      if layout.isReadOnly { return false }
      throw error
    }
    let listing = try listing()
    do throws(StoreError) {
      let database = try mapDatabaseErrors { () throws(SQLiteError) in
        try Database(path: files.path, .read)
      }
      let rows = IndexRows(database)
      guard try rows.hasAllColumns(), try rows.differences(from: listing).isEmpty else {
        return false
      }
      connection.withLock { $0 = database }
      return true
    } catch {
      return false  // an unreadable index is rebuilt
    }
  }

  // MARK: Queries

  /// Runs a query. If the index is damaged, rebuilds it once a process and repeats the query.
  func query<R>(_ body: (Database) throws -> R) throws(StoreError) -> R {
    do throws(StoreError) {
      return try runQuery(body)
    } catch {
      guard error.kind == .index, error.isIndexDamage else { throw error }
      try rebuildOnce("the index was damaged and was rebuilt from the packs (\(error.reason))")
      return try runQuery(body)
    }
  }

  private func runQuery<R>(_ body: (Database) throws -> R) throws(StoreError) -> R {
    try mapSQLiteErrors {
      try connection.withLock { database throws -> R in
        guard let database else { throw StoreError(.index, "the index", "is not open") }
        return try body(database)
      }
    }
  }

  /// Rebuilds the index unless this process has done so before. Other threads wait for the rebuild.
  /// - Parameter remark: the line to report.
  func rebuildOnce(_ remark: String) throws(StoreError) {
    try isRebuilt.withLock { isDone throws(StoreError) in
      if isDone { return }
      try rebuild(remark: remark)
      isDone = true
    }
  }

  // MARK: Private indexes

  /// Updates the private index of a read-only store, or creates it (invariant 8).
  private func updatePrivate(isRequested: Bool = false) throws(StoreError) {
    let shared = try lock(exclusive: false)
    defer { withExtendedLifetime(shared) {} }
    let listing = try listing()
    if !isRequested, let database = connection.withLock({ $0 }), database.path.isEmpty {
      let rows = IndexRows(database)
      let change = try rows.differences(from: listing)
      if !change.isEmpty { try rows.apply(change, scan) }
      return
    }
    let database = try mapDatabaseErrors { () throws(SQLiteError) in try Database(path: "", .create)
    }
    let rows = try IndexRows(creating: database)
    try fill(rows, listing)
    connection.withLock { $0 = database }
    let packs = listing.kept.count + listing.doomed.count
    report(
      "the store is read-only and its index is out of date: using a private index of "
        + "\(packs) packs")
  }

  // MARK: Changing

  /// Updates the index from the packs on disk. The caller holds the lock exclusively.
  private func updateLocked() throws(StoreError) {
    guard try files.isStamped() else { return try rebuildLocked() }
    try files.removeUnfinished()
    do throws(StoreError) {
      let database = try openToWrite()
      let rows = IndexRows(database)
      guard try rows.hasAllColumns() else { return try rebuildLocked(isRequested: true) }
      let change = try rows.differences(from: try listing())
      if !change.isEmpty {
        try syncPacks(if: !change.missing.isEmpty)
        try rows.apply(change, scan)
        try files.stamp()
        if !change.missing.isEmpty {
          report("index: added \(change.missing.count) packs that it did not list")
        }
        if !change.lost.isEmpty {
          layout.removeObjectCaches()
          report("index: removed \(change.lost.count) packs that no longer exist")
        }
      }
      connection.withLock { $0 = database }
    } catch {
      guard error.kind == .index else { throw error }
      try rebuildLocked()
    }
  }

  /// Adds the packs of a session, which are durable.
  func insert(_ packs: [FinishedPack]) throws(StoreError) {
    if packs.isEmpty { return }
    let exclusive = try lock(exclusive: true)
    defer { withExtendedLifetime(exclusive) {} }
    // gc may have doomed them as packs of a dead process. Snapshots must not depend on them then.
    let doomed = Set(try doomed(of: packs))
    guard try files.isStamped() else {
      // Another program has changed the index since it was opened. The rebuilt index includes these packs.
      return try rebuildLocked()
    }
    try files.removeUnfinished()
    do throws(StoreError) {
      let database = try openToWrite()
      try IndexRows(database).insert(packs) { doomed.contains($0) }
      try files.stamp()
      connection.withLock { $0 = database }
    } catch {
      guard error.kind == .index else { throw error }
      try rebuildLocked()
    }
  }

  /// Runs `body`, which moves or deletes packs, and updates the index under the same lock. Other processes
  /// see both as one change.
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

  /// Runs `body`, which replaces the content under names of packs, and then rebuilds the index.
  func replacePacks(_ body: () throws(StoreError) -> Void) throws(StoreError) {
    let exclusive = try lock(exclusive: true)
    defer { withExtendedLifetime(exclusive) {} }
    do throws(StoreError) {
      try body()
    } catch {
      reader.closeAll()
      try? rebuildLocked(isRequested: true)
      throw error
    }
    reader.closeAll()
    try rebuildLocked(isRequested: true)
  }

  /// Rebuilds the index from the packs.
  /// - Parameter remark: the line to report; nil for none.
  func rebuild(remark: String? = nil) throws(StoreError) {
    if layout.isReadOnly { return try updatePrivate(isRequested: true) }
    let exclusive = try lock(exclusive: true)
    defer { withExtendedLifetime(exclusive) {} }
    try rebuildLocked(isRequested: true)
    if let remark { report(remark) }
  }

  private func rebuildLocked(isRequested: Bool = false) throws(StoreError) {
    // The caches may rely on packs that no longer exist.
    layout.removeObjectCaches()
    let fileSystem = layout.fileSystem
    let listing = try listing()
    let packs = listing.kept + listing.doomed
    try syncPacks(if: !packs.isEmpty)
    let existed = try files.clearForRebuild()
    do {
      try files.makeNewFile()
      let database = try mapDatabaseErrors { () throws(SQLiteError) in
        try Database(path: files.newPath, .write)
      }
      try fill(try IndexRows(creating: database), listing)
    }
    try mapSystemErrors("the index") { () throws(SystemError) in
      try fileSystem.rename(
        at: layout.root.raw, IndexFiles.newName, to: layout.root.raw, IndexFiles.name,
        exclusively: false)
    }
    try files.stamp()
    if !isRequested, existed || !packs.isEmpty {
      report(
        existed
          ? "index.sqlite was out of date or damaged: rebuilt from the packs"
          : "index.sqlite was missing: rebuilt from the packs")
    }
    let database = try openToWrite()
    connection.withLock { $0 = database }
  }

  /// Inserts the rows of all packs into a new index.
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
    let database = try mapDatabaseErrors { () throws(SQLiteError) in
      try Database(path: files.path, .write)
    }
    try IndexRows(database).disableSQLiteSync()
    return database
  }

  /// Makes packs of other processes durable (invariant 5).
  private func syncPacks(if isNeeded: Bool) throws(StoreError) {
    guard isNeeded else { return }
    try mapSystemError("the directory packs/", try layout.fileSystem.sync(layout.packs.raw))
  }
}
