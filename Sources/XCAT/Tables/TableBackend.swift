// Access to xCAT's tables: its SQLite files (`SQLiteTableBackend`), or its own commands if the site
// runs another database (`CommandTableBackend`). All rows are read and written through this protocol.
//
// 1. A row that xCAT's readers do not see (`disable`) is not returned, and never overwritten.
// 2. NULL and '' both mean "unset"; a row has set columns only.
// 3. All changes of one call are made, or none. If a backend cannot guarantee that, its error says
//    what was rolled back and what was not.

/// The change of one row.
public struct RowChange: Sendable, Hashable {
  /// The table.
  public let schema: TableSchema
  /// The values of the key columns; a missing one is ''.
  public let key: [String: String]
  /// The values of the other columns, '' to unset one; nil removes the row.
  public let columns: [String: String]?
  /// Whether an existing row keeps columns that `columns` does not name; otherwise they become unset.
  public let keepsOtherColumns: Bool
  /// The row that the caller has seen: `applyComparing` does not change a different one.
  public var expected: ExpectedRow = .anything

  /// Creates a change.
  public init(
    schema: TableSchema, key: [String: String], columns: [String: String]?,
    keepsOtherColumns: Bool
  ) {
    (self.schema, self.key, self.columns) = (schema, key, columns)
    self.keepsOtherColumns = keepsOtherColumns
  }
}

/// The expected state of a row before a change.
public enum ExpectedRow: Sendable, Hashable {
  case anything
  case absent
  /// The set columns of the visible row.
  case columns([String: String])

  /// Returns whether a row is the expected one, by its columns outside the key.
  /// - Parameter row: the visible row; nil if there is none.
  func allows(_ row: [String: String]?, _ schema: TableSchema) -> Bool {
    func plain(_ row: [String: String]) -> [String: String] {
      row.filter { !schema.keys.contains($0.key) && !$0.value.isEmpty }
    }
    switch self {
    case .anything: return true
    case .absent: return row.map { plain($0).isEmpty } ?? true
    case .columns(let columns): return plain(columns) == plain(row ?? [:])
    }
  }
}

extension RowChange {
  /// Returns the change with an expectation.
  public func expecting(_ row: ExpectedRow) -> RowChange {
    var change = self
    change.expected = row
    return change
  }
}

/// xCAT's tables, in any database.
public protocol TableBackend: Sendable {
  /// The location of the tables, for messages: a directory, or "xCAT (mysql)".
  var location: String { get }

  /// Returns the visible rows of a table, set columns only; none if the table does not exist.
  /// - Parameter key: a column and the value it must have.
  func rows(
    _ table: String, where key: (column: String, value: String)?
  ) throws -> [[String: String]]

  /// Makes all changes, in their order.
  /// - Returns: the columns ("table.column") that these tables do not have, and that were ignored.
  @discardableResult
  func apply(_ changes: [RowChange]) throws -> [String]

  /// Makes the changes of rows that are as expected, and no others.
  /// - Returns: the columns that these tables do not have, and the changes that were not made because
  ///   the row had changed.
  func applyComparing(
    _ changes: [RowChange]
  ) throws -> (unknownColumns: [String], conflicts: [RowChange])

  /// Throws the errors that `apply` would throw, as far as they can be predicted, and changes nothing.
  func validate(_ changes: [RowChange]) throws

  /// Returns the definition of an image; nil if neither table has a visible row.
  func definition(of image: String) throws -> ImageDefinition?

  /// Returns all definitions, by image name.
  func definitions() throws -> [String: ImageDefinition]
}

extension TableBackend {
  public func validate(_ changes: [RowChange]) throws {}

  public func applyComparing(
    _ changes: [RowChange]
  ) throws -> (unknownColumns: [String], conflicts: [RowChange]) {
    var conflicts: [RowChange] = []
    var accepted: [RowChange] = []
    for change in changes {
      if try change.expected == .anything || isAsExpected(change) {
        accepted.append(change)
      } else {
        conflicts.append(change)
      }
    }
    return (try apply(accepted), conflicts)
  }

  private func isAsExpected(_ change: RowChange) throws -> Bool {
    guard let column = change.schema.keys.first else { return true }
    let row = try rows(change.schema.name, where: (column, change.key[column] ?? ""))
      .first { row in change.schema.keys.allSatisfy { (row[$0] ?? "") == (change.key[$0] ?? "") } }
    return change.expected.allows(row, change.schema)
  }

  /// Returns all visible rows of a table.
  public func rows(_ table: String) throws -> [[String: String]] { try rows(table, where: nil) }

  public func definition(of image: String) throws -> ImageDefinition? {
    let key = (column: "imagename", value: image)
    let osimage = try rows("osimage", where: key).first
    let linuximage = try rows("linuximage", where: key).first
    if osimage == nil, linuximage == nil { return nil }
    return ImageDefinition(osimage: osimage ?? [:], linuximage: linuximage ?? [:])
  }

  public func definitions() throws -> [String: ImageDefinition] {
    var all: [String: ImageDefinition] = [:]
    for row in try rows("osimage") {
      guard let name = row["imagename"] else { continue }
      all[name] = ImageDefinition(osimage: row)
    }
    for row in try rows("linuximage") {
      guard let name = row["imagename"] else { continue }
      all[name] = ImageDefinition(osimage: all[name]?.osimage ?? [:], linuximage: row)
    }
    return all
  }

  /// Returns a value of xCAT's site table.
  public func site(_ key: String) throws -> String? {
    try rows("site", where: (column: "key", value: key)).first?["value"]
  }
}

extension ImageDefinition {
  /// Returns the changes that replace an image's definition; for an empty one, the changes that remove it.
  public func rowChanges(of image: String) -> [RowChange] {
    let rows =
      isDirectory
      ? [(TableSchema.directory, directory)]
      : [(TableSchema.osimage, osimage), (TableSchema.linuximage, linuximage)]
    return rows.map { schema, row in
      RowChange(
        schema: schema, key: ["imagename": image], columns: isEmpty ? nil : row,
        keepsOtherColumns: false)
    }
  }

  /// Returns the changes that replace the definition `other` by this one: rows that only the other one
  /// has are removed.
  public func rowChanges(of image: String, replacing other: ImageDefinition) -> [RowChange] {
    var changes = rowChanges(of: image)
    if !other.isEmpty, other.isDirectory != isDirectory {
      let obsolete: [TableSchema] = isDirectory ? [.osimage, .linuximage] : [.directory]
      changes += obsolete.map {
        RowChange(schema: $0, key: ["imagename": image], columns: nil, keepsOtherColumns: false)
      }
    }
    return changes
  }

  /// Returns the same changes, limited to rows that are as the other definition has them.
  public func rowChanges(of image: String, from other: ImageDefinition) -> [RowChange] {
    rowChanges(of: image, replacing: other).map { change in
      let row =
        switch change.schema {
        case .osimage: other.osimage
        case .linuximage: other.linuximage
        default: other.directory
        }
      return change.expecting(row.isEmpty ? .absent : .columns(row))
    }
  }
}
