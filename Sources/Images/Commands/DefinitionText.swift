// The import and export of definitions as text: stanzas, as `lsdef -z` prints and `mkdef -z` reads them
// (docs/xcat-contract.md#stanzas), and dumps, as `tabdump` prints and `tabrestore` reads them
// (docs/xcat-contract.md#tabdump). An input is applied completely or not at all.

import Platform
import Store
import XCAT

extension Workspace {
  /// Returns the stanzas of all defined images, byte for byte as `lsdef -t osimage -l -z` prints them.
  public func stanzas() throws -> String {
    try DefinitionTextReader(context).stanzas()
  }

  /// Returns the stanza of one definition.
  /// - Parameter text: an image's name, for its current definition in xCAT's tables, or a reference with "@",
  ///   for the definition in a snapshot.
  /// - Throws: `ImageError`: `imageNotFound`, or `definitionInvalid` for an image that is a directory.
  public func stanza(of text: String) throws -> String {
    try DefinitionTextReader(context).stanza(of: text)
  }

  /// Sets the attributes of stanzas, and creates images that are new. Attributes that a stanza does not name
  /// stay.
  /// - Parameter name: the image whose stanza is used; nil for all stanzas.
  /// - Returns: the names of the images, in the order of the stanzas.
  /// - Throws: `ImageError`, `XCATError` if any stanza is invalid; nothing is changed then.
  public func define(stanzas bytes: [UInt8], only name: String? = nil) throws -> [String] {
    try DefinitionTextReader(context).define(stanzas: bytes, only: name)
  }

  /// Returns a table as `tabdump` prints it. Disabled rows are left out.
  public func dump(table: String) throws -> String {
    try DefinitionTextReader(context).dump(table: table)
  }

  /// Sets the rows of a dump, as `tabrestore -a` does: it replaces the columns of rows in the dump, and
  /// leaves other rows alone.
  /// - Returns: the number of rows.
  /// - Throws: `ImageError`, `XCATError` if any row is invalid; nothing is changed then.
  public func define(table: String, csv bytes: [UInt8]) throws -> Int {
    try DefinitionTextReader(context).define(table: table, csv: bytes)
  }
}

/// Converts definitions from and to stanzas and CSV.
struct DefinitionTextReader: Collaborator {
  let context: Context

  func stanzas() throws -> String {
    try StanzaFile.render(
      try context.tables().definitions().filter { !$0.value.isDirectory }.sorted {
        $0.key.utf8.lexicographicallyPrecedes($1.key.utf8)
      }
      .map { object($0.key, $0.value) }, for: .anybody)
  }

  func stanza(of text: String) throws -> String {
    let name: String
    let definition: ImageDefinition
    if text.utf8.contains(UInt8(ascii: "@")) {
      let snapshot = try SnapshotResolver(context).find(try Reference(text)).snapshot
      (name, definition) = (snapshot.image, snapshot.definition)
    } else {
      name = try ImageResolver(context).image(named: text).text
      guard let live = try context.tables().definition(of: name) else {
        throw ImageError(
          .imageNotFound, "image \(name)",
          "is not defined in the tables in \(try context.tables().location)",
          hint: "'imgstore show \(name)@~0 -z' prints the definition in its latest snapshot")
      }
      definition = live
    }
    guard !definition.isDirectory else {
      throw ImageError(
        .definitionInvalid,
        "image \(name)", "is a directory; only xCAT's osimages have stanzas",
        hint: "'imgstore show \(name)' shows its definition")
    }
    return try StanzaFile.render([object(name, definition)], for: .anybody)
  }

  private func object(_ name: String, _ definition: ImageDefinition) -> StanzaFile.Object {
    StanzaFile.Object(
      name: name, type: "osimage",
      attributes: Dictionary(definition.attributes.map { ($0.name, $0.value) }) { $1 })
  }

  func define(stanzas bytes: [UInt8], only name: String? = nil) throws -> [String] {
    let onlyName = try name.map { try ImageName($0).text }
    let objects = try StanzaFile.parse(bytes, from: .anybody).filter { object in
      onlyName.map { $0 == object.name } ?? true
    }
    guard !objects.isEmpty else {
      throw ImageError(
        .notFound, "stanzas",
        onlyName.map { "do not define the image \($0)" } ?? "are missing in the input",
        hint: "'lsdef -t osimage -l -z' and 'imgstore images -z' print stanzas")
    }
    for object in objects where object.type != "osimage" {
      throw ImageError(
        .definitionInvalid,
        "stanza '\(object.name)'", "is a definition of objtype=\(object.type), not of an osimage",
        hint: "Give other objects to xCAT's mkdef -z")
    }
    return try withLocks(on: objects.map(\.name)) { tables in
      for object in objects { try requirePlain(ImageName(object.name), tables) }
      var changes: [RowChange] = []
      for object in objects {
        var definition =
          try tables.definition(of: object.name)
          ?? ImageDefinition(osimage: ["imagetype": "linux"])
        for (attribute, value) in object.attributes {
          try refuseControls(value, in: "stanza '\(object.name)', attribute \(attribute)")
          try definition.set(attribute, value)
        }
        changes += definition.rowChanges(of: object.name)
      }
      warnAboutUnsafeValues(changes)
      warnAboutMissingColumns(try tables.apply(changes))
      return objects.map(\.name)
    }
  }

