// The values of xCAT's node tables for one node (Table.pm, getNodeAttribs;
// docs/xcat-contract.md#node-values). A node's own row takes precedence, then the first of its groups
// that has a value. For attributes in `site.hierarchicalattrs` all these values are joined. The value
// may then be computed from the node's name.

import Platform

/// The node tables, each read once.
struct NodeTables {
  private let backend: any TableBackend
  /// The groups of each node, in the order of nodelist.groups, which is the order of inheritance.
  let groups: [String: [String]]
  /// The attributes whose values are joined, with their separators.
  private let joined: [String: String]
  private var tables: [String: [String: [String: String]]] = [:]

  init(_ backend: any TableBackend) throws {
    self.backend = backend
    let rows = try backend.rows("nodelist")
    tables["nodelist"] = NodeTables.byNode(rows)
    groups = Dictionary(
      rows.compactMap { row in row["node"].map { ($0, NodeTables.list(row["groups"])) } }
    ) { first, _ in first }
    var joined: [String: String] = [:]
    for item in NodeTables.list(try backend.site("hierarchicalattrs")) {
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

  /// Returns the row of a node or group itself.
  mutating func row(_ table: String, _ node: String) throws -> [String: String] {
    if tables[table] == nil { tables[table] = NodeTables.byNode(try backend.rows(table)) }
    return tables[table]?[node] ?? [:]
  }

  /// Returns the effective value of a node.
  /// - Throws: `XCATError` for a value that cannot be computed; the errors of the backend.
  mutating func value(_ table: String, _ column: String, node: String) throws -> String? {
    let ownValue = try row(table, node)[column]
    var raw = ownValue
    if table != "nodelist" {
      let groupNames = groups[node] ?? []
      if let separator = joined[column] {
        raw = try join([ownValue] + groupNames.map { try row(table, $0)[column] }, separator)
      } else if ownValue == nil {
        for group in groupNames where raw == nil { raw = try row(table, group)[column] }
      }
    }
    return try raw.flatMap { value throws(XCATError) in try NodeValue.of(value, node: node) }
  }

  /// Joins values, with each part at its first position.
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
