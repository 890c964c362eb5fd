// Changing rows through xCAT's commands: what is there is read, what shall be there is worked out,
// the commands that lead from one to the other are run, and the result is read back.
//
// A target is what one command can change: an image (rows of osimage and linuximage at once), a kit,
// or a row. Its state is its set attributes or columns; nil where it is not there.

import Platform

/// What one command changes.
private enum Target: Hashable {
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

private typealias State = [String: String]?

extension CommandTableBackend {
  /// Makes all changes, in their order; what one image's two tables say goes in one command.
  /// - Throws: `XCATError`: a value that the commands cannot carry or a hidden row (nothing was
  ///   changed then); a command that failed or had no effect (what was changed was put back, or the
  ///   error says what was not).
  @discardableResult
  public func apply(_ changes: [RowChange]) throws -> [String] {
    var work = try Survey(self, changes)
    for change in changes { try work.fold(change) }
    let steps = work.order.filter { work.before[$0] != work.after[$0] }
    for target in steps { try check(target, work.after[target] ?? nil) }
    let nodes = work.nodes
    do {
      try move(steps, from: work.before, to: work.after, nodes)
      try proveReached(steps, work.after, changes)
    } catch let failure {
      throw putBack(steps, work.before, work.after, nodes, after: failure)
    }
    return work.unknown.sorted(by: byBytes)
  }

  // MARK: Looking first

  /// What is there, and what shall be there.
  private struct Survey {
    private let dumps: [String: TabdumpCSV]
    /// Nodes, which chdef changes; rows of groups and of xcatdefaults go by chtab.
    let nodes: Set<String>
    var before: [Target: State] = [:]
    var after: [Target: State] = [:]
    /// Each target once, in the order of the changes.
    private(set) var order: [Target] = []
    private(set) var unknown: Set<String> = []

    init(_ door: CommandTableBackend, _ changes: [RowChange]) throws {
      var dumps: [String: TabdumpCSV] = [:]
      for schema in Set(changes.map(\.schema)) { dumps[schema.name] = try door.dump(schema.name) }
      self.dumps = dumps
      let hasNodes = changes.contains { $0.schema == .postscripts }
      nodes = hasNodes ? Set(try door.rows("nodelist").compactMap { $0["node"] }) : []
      for change in changes {
        let target = Survey.target(change)
        guard before[target] == nil else { continue }
        try refuseHidden(change)
        order.append(target)
        let state = try current(target, door)
        before.updateValue(state, forKey: target)
        after.updateValue(state, forKey: target)
      }
    }

    private static func target(_ change: RowChange) -> Target {
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
        Survey.target(change).text, "is disabled in table \(change.schema.name), and would be lost",
        advice: "Enable it with chtab, or remove it first")
    }

    private func current(_ target: Target, _ door: CommandTableBackend) throws -> State {
      switch target {
      case .object("osimage", let name):
        guard let definition = try door.definition(of: name) else { return nil }
        return Dictionary(definition.attributes.map { ($0.name, $0.value) }) { $1 }
      case .object(let type, let name):
        guard let schema = TableSchema.named(type) else { return nil }
        return row(schema, [schema.keys[0]: name])?.filter { !schema.keys.contains($0.key) }
      case .row(let schema, let key):
        return row(schema, key)?.filter { !schema.keys.contains($0.key) }
      }
    }

    /// Works a change into what shall be there.
    mutating func fold(_ change: RowChange) throws {
      let target = Survey.target(change)
      let schema = change.schema
      let columns = dumps[schema.name].map { Set($0.columns) } ?? []
      var state = after[target] ?? nil
      guard let values = change.columns else {
        // One of an image's two rows: its attributes go; the object goes with the last of them.
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
        guard let name = Survey.attribute(schema, column), columns.contains(column) else {
          if !value.isEmpty { unknown.insert("\(schema.name).\(column)") }
          continue
        }
        new[name] = value.isEmpty ? nil : value
      }
      after.updateValue(new, forKey: target)
    }

    /// The name of a column in the target's state; nil for one that no command reaches.
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

  private func check(_ target: Target, _ state: State) throws(XCATError) {
    switch target {
    case .object(let type, let name):
      try XCATCommandRunner.check(name: name)
      guard type == "osimage", let state, state["imagetype"] != "linux" else { break }
      let hidden = state.keys.sorted().first { TableSchema.table(of: $0)?.schema == .linuximage }
      guard let hidden else { break }
      throw XCATError(
        target.text, "has '\(hidden)', which xCAT takes only for images with imagetype=linux",
        advice: "Define it with imagetype=linux")
    case .row(let schema, let key):
      for column in schema.keys {
        let value = key[column] ?? ""
        // chtab cuts its keys at commas and at the last '='; xCAT puts them into SQL as they are.
        guard !value.isEmpty, !value.utf8.contains(where: { ",='\"\\".utf8.contains($0) }) else {
          throw XCATError(
            target.text, "has a key that chtab cannot take: \(column)='\(printable(value.utf8))'",
            advice: "Change that row with xCAT's tabedit")
        }
        try XCATCommandRunner.check(value: value, of: target.text)
      }
      guard let state else { break }
      guard state.keys.contains(where: { $0 != "disable" }) else {
        throw XCATError(
          target.text, "would have a key only, and xCAT stores no such row",
          advice: "Give it a value, or remove it")
      }
      for (column, value) in state where value.contains("+=") {
        throw XCATError(
          target.text, "has '+=' in \(column), which chtab takes for an order to append",
          advice: "Change that row with xCAT's tabedit")
      }
    }
    for (name, value) in state ?? [:] {
      try XCATCommandRunner.check(value: value, of: "\(target.text), \(name)")
    }
  }

