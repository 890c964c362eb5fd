// Changes rows through xCAT's commands: reads the present state, computes the new one, runs the
// commands that lead to it, and reads the result back.
//
// A target is an object that one command can change: an image (rows of osimage and linuximage
// together), a kit, or a row. Its state is its set attributes or columns; nil if it does not exist.

import Platform

extension CommandTableBackend {
  /// Makes all changes, in their order; changes to an image's two tables share one command.
  /// - Throws: `XCATError`: a value that the commands cannot carry or a hidden row (nothing has
  ///   changed then); a command that failed or had no effect (the changes were rolled back, or the
  ///   error names those that were not).
  @discardableResult
  public func apply(_ changes: [RowChange]) throws -> [String] {
    var states = try TableChangeStates(self, changes)
    for change in changes { try states.fold(change) }
    let steps = states.order.filter { states.before[$0] != states.after[$0] }
    for target in steps { try check(target, states.after[target] ?? nil) }
    let nodes = states.nodes
    do {
      try move(steps, from: states.before, to: states.after, nodes)
      try verify(steps, states.after, changes)
    } catch let failure {
      throw rollBack(steps, states.before, states.after, nodes, after: failure)
    }
    return states.unknown.sorted(by: byBytes)
  }

  private func check(_ target: TableTarget, _ state: TargetState) throws(XCATError) {
    switch target {
    case .object(let type, let name):
      try XCATCommandRunner.check(name: name)
      guard type == "osimage", let state, state["imagetype"] != "linux" else { break }
      let hidden = state.keys.sorted().first { TableSchema.table(of: $0)?.schema == .linuximage }
      guard let hidden else { break }
      throw XCATError(
        .tablesInvalid,
        target.text, "has '\(hidden)', which xCAT accepts only for images with imagetype=linux",
        hint: "Define it with imagetype=linux")
    case .row(let schema, let key):
      for column in schema.keys {
        let value = key[column] ?? ""
        // chtab cuts its keys at commas and at the last '='; xCAT puts them into SQL unescaped.
        guard !value.isEmpty, !value.utf8.contains(where: { ",='\"\\".utf8.contains($0) }) else {
          throw XCATError(
            .tablesInvalid,
            target.text, "has a key that chtab cannot take: \(column)='\(printable(value.utf8))'",
            hint: "Change that row with xCAT's tabedit")
        }
        try XCATCommandRunner.check(value: value, of: target.text)
      }
      guard let state else { break }
      guard state.keys.contains(where: { $0 != "disable" }) else {
        throw XCATError(
          .tablesInvalid,
          target.text, "would have a key only, and xCAT stores no such row",
          hint: "Give it a value, or remove it")
      }
      for (column, value) in state where value.contains("+=") {
        throw XCATError(
          .tablesInvalid,
          target.text, "has '+=' in \(column), which chtab treats as an append",
          hint: "Change that row with xCAT's tabedit")
      }
    }
    for (name, value) in state ?? [:] {
      try XCATCommandRunner.check(value: value, of: "\(target.text), \(name)")
    }
  }

  // MARK: Changing

  /// Changes every target from one state to another; consecutive nodes share a command.
  private func move(
    _ targets: [TableTarget], from old: [TableTarget: TargetState],
    to new: [TableTarget: TargetState], _ nodes: Set<String>
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

  /// Returns the stanza with the new attributes, and those that become unset.
  private func stanza(
    _ type: String, _ name: String, _ old: TargetState, _ new: [String: String]
  ) -> StanzaFile.Object {
    let unset = (old ?? [:]).keys.filter { new[$0] == nil && $0 != "disable" }
    let cleared = Dictionary(unset.map { ($0, "") }) { $1 }
    return StanzaFile.Object(
      name: name, type: type,
      attributes: new.filter { $0.key != "disable" }.merging(cleared) { value, _ in value })
  }

  private func change(_ type: String, _ name: String, _ old: TargetState, _ new: TargetState) throws
  {
    guard let new else {
      if old != nil { try commands.mustRun("rmdef", ["-t", type, "-o", name]) }
      return
    }
    try commands.mustRun(
      old == nil ? "mkdef" : "chdef", ["-z"],
      input: StanzaFile.render([stanza(type, name, old, new)], for: .xCAT))
  }

  private func change(
    _ schema: TableSchema, _ key: [String: String], _ old: TargetState, _ new: TargetState
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

  // MARK: Verifying

  private func verify(
    _ targets: [TableTarget], _ expected: [TableTarget: TargetState], _ changes: [RowChange]
  ) throws {
    guard !targets.isEmpty else { return }
    let currentStates = try TableChangeStates(self, changes).before
    for target in targets {
      let (actual, expectedState) = (currentStates[target] ?? nil, expected[target] ?? nil)
      guard visible(actual) != visible(expectedState) else { continue }
      let names = Set((actual ?? [:]).keys).union((expectedState ?? [:]).keys).sorted()
      let name = names.first { actual?[$0] != expectedState?[$0] } ?? ""
      throw XCATError(
        .xcatCommandFailed,
        target.text,
        "differs from the value that was set, although xCAT's commands reported no error: \(name) is "
          + "'\(printable((actual?[name] ?? "").utf8))', not '\(printable((expectedState?[name] ?? "").utf8))'",
        hint: "Check it with lsdef or tabdump, and read xcatd's log")
    }
  }

  /// Returns the state without `disable`. A row whose values are all unset counts as absent.
  private func visible(_ state: TargetState) -> [String: String] {
    (state ?? [:]).filter { $0.key != "disable" }
  }

  /// Rolls back the changes as far as possible, and returns an error that says how far.
  private func rollBack(
    _ targets: [TableTarget], _ before: [TableTarget: TargetState],
    _ after: [TableTarget: TargetState],
    _ nodes: Set<String>, after failure: any Error
  ) -> any Error {
    var failed: [String] = []
    for target in targets.reversed() {
      do {
        // The failed command may have changed anything: write the old state over the present one.
        var from = after[target] ?? nil
        if case .object(let type, let name) = target, try !exists(type, name) { from = nil }
        try move([target], from: [target: from], to: [target: before[target] ?? nil], nodes)
      } catch {
        failed.append(target.text)
      }
    }
    let cause = failure as? any ExplainedError
    let rollback =
      failed.isEmpty
      ? "the tables were rolled back"
      : "these could not be rolled back: " + failed.joined(separator: ", ")
    let reason = cause?.reason ?? "\(failure)"
    return XCATError(
      cause?.errorCode ?? .failed, cause?.subject ?? location, "\(reason); \(rollback)",
      hint: cause?.hint ?? "", form: cause?.form ?? .clause)
  }

  private func exists(_ type: String, _ name: String) throws -> Bool {
    if type == "osimage" { return try definition(of: name) != nil }
    guard let schema = TableSchema.named(type) else { return false }
    return try rows(type, where: (schema.keys[0], name)).isEmpty == false
  }
}
