// All tables that define images: xCAT's, and the one in the store that says which images are directories. Rows of
// directories go into the store's own file and never into a database of xCAT's.
//
// 1. One image is in one of the two: who makes an image looks into both.
// 2. Changes of one call happen together where they are about one of the two; a change that makes an osimage of
//    a directory, or the other way round, removes last.

import Platform
import XCAT

/// The tables of images of both kinds.
struct ImageTables: TableBackend {
  /// xCAT's tables, or the store's own files in their place.
  let base: any TableBackend
  /// The folder in the store.
  let own: SQLiteTableBackend

  var place: String { base.place }

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
    let (mine, others) = try split(changes)
    var unknown: [String] = []
    if !mine.isEmpty, mine.contains(where: { $0.columns != nil }) {
      unknown += try own.apply(mine)
      if !others.isEmpty { unknown += try base.apply(others) }
    } else {
      if !others.isEmpty { unknown += try base.apply(others) }
      if !mine.isEmpty { unknown += try own.apply(mine) }
    }
    return unknown
  }

  func applyComparing(
    _ changes: [RowChange]
  ) throws -> (unknownColumns: [String], conflicts: [RowChange]) {
    let (mine, others) = try split(changes)
    var result: (unknownColumns: [String], conflicts: [RowChange]) = ([], [])
    func run(_ door: any TableBackend, _ changes: [RowChange]) throws {
      if changes.isEmpty { return }
      let (unknown, conflicts) = try door.applyComparing(changes)
      result.unknownColumns += unknown
      result.conflicts += conflicts
    }
    let isAdded = mine.contains { $0.columns != nil }
    if isAdded { try run(own, mine) }
    try run(base, others)
    if !isAdded { try run(own, mine) }
    return result
  }

  func validate(_ changes: [RowChange]) throws {
    let (mine, others) = try split(changes)
    if !mine.isEmpty { try own.validate(mine) }
    if !others.isEmpty { try base.validate(others) }
  }

  /// The changes of the store's own table, without removals of what is not there, and the others.
  private func split(
    _ changes: [RowChange]
  ) throws -> (own: [RowChange], others: [RowChange]) {
    let mine = try changes.filter { change in
      guard isOwn(change.schema) else { return false }
      guard change.columns == nil, let name = change.key["imagename"] else { return true }
      return try !rows(change.schema.name, where: ("imagename", name)).isEmpty
    }
    return (mine, changes.filter { !isOwn($0.schema) })
  }
}
