// All tables that define images: xCAT's, and the table of directory images in the store. Rows of directory
// images are never written to xCAT's database.
//
// 1. An image is in one of the two. Commands that create an image search both.
// 2. Changes of one call are atomic if they concern only one of the two. A change from a directory image to
//    an osimage, or back, removes the old rows last.

import XCAT

/// A table backend for both kinds of images.
struct ImageTables: TableBackend {
  /// xCAT's tables, or the store's own files without xCAT.
  let base: any TableBackend
  /// The tables in the store.
  let own: SQLiteTableBackend

  var location: String { base.location }

  private func isOwn(_ schema: TableSchema) -> Bool { schema == .directory }

  func rows(
    _ table: String, where key: (column: String, value: String)?
  ) throws -> [[String: String]] {
    try table == TableSchema.directory.name
      ? own.rows(table, where: key) : base.rows(table, where: key)
  }

  func definition(of image: String) throws -> ImageDefinition? {
    let key = (column: "imagename", value: image)
    if let row = try rows(TableSchema.directory.name, where: key).first {
      return ImageDefinition(directory: row)
    }
    return try base.definition(of: image)
  }

  func definitions() throws -> [String: ImageDefinition] {
    var all = try base.definitions()
    for row in try rows(TableSchema.directory.name) {
      if let name = row["imagename"] { all[name] = ImageDefinition(directory: row) }
    }
    return all
  }

  @discardableResult
  func apply(_ changes: [RowChange]) throws -> [String] {
    let (ownChanges, others) = try split(changes)
    var unknown: [String] = []
    if !ownChanges.isEmpty, ownChanges.contains(where: { $0.columns != nil }) {
      unknown += try own.apply(ownChanges)
      if !others.isEmpty { unknown += try base.apply(others) }
    } else {
      if !others.isEmpty { unknown += try base.apply(others) }
      if !ownChanges.isEmpty { unknown += try own.apply(ownChanges) }
    }
    return unknown
  }

  func applyComparing(
    _ changes: [RowChange]
  ) throws -> (unknownColumns: [String], conflicts: [RowChange]) {
    let (ownChanges, others) = try split(changes)
    var result: (unknownColumns: [String], conflicts: [RowChange]) = ([], [])
    func run(_ backend: any TableBackend, _ changes: [RowChange]) throws {
      if changes.isEmpty { return }
      let (unknown, conflicts) = try backend.applyComparing(changes)
      result.unknownColumns += unknown
      result.conflicts += conflicts
    }
    let isAdded = ownChanges.contains { $0.columns != nil }
    if isAdded { try run(own, ownChanges) }
    try run(base, others)
    if !isAdded { try run(own, ownChanges) }
    return result
  }

  func validate(_ changes: [RowChange]) throws {
    let (ownChanges, others) = try split(changes)
    if !ownChanges.isEmpty { try own.validate(ownChanges) }
    if !others.isEmpty { try base.validate(others) }
  }

  /// Returns the changes of the store's own table, without removals of absent rows, and the other changes.
  private func split(
    _ changes: [RowChange]
  ) throws -> (own: [RowChange], others: [RowChange]) {
    let ownChanges = try changes.filter { change in
      guard isOwn(change.schema) else { return false }
      guard change.columns == nil, let name = change.key["imagename"] else { return true }
      return try !rows(change.schema.name, where: ("imagename", name)).isEmpty
    }
    return (ownChanges, changes.filter { !isOwn($0.schema) })
  }
}