  // MARK: Changing

  /// Leads every target from one state to another; neighbouring nodes share a command.
  private func move(
    _ targets: [Target], from old: [Target: State], to new: [Target: State], _ nodes: Set<String>
  ) throws {
    var lists: [StanzaFile.Object] = []
    for target in targets {
      let (from, to) = (old[target] ?? nil, new[target] ?? nil)
      if case .row(.postscripts, let key) = target, let node = key["node"], nodes.contains(node),
        let to
      {
        lists.append(stanza("node", node, from, to))
        continue
      }
      try changeNodes(&lists)
      switch target {
      case .object(let type, let name): try change(type, name, from, to)
      case .row(let schema, let key): try change(schema, key, from, to)
      }
    }
    try changeNodes(&lists)
  }

  private func changeNodes(_ lists: inout [StanzaFile.Object]) throws {
    guard !lists.isEmpty else { return }
    try commands.mustRun("chdef", ["-z"], input: StanzaFile.render(lists, for: .xCAT))
    lists = []
  }

  /// The new attributes, and those that become unset.
  private func stanza(
    _ type: String, _ name: String, _ old: State, _ new: [String: String]
  ) -> StanzaFile.Object {
    let unset = (old ?? [:]).keys.filter { new[$0] == nil && $0 != "disable" }
    let cleared = Dictionary(unset.map { ($0, "") }) { $1 }
    return StanzaFile.Object(
      name: name, type: type,
      attributes: new.filter { $0.key != "disable" }.merging(cleared) { value, _ in value })
  }

  private func change(_ type: String, _ name: String, _ old: State, _ new: State) throws {
    guard let new else {
      if old != nil { try commands.mustRun("rmdef", ["-t", type, "-o", name]) }
      return
    }
    try commands.mustRun(
      old == nil ? "mkdef" : "chdef", ["-z"],
      input: StanzaFile.render([stanza(type, name, old, new)], for: .xCAT))
  }

  private func change(
    _ schema: TableSchema, _ key: [String: String], _ old: State, _ new: State
  ) throws {
    let target = schema.keys.map { "\($0)=\(key[$0] ?? "")" }.joined(separator: ",")
    guard let new else {
      if old != nil { try commands.mustRun("chtab", ["-d", target, schema.name]) }
      return
    }
    let row = stanza(schema.name, "", old, new).attributes
    try commands.mustRun(
      "chtab",
      [target]
        + row.sorted { byBytes($0.key, $1.key) }.map { "\(schema.name).\($0.key)=\($0.value)" })
  }

  // MARK: Making sure

  private func proveReached(
    _ targets: [Target], _ wanted: [Target: State], _ changes: [RowChange]
  ) throws {
    guard !targets.isEmpty else { return }
    let now = try Survey(self, changes).before
    for target in targets {
      let (found, shall) = (now[target] ?? nil, wanted[target] ?? nil)
      guard visible(found) != visible(shall) else { continue }
      let names = Set((found ?? [:]).keys).union((shall ?? [:]).keys).sorted()
      let name = names.first { found?[$0] != shall?[$0] } ?? ""
      throw XCATError(
        target.text,
        "is not what it was set to, although xCAT's commands reported no error: \(name) is "
          + "'\(printable((found?[name] ?? "").utf8))', not '\(printable((shall?[name] ?? "").utf8))'",
        advice: "Look at it with lsdef or tabdump; xcatd's log may say more")
    }
  }

  /// A row whose values are all unset may be there or not.
  private func visible(_ state: State) -> [String: String] {
    (state ?? [:]).filter { $0.key != "disable" }
  }

  /// Puts back what was changed, as far as it can be, and says how far that was.
  private func putBack(
    _ targets: [Target], _ before: [Target: State], _ after: [Target: State],
    _ nodes: Set<String>, after failure: any Error
  ) -> any Error {
    var lost: [String] = []
    for target in targets.reversed() {
      do {
        // How far the failed command came is not known: the old state is set over whatever is there.
        var from = after[target] ?? nil
        if case .object(let type, let name) = target, try !exists(type, name) { from = nil }
        try move([target], from: [target: from], to: [target: before[target] ?? nil], nodes)
      } catch {
        lost.append(target.text)
      }
    }
    let object = (failure as? any ExplainedError)?.object ?? place
    let finding = (failure as? any ExplainedError)?.finding ?? "\(failure)"
    let advice = (failure as? any ExplainedError)?.advice ?? ""
    return XCATError(
      object,
      finding
        + (lost.isEmpty
          ? "; the tables were put back as they were"
          : "; these could not be put back as they were: " + lost.joined(separator: ", ")),
      advice: advice)
  }

  private func exists(_ type: String, _ name: String) throws -> Bool {
    if type == "osimage" { return try definition(of: name) != nil }
    guard let schema = TableSchema.named(type) else { return false }
    return try rows(type, where: (schema.keys[0], name)).isEmpty == false
  }
}
