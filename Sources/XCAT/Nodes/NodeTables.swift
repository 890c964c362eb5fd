// What xCAT's node tables say of one node (Table.pm, getNodeAttribs): its own row's value, else that
// of the first of its groups that has one; for the attributes that `site.hierarchicalattrs` names,
// all of them joined; then, made from the node's name where the value says so.

import Platform

/// The node tables, read once.
struct NodeTables {
  private let door: any TableBackend
  /// Groups of each node, in the order of nodelist.groups, which is the order of inheritance.
  let groups: [String: [String]]
  /// Attributes whose values are joined, and by what.
  private let joined: [String: String]
  private var tables: [String: [String: [String: String]]] = [:]

  init(_ door: any TableBackend) throws {
    self.door = door
    let rows = try door.rows("nodelist")
    tables["nodelist"] = NodeTables.byNode(rows)
    groups = Dictionary(
      rows.compactMap { row in row["node"].map { ($0, NodeTables.list(row["groups"])) } }
    ) { first, _ in first }
    var joined: [String: String] = [:]
    for item in NodeTables.list(try door.site("hierarchicalattrs")) {
      let parts = item.split(separator: ":", maxSplits: 1).map { trimmed(String($0)) }
      guard let name = parts.first, !name.isEmpty else { continue }
      joined[name] = parts.count > 1 && !parts[1].isEmpty ? parts[1] : ","
    }
    self.joined = joined
  }

  static func list(_ value: String?) -> [String] {
    (value ?? "").utf8.split(separator: UInt8(ascii: ","))
      .map { trimmed(String(decoding: $0, as: UTF8.self)) }.filter { !$0.isEmpty }
  }

  private static func byNode(_ rows: [[String: String]]) -> [String: [String: String]] {
    Dictionary(rows.compactMap { row in row["node"].map { ($0, row) } }) { first, _ in first }
  }

  /// The row of a node or group itself.
  mutating func row(_ table: String, _ node: String) throws -> [String: String] {
    if tables[table] == nil { tables[table] = NodeTables.byNode(try door.rows(table)) }
    return tables[table]?[node] ?? [:]
  }

  /// The value that holds for a node.
  mutating func value(_ table: String, _ column: String, node: String) throws -> String? {
    let own = try row(table, node)[column]
    var raw = own
    if table != "nodelist" {
      let others = groups[node] ?? []
      if let separator = joined[column] {
        raw = try join([own] + others.map { try row(table, $0)[column] }, separator)
      } else if own == nil {
        for group in others where raw == nil { raw = try row(table, group)[column] }
      }
    }
    return try raw.flatMap { value throws(XCATError) in try NodeValue.of(value, node: node) }
  }

  /// Each part once, where it came first.
  private func join(_ values: [String?], _ separator: String) throws -> String? {
    let present = values.compactMap { $0 }
    guard !present.isEmpty else { return nil }
    var seen: Set<String> = []
    let parts = present.flatMap { split($0, separator) }.filter { seen.insert($0).inserted }
    return parts.joined(separator: separator)
  }

  private func split(_ text: String, _ separator: String) -> [String] {
    let (bytes, mark) = (Array(text.utf8), Array(separator.utf8))
    var parts: [String] = []
    var start = 0
    var at = 0
    while at + mark.count <= bytes.count {
      if bytes[at..<(at + mark.count)].elementsEqual(mark) {
        parts.append(String(decoding: bytes[start..<at], as: UTF8.self))
        at += mark.count
        start = at
      } else {
        at += 1
      }
    }
    parts.append(String(decoding: bytes[start...], as: UTF8.self))
    return parts
  }
}
