// Access to xCAT's tables through its own commands, for sites with PostgreSQL, MySQL or DB2
// (docs/xcat-contract.md#xcats-commands): `lsdef`, `mkdef`, `chdef`, `rmdef` with stanzas for images,
// kits and nodes; `tabdump` and `chtab` for other rows. No value passes through a shell.
//
// 1. All values are checked before the first command. Values that xCAT's commands cannot carry (a line
//    break, a blank at an end, the word NULL, a comma in a key) are refused.
// 2. Each command changes one row or object, and some always exit with 0. The result is therefore read
//    back. If it differs or a command fails, the changes are rolled back as far as possible, and the
//    error says how far.
// 3. A row that `disable` hides is not returned, and never overwritten.

import Platform

/// xCAT's tables through xCAT's commands.
public struct CommandTableBackend: TableBackend {
  let commands: XCATCommandRunner
  private let database: String

  /// Creates a backend.
  /// - Parameters:
  ///   - database: the database in the site's configuration, for messages: "mysql", "Pg".
  ///   - environment: passed to the commands; XCATROOT and PATH locate them.
  public init(_ fileSystem: any FileSystem, database: String, environment: [String: String]) {
    commands = XCATCommandRunner(fileSystem, environment: environment)
    self.database = database
  }

  public var location: String { "xCAT (\(database))" }

  static func isImageTable(_ table: String) -> Bool {
    table == TableSchema.osimage.name || table == TableSchema.linuximage.name
  }

  static func isVisible(_ row: [String: String]) -> Bool {
    ["", "0", "no", "NO", "No", "nO"].contains(row["disable"] ?? "")
  }
}

// MARK: - Reading

extension CommandTableBackend {
  public func rows(
    _ table: String, where key: (column: String, value: String)?
  ) throws -> [[String: String]] {
    func matches(_ row: [String: String]) -> Bool {
      key.map { (row[$0.column] ?? "") == $0.value } ?? true
    }
    guard CommandTableBackend.isImageTable(table) else {
      return try dump(table).rows.filter { CommandTableBackend.isVisible($0) && matches($0) }
    }
    let name = key?.column == "imagename" ? key?.value : nil
    return try images(name).compactMap { image, definition in
      var row =
        table == TableSchema.osimage.name ? definition.osimage : definition.linuximage
      if row.isEmpty { return nil }
      row["imagename"] = image
      return matches(row) ? row : nil
    }
  }

  public func definition(of image: String) throws -> ImageDefinition? {
    try images(image).first { $0.name == image }?.definition
  }

  public func definitions() throws -> [String: ImageDefinition] {
    Dictionary(try images(nil).map { ($0.name, $0.definition) }) { $1 }
  }

  private func images(
    _ name: String?
  ) throws -> [(name: String, definition: ImageDefinition)] {
    try objects("osimage", name).map { ($0.name, ImageDefinition(lsdef: $0.attributes)) }
  }

  /// Returns the objects of a type as lsdef prints them.
  func objects(_ type: String, _ name: String?) throws -> [StanzaFile.Object] {
    var arguments = ["-t", type, "-l", "-z"]
    if let name {
      try XCATCommandRunner.check(name: name)
      arguments += ["-o", name]
    }
    let result = try commands.run("lsdef", arguments)
    // lsdef reports on either stream, with either status, that no object exists.
    let isStanza = result.output.first == UInt8(ascii: "#")
    let message = String(decoding: result.errors + (isStanza ? [] : result.output), as: UTF8.self)
    if !isStanza, says(message, "Could not find an") { return [] }
    guard result.status == 0 else { throw commands.failure("lsdef", arguments, result) }
    return try StanzaFile.parse(result.output, from: .lsdef).filter { $0.type == type }
  }

  /// Returns all rows of a table, hidden ones too, and its columns.
  func dump(_ table: String) throws -> TabdumpCSV {
    let result = try commands.run("tabdump", [table])
    guard result.status == 0 else {
      if says(String(decoding: result.errors, as: UTF8.self), "No such table") {
        return TabdumpCSV(columns: [], rows: [])
      }
      throw commands.failure("tabdump", [table], result)
    }
    return try TabdumpCSV.parse(result.output, "tabdump \(table)")
  }

  private func says(_ text: String, _ part: String) -> Bool {
    text.split(separator: "\n").contains { line in
      line.hasPrefix(part) || line.split(separator: ": ").contains { $0.hasPrefix(part) }
    }
  }
}

extension ImageDefinition {
  /// Creates a definition from the attributes that lsdef prints. An unknown attribute counts as one of
  /// osimage.
  init(lsdef attributes: [String: String]) {
    var osimage: [String: String] = [:]
    var linuximage: [String: String] = [:]
    for (name, value) in attributes {
      guard let (schema, column) = TableSchema.table(of: name) else {
        osimage[name] = value
        continue
      }
      if schema == .osimage { osimage[column] = value } else { linuximage[column] = value }
    }
    self.init(osimage: osimage, linuximage: linuximage)
  }
}
