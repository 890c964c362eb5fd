// Definitions as text, in and out: stanzas, as `lsdef -z` prints and `mkdef -z` reads them, and
// dumps, as `tabdump` prints and `tabrestore` reads them.

import Platform
import Store
import XCAT

extension Workspace {
  /// The stanzas of all defined images, byte for byte as `lsdef -t osimage -l -z` prints them.
  public func stanzas() throws -> String {
    try StanzaFile.render(
      try tables().definitions().filter { !$0.value.isDirectory }.sorted {
        $0.key.utf8.lexicographicallyPrecedes($1.key.utf8)
      }
      .map { object($0.key, $0.value) }, for: .anybody)
  }

  /// The stanza of one definition.
  /// - Parameter text: an image's name, for what xCAT's tables say now; a reference with "@", for
  ///   what a snapshot holds.
  public func stanza(of text: String) throws -> String {
    let name: String
    let definition: ImageDefinition
    if text.utf8.contains(UInt8(ascii: "@")) {
      let found = try find(try Reference(text))
      (name, definition) = (found.snapshot.image, found.snapshot.definition)
    } else {
      name = try image(named: text).text
      guard let live = try tables().definition(of: name) else {
        throw ImageError(
          .notFound, "image \(name)", "is not defined in the tables in \(try tables().place)",
          advice: "'imgstore show \(name)@~0 -z' prints what its latest snapshot holds")
      }
      definition = live
    }
    guard !definition.isDirectory else {
      throw ImageError(
        "image \(name)", "is a directory, and has no stanza: stanzas are of xCAT's osimages",
        advice: "'imgstore show \(name)' says what it is")
    }
    return try StanzaFile.render([object(name, definition)], for: .anybody)
  }

  private func object(_ name: String, _ definition: ImageDefinition) -> StanzaFile.Object {
    StanzaFile.Object(
      name: name, type: "osimage",
      attributes: Dictionary(definition.attributes.map { ($0.name, $0.value) }) { $1 })
  }

  /// Sets what stanzas say, making images that are new; attributes that they do not name stay.
  /// - Parameter name: take only this image's stanza; nil for all.
  /// - Returns: the names of the images, in the order of the stanzas.
  /// - Throws: nothing is changed where any stanza cannot be taken.
  public func define(stanzas bytes: [UInt8], only name: String? = nil) throws -> [String] {
    let wanted = try name.map { try ImageName($0).text }
    let objects = try StanzaFile.parse(bytes, from: .anybody).filter { object in
      wanted.map { $0 == object.name } ?? true
    }
    guard !objects.isEmpty else {
      throw ImageError(
        .notFound, "stanzas", wanted.map { "have none for the image \($0)" } ?? "are none",
        advice: "'lsdef -t osimage -l -z' and 'imgstore images -z' print stanzas")
    }
    for object in objects where object.type != "osimage" {
      throw ImageError(
        "stanza '\(object.name)'", "is a definition of objtype=\(object.type), not of an osimage",
        advice: "Give other objects to xCAT's mkdef -z")
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
      tellUnsafe(changes)
      tellLost(try tables.apply(changes))
      return objects.map(\.name)
    }
  }

  /// A table as `tabdump` prints it. Rows that are disabled are left out.
  public func dump(table: String) throws -> String {
    let schema = try knownTable(table, among: TableSchema.all)
    let rows = try tables().rows(table)
    let others = Set(rows.flatMap(\.keys)).subtracting(schema.columns).sorted()
    return TabdumpCSV(columns: schema.columns + others, rows: rows).render()
  }

  /// Sets the rows of a dump, as `tabrestore -a` does: each row's columns become what the dump
  /// says, rows that are not in it stay.
  /// - Returns: how many rows were set.
  /// - Throws: nothing is changed where any row cannot be taken.
  public func define(table: String, csv bytes: [UInt8]) throws -> Int {
    let schema = try knownTable(table, among: [.osimage, .linuximage, .litefile])
    let dump = try TabdumpCSV.parse(bytes, "rows of \(table)")
    for column in schema.keys where !dump.columns.contains(column) {
      throw ImageError("rows of \(table)", "have no column \(column), by which rows are told apart")
    }
    for column in dump.columns where !schema.columns.contains(column) {
      throw ImageError(
        "rows of \(table)", "have a column '\(printable(column.utf8))', which xCAT's table has not")
    }
    let isImages = schema != .litefile
    let names = isImages ? dump.rows.compactMap { $0["imagename"] } : []
    guard !isImages || names.count == dump.rows.count else {
      throw ImageError("rows of \(table)", "have one without an imagename")
    }
    let changes = try dump.rows.map { row in
      for (column, value) in row { try refuseControls(value, in: "rows of \(table), \(column)") }
      guard isImages || row["file"]?.utf8.first == UInt8(ascii: "/") else {
        throw ImageError(
          "rows of \(table)", "have a file '\(row["file"] ?? "")', which is no absolute path")
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
      tellUnsafe(changes)
      tellLost(try tables.apply(changes))
      return changes.count
    }
  }

  /// An image that the tables or the store have keeps its name, whatever it is; a new one gets a plain one.
  func requirePlain(_ image: ImageName, _ tables: any TableBackend) throws {
    if image.isPlain { return }
    guard try tables.definition(of: image.text) == nil,
      try storeIfPresent()?.refs.numbers(of: image).isEmpty ?? true
    else { return }
    try image.requirePlain()
  }

  /// Locks images in the order of their names, so that two of us never wait for each other.
  private func withLocks<R>(
    on names: [String], _ body: (any TableBackend) throws -> R
  ) throws -> R {
    let store = try store(create: true)
    let images = try Set(names).sorted().map { try ImageName($0) }
    let locks = try images.map { try lock($0, store) }
    defer { withExtendedLifetime(locks) {} }
    return try body(try tables())
  }

  private func knownTable(_ name: String, among tables: [TableSchema]) throws -> TableSchema {
    guard let schema = tables.first(where: { $0.name == name }) else {
      throw ImageError(
        .usage, "table '\(printable(name.utf8))'", "is none of those that this command knows",
        advice: "They are " + tables.map(\.name).joined(separator: ", "))
    }
    return schema
  }

  private func refuseControls(_ value: String, in object: String) throws {
    guard value.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) else { return }
    throw ImageError(object, "holds a control character, which xCAT's tables cannot carry")
  }

  /// Says which values xCAT's commands may take for more than one word, or act on.
  /// - Parameter known: what the definition was: values that stay are not said again.
  func tellUnsafe(_ changes: [RowChange], known: ImageDefinition? = nil) {
    for change in changes {
      let old = change.schema == .osimage ? known?.osimage : known?.linuximage
      let all = (change.columns ?? [:]).merging(change.key) { $1 }
      let new = all.filter { $0.value != old?[$0.key] }
      for unsafe in UnsafeValue.all(in: new, of: change.schema) {
        tell("\(unsafe.text): xCAT's commands may act on it")
      }
    }
  }

  private func tellLost(_ columns: [String]) {
    guard !columns.isEmpty else { return }
    tell(
      "these columns are not in this xCAT's tables and were left out: "
        + columns.joined(separator: ", "))
  }
}
