// xCAT's own commands as the door to its tables, where the site runs PostgreSQL, MySQL or DB2
// (xcat.md section 5): `lsdef`, `mkdef`, `chdef`, `rmdef` in stanzas for images, kits and nodes;
// `tabdump` and `chtab` for other rows. No shell sees a value.
//
// 1. Everything is looked at before anything is asked: what xCAT's commands cannot carry (a line
//    break, a blank at an end, the word NULL, a comma in a key) is refused in words.
// 2. These commands change a row or an object at a time, and some exit 0 whatever happens. So what
//    they did is read back; where that differs or one fails, what was changed is put back as far as
//    possible, and the error says so.
// 3. A row that `disable` hides is not seen, and never overwritten.

import Platform

/// xCAT's tables through xCAT's commands.
public struct CommandTableBackend: TableBackend {
  let commands: XCATCommandRunner
  private let database: String

  /// - Parameters:
  ///   - database: what the site's configuration names, for messages: "mysql", "Pg".
  ///   - environment: given to the commands; XCATROOT and PATH say where they are.
  public init(_ fileSystem: any FileSystem, database: String, environment: [String: String]) {
    commands = XCATCommandRunner(fileSystem, environment: environment)
    self.database = database
  }

  public var place: String { "xCAT (\(database))" }

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

  /// Objects of a type as lsdef prints them.
  func objects(_ type: String, _ name: String?) throws -> [StanzaFile.Object] {
    var arguments = ["-t", type, "-l", "-z"]
    if let name {
      try XCATCommandRunner.check(name: name)
      arguments += ["-o", name]
    }
    let answer = try commands.run("lsdef", arguments)
    // That there is none is said on either stream, with either status.
    let isStanza = answer.output.first == UInt8(ascii: "#")
    let said = String(decoding: answer.errors + (isStanza ? [] : answer.output), as: UTF8.self)
    if !isStanza, says(said, "Could not find an") { return [] }
    guard answer.status == 0 else { throw commands.failure("lsdef", arguments, answer) }
    return try StanzaFile.parse(answer.output, from: .lsdef).filter { $0.type == type }
  }

  /// All rows of a table, hidden ones too, and its columns.
  func dump(_ table: String) throws -> TabdumpCSV {
    let answer = try commands.run("tabdump", [table])
    guard answer.status == 0 else {
      if says(String(decoding: answer.errors, as: UTF8.self), "No such table") {
        return TabdumpCSV(columns: [], rows: [])
      }
      throw commands.failure("tabdump", [table], answer)
    }
    return try TabdumpCSV.parse(answer.output, "tabdump \(table)")
  }

  private func says(_ text: String, _ part: String) -> Bool {
    text.split(separator: "\n").contains { line in
      line.hasPrefix(part) || line.split(separator: ": ").contains { $0.hasPrefix(part) }
    }
  }
}

extension ImageDefinition {
  /// What lsdef shows of an image. An attribute that we do not know is taken for one of osimage.
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
