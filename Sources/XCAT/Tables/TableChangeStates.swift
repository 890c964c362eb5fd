// The states before and after changes that xCAT's commands will make.
//
// A target is an object that one command can change: an image (rows of osimage and linuximage together),
// a kit, or a row. Its state is its set attributes or columns; nil if it does not exist.

import Platform

/// An object that one command changes.
enum TableTarget: Hashable {
  case object(type: String, name: String)
  case row(TableSchema, key: [String: String])

  var text: String {
    switch self {
    case .object(let type, let name): "\(type) \(name)"
    case .row(let schema, let key):
      "row \(schema.keys.map { "\($0)=\(key[$0] ?? "")" }.joined(separator: ",")) of \(schema.name)"
    }
  }
}

typealias TargetState = [String: String]?

/// The states before and after the changes.
struct TableChangeStates {
  private let dumps: [String: TabdumpCSV]
  /// The nodes, which chdef changes; chtab changes rows of groups and of xcatdefaults.
  let nodes: Set<String>
  var before: [TableTarget: TargetState] = [:]
  var after: [TableTarget: TargetState] = [:]
  /// The targets, each once, in the order of the changes.
  private(set) var order: [TableTarget] = []
  private(set) var unknown: Set<String> = []

  init(_ backend: CommandTableBackend, _ changes: [RowChange]) throws {
    var dumps: [String: TabdumpCSV] = [:]
    for schema in Set(changes.map(\.schema)) { dumps[schema.name] = try backend.dump(schema.name) }
    self.dumps = dumps
    let hasNodes = changes.contains { $0.schema == .postscripts }
    nodes = hasNodes ? Set(try backend.rows("nodelist").compactMap { $0["node"] }) : []
    for change in changes {
      let target = TableChangeStates.target(change)
      guard before[target] == nil else { continue }
      try refuseHidden(change)
      order.append(target)
      let state = try current(target, backend)
      before.updateValue(state, forKey: target)
      after.updateValue(state, forKey: target)
    }
  }

  private static func target(_ change: RowChange) -> TableTarget {
    let schema = change.schema
    let name = change.key[schema.keys[0]] ?? ""
    if CommandTableBackend.isImageTable(schema.name) {
      return .object(type: "osimage", name: name)
    }
    if [TableSchema.kit, .kitrepo, .kitcomponent].contains(schema) {
      return .object(type: schema.name, name: name)
    }
    return .row(
      schema, key: Dictionary(schema.keys.map { ($0, change.key[$0] ?? "") }) { $1 })
  }

  private func row(_ schema: TableSchema, _ key: [String: String]) -> [String: String]? {
    dumps[schema.name]?.rows.first { row in
      schema.keys.allSatisfy { (row[$0] ?? "") == (key[$0] ?? "") }
    }
  }

  private func refuseHidden(_ change: RowChange) throws(XCATError) {
    guard let row = row(change.schema, change.key), !CommandTableBackend.isVisible(row) else {
      return
    }
    throw XCATError(
      TableChangeStates.target(change).text,
      "is disabled in table \(change.schema.name), and would be lost",
      hint: "Enable it with chtab, or remove it first")
  }

  private func current(_ target: TableTarget, _ backend: CommandTableBackend) throws -> TargetState
  {
    switch target {
    case .object("osimage", let name):
      guard let definition = try backend.definition(of: name) else { return nil }
      return Dictionary(definition.attributes.map { ($0.name, $0.value) }) { $1 }
    case .object(let type, let name):
      guard let schema = TableSchema.named(type) else { return nil }
      return row(schema, [schema.keys[0]: name])?.filter { !schema.keys.contains($0.key) }
    case .row(let schema, let key):
      return row(schema, key)?.filter { !schema.keys.contains($0.key) }
    }
  }

  /// Applies a change to the state after.
  mutating func fold(_ change: RowChange) throws {
    let target = TableChangeStates.target(change)
    let schema = change.schema
    let columns = dumps[schema.name].map { Set($0.columns) } ?? []
    var state = after[target] ?? nil
    guard let values = change.columns else {
      // The change removes one of an image's two rows: its attributes go, and the object with the
      // last of them.
      if CommandTableBackend.isImageTable(schema.name) {
        state = state?.filter { TableSchema.table(of: $0.key)?.schema != schema }
        if state?.isEmpty == true || schema == .osimage { state = nil }
      } else {
        state = nil
      }
      after.updateValue(state, forKey: target)
      return
    }
    var new = state ?? [:]
    if !change.keepsOtherColumns {
      new = new.filter { name, _ in
        CommandTableBackend.isImageTable(schema.name)
          ? (TableSchema.table(of: name)?.schema ?? .osimage) != schema : name == "disable"
      }
    }
    for (column, value) in values where !schema.keys.contains(column) {
      guard let name = TableChangeStates.attribute(schema, column), columns.contains(column) else {
        if !value.isEmpty { unknown.insert("\(schema.name).\(column)") }
        continue
      }
      new[name] = value.isEmpty ? nil : value
    }
    after.updateValue(new, forKey: target)
  }

  /// Returns the name of a column in the target's state; nil if no command reaches it.
  private static func attribute(_ schema: TableSchema, _ column: String) -> String? {
    switch schema {
    case .osimage: ["comments", "disable"].contains(column) ? nil : column
    case .linuximage: column == "disable" ? nil : column == "comments" ? "usercomment" : column
    case .kit, .kitrepo, .kitcomponent:
      ["comments", "disable"].contains(column) ? nil : column
    default: column == "disable" ? nil : column
    }
  }
}
