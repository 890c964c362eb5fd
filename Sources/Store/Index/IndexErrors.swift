// The errors of the index: SQLite's, as `StoreError`s that say whether a rebuild may help.

import SQLite

/// Runs `body` and rethrows SQLite errors as errors of the index.
func mapDatabaseErrors<R>(_ body: () throws(SQLiteError) -> R) throws(StoreError) -> R {
  do { return try body() } catch { throw indexError(error) }
}

/// Runs `body` and rethrows all errors as errors of the index, except `StoreError`s.
func mapSQLiteErrors<R>(_ body: () throws -> R) throws(StoreError) -> R {
  do {
    return try body()
  } catch let error as SQLiteError {
    throw indexError(error)
  } catch let error as StoreError {
    throw error
  } catch {
    throw StoreError(.index, "the index", "cannot be used: \(error)", isIndexDamage: false)
  }
}

private func indexError(_ error: SQLiteError) -> StoreError {
  StoreError(
    .index, "the index", "cannot be used: SQLite: \(error.message)",
    hint: error.isFull
      ? "Free space on the store's file system and run the command again. The store is intact"
      : "Run 'imgstore reindex', which rebuilds the index from the packs",
    isIndexDamage: !error.isTransient)
}

extension SQLiteError {
  /// The error does not indicate a damaged file: a full disk, another process, lack of memory
  /// (SQLITE_NOMEM), an interruption (SQLITE_INTERRUPT).
  fileprivate var isTransient: Bool { isFull || isBusy || code == 7 || code == 9 }
}