  func dump(table: String) throws -> String {
    let schema = try knownTable(table, among: TableSchema.all)
    let rows = try context.tables().rows(table)
    let others = Set(rows.flatMap(\.keys)).subtracting(schema.columns).sorted()
    return TabdumpCSV(columns: schema.columns + others, rows: rows).render()
  }

  func define(table: String, csv bytes: [UInt8]) throws -> Int {
    let schema = try knownTable(table, among: [.osimage, .linuximage, .litefile])
    let dump = try TabdumpCSV.parse(bytes, "rows of \(table)")
    for column in schema.keys where !dump.columns.contains(column) {
      throw ImageError(
        .definitionInvalid, "rows of \(table)",
        "have no column \(column), which is a key of the table")
    }
    for column in dump.columns where !schema.columns.contains(column) {
      throw ImageError(
        .definitionInvalid,
        "rows of \(table)", "have a column '\(printable(column.utf8))', which xCAT's table lacks")
    }
    let isImages = schema != .litefile
    let names = isImages ? dump.rows.compactMap { $0["imagename"] } : []
    guard !isImages || names.count == dump.rows.count else {
      throw ImageError(.definitionInvalid, "rows of \(table)", "include a row without an imagename")
    }
    let changes = try dump.rows.map { row in
      for (column, value) in row { try refuseControls(value, in: "rows of \(table), \(column)") }
      guard isImages || row["file"]?.utf8.first == UInt8(ascii: "/") else {
        throw ImageError(
          .definitionInvalid,
          "rows of \(table)", "have a file '\(row["file"] ?? "")', which is not an absolute path")
      }
      return RowChange(
        schema: schema, key: row.filter { schema.keys.contains($0.key) },
        columns: Dictionary(
          dump.columns.filter { !schema.keys.contains($0) }.map { ($0, row[$0] ?? "") }
        ) { $1 },
        keepsOtherColumns: true)
    }
    return try withLocks(on: names) { tables in
      for name in names { try requirePlain(ImageName(name), tables) }
      warnAboutUnsafeValues(changes)
      warnAboutMissingColumns(try tables.apply(changes))
      return changes.count
    }
  }

  /// Requires a plain name of a new image. An image that the tables or the store have may keep any name.
  /// - Throws: `StoreError` (`badName`).
  func requirePlain(_ image: ImageName, _ tables: any TableBackend) throws {
    if image.isPlain { return }
    guard try tables.definition(of: image.text) == nil,
      try context.storeIfPresent()?.refs.numbers(of: image).isEmpty ?? true
    else { return }
    try image.requirePlain()
  }

  /// Runs `body` with the locks of images. They are taken in the order of the names, to avoid deadlocks.
  private func withLocks<R>(
    on names: [String], _ body: (any TableBackend) throws -> R
  ) throws -> R {
    let store = try context.store(create: true)
    let images = try Set(names).sorted().map { try ImageName($0) }
    let locks = try images.map { try ImageLocks(context).lock($0, store) }
    defer { withExtendedLifetime(locks) {} }
    return try body(try context.tables())
  }

  private func knownTable(_ name: String, among tables: [TableSchema]) throws -> TableSchema {
    guard let schema = tables.first(where: { $0.name == name }) else {
      throw ImageError(
        .usage, "table '\(printable(name.utf8))'", "is not a table that this command knows",
        hint: "Use one of " + tables.map(\.name).joined(separator: ", "))
    }
    return schema
  }

  /// Refuses values with control characters.
  private func refuseControls(_ value: String, in object: String) throws {
    guard value.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) else { return }
    throw ImageError(
      .definitionInvalid, object, "contains a control character, which xCAT's tables cannot store")
  }

  /// Prints warnings about values that xCAT's commands may split into words, or execute
  /// (docs/xcat-contract.md#values-in-shell-lines).
  /// - Parameter known: the old definition. No warnings are printed about unchanged values.
  func warnAboutUnsafeValues(_ changes: [RowChange], known: ImageDefinition? = nil) {
    for change in changes {
      let old = change.schema == .osimage ? known?.osimage : known?.linuximage
      let all = (change.columns ?? [:]).merging(change.key) { $1 }
      let new = all.filter { $0.value != old?[$0.key] }
      for unsafe in UnsafeValue.all(in: new, of: change.schema) {
        context.reporter.warn("\(unsafe.text): xCAT's commands may act on it")
      }
    }
  }

  /// Prints a warning about columns that the tables lack.
  private func warnAboutMissingColumns(_ columns: [String]) {
    guard !columns.isEmpty else { return }
    context.reporter.warn(
      "these columns are not in this xCAT's tables and were left out: "
        + columns.joined(separator: ", "))
  }
}
