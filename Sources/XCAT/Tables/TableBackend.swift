// A way to xCAT's tables: its SQLite files (`SQLiteTableBackend`), or its own commands where the site runs
// another database (`CommandTableBackend`). Whoever reads or writes rows does it through this protocol.
//
// 1. A row that xCAT's readers do not see (`disable`) is not seen here, and never overwritten.
// 2. NULL and '' both mean "unset"; a row that was read has set columns only.
// 3. All changes of one call happen, or none; where the door cannot promise that, its error says
//    what was taken back and what was not.

/// What shall become of one row.
public struct RowChange: Sendable, Hashable {
  public let schema: TableSchema
  /// The key columns' values; one that is missing is ''.
  public let key: [String: String]
  /// The other columns' values, '' to unset one; nil removes the row.
  public let columns: [String: String]?
  /// Whether an existing row keeps columns that `columns` does not name; else they become unset.
  public let keepsOtherColumns: Bool
  /// The row as whoever makes the change has seen it: `applyComparing` leaves another one alone.
  public var expected: ExpectedRow = .anything

  public init(
    schema: TableSchema, key: [String: String], columns: [String: String]?,
    keepsOtherColumns: Bool
  ) {
    self.schema = schema
    self.key = key
    self.columns = columns
    self.keepsOtherColumns = keepsOtherColumns
  }
}

/// A row before a change.
public enum ExpectedRow: Sendable, Hashable {
  case anything
  case absent
  /// The visible row's set columns.
  case columns([String: String])

  /// Whether a row is the expected one, as far as columns outside the key go.
  /// - Parameter row: the visible row; nil where there is none.
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
  public func expecting(_ row: ExpectedRow) -> RowChange {
    var change = self
    change.expected = row
    return change
  }
}

/// xCAT's tables, wherever they are.
public protocol TableBackend: Sendable {
  /// Where the tables are, for messages: a folder, or "xCAT (mysql)".
  var place: String { get }

  /// The visible rows of a table, set columns only; none where there is no such table.
  /// - Parameter key: a column and the value it must have.
  func rows(
    _ table: String, where key: (column: String, value: String)?
  ) throws -> [[String: String]]

  /// Makes all changes, in their order.
  /// - Returns: columns ("table.column") that these tables do not have, and so could not take.
  @discardableResult
  func apply(_ changes: [RowChange]) throws -> [String]

  /// Makes the changes of rows that are as expected, and leaves all others alone.
  /// - Returns: columns that these tables do not have, and the changes that were not made because
  ///   somebody else had changed the row.
  func applyComparing(
    _ changes: [RowChange]
  ) throws -> (unknownColumns: [String], conflicts: [RowChange])

  /// Throws what `apply` would throw, as far as that can be known, and changes nothing.
  func validate(_ changes: [RowChange]) throws

  /// The definition of an image; nil where neither table has a visible row.
  func definition(of image: String) throws -> ImageDefinition?

  /// All definitions, by image name.
  func definitions() throws -> [String: ImageDefinition]
}

extension TableBackend {
  public func validate(_ changes: [RowChange]) throws {}

  public func applyComparing(
    _ changes: [RowChange]
  ) throws -> (unknownColumns: [String], conflicts: [RowChange]) {
    var conflicts: [RowChange] = []
    var left: [RowChange] = []
    for change in changes {
      if try change.expected == .anything || isAsExpected(change) {
        left.append(change)
      } else {
        conflicts.append(change)
      }
    }
    return (try apply(left), conflicts)
  }

  private func isAsExpected(_ change: RowChange) throws -> Bool {
    guard let column = change.schema.keys.first else { return true }
    let row = try rows(change.schema.name, where: (column, change.key[column] ?? ""))
      .first { row in change.schema.keys.allSatisfy { (row[$0] ?? "") == (change.key[$0] ?? "") } }
    return change.expected.allows(row, change.schema)
  }

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

  /// The names of all images.
  public func imageNames() throws -> [String] {
    try rows("osimage").compactMap { $0["imagename"] }.sorted(by: byBytes)
  }

  /// Makes the definition exactly this; an empty one removes the image from the tables.
  /// - Returns: columns that these tables do not have.
  @discardableResult
  public func setDefinition(of image: String, _ definition: ImageDefinition) throws -> [String] {
    try apply(definition.rowChanges(of: image))
  }

  /// A value of xCAT's site table.
  public func site(_ key: String) throws -> String? {
    try rows("site", where: (column: "key", value: key)).first?["value"]
  }
}

extension ImageDefinition {
  /// The changes that make an image's definition exactly this; those of an empty one remove it.
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

  /// The changes that make an image's definition exactly this where it is another one now: a row that only the
  /// other one has goes.
  public func rowChanges(of image: String, replacing other: ImageDefinition) -> [RowChange] {
    var changes = rowChanges(of: image)
    if !other.isEmpty, other.isDirectory != isDirectory {
      let left: [TableSchema] = isDirectory ? [.osimage, .linuximage] : [.directory]
      changes += left.map {
        RowChange(schema: $0, key: ["imagename": image], columns: nil, keepsOtherColumns: false)
      }
    }
    return changes
  }

  /// The same, of rows that are as the other one has them: others are left alone.
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
