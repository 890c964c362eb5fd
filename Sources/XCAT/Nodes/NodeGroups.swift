// The members of groups: static ones by nodelist.groups, dynamic ones (table nodegroup) by criteria on
// attributes of nodes (nodegroup(5), DBobjUtils.pm, getGroupMembers;
// docs/xcat-contract.md#node-values). "::" joins several criteria, each `attr==value`, `attr!=value`,
// `attr=~pattern`, `attr!~pattern` or `attr=value`. A node without the attribute matches none of them.

import Platform

/// Groups and their members.
enum NodeGroups {
  /// Returns the members of all static groups, and of the dynamic ones in a node range.
  /// - Parameter range: the node range. Criteria of other dynamic groups are not evaluated, since they
  ///   may be of a kind that is refused.
  static func members(
    _ tables: inout NodeTables, _ definitions: [[String: String]], in range: String
  ) throws -> [String: Set<String>] {
    var groups: [String: Set<String>] = [:]
    for (node, names) in tables.groups {
      for name in names { groups[name, default: []].insert(node) }
    }
    for row in definitions {
      guard let name = row["groupname"] else { continue }
      guard row["grouptype"] == "dynamic" else {
        if groups[name] == nil { groups[name] = [] }
        continue
      }
      guard mentions(range, name) else { continue }
      let criteria = try parse(row["wherevals"] ?? "", group: name)
      var members: Set<String> = []
      for node in tables.groups.keys {
        if try criteria.allSatisfy({ try $0.holds(node, &tables) }) { members.insert(node) }
      }
      groups[name] = members
    }
    return groups
  }

  private static func mentions(_ range: String, _ name: String) -> Bool {
    range.utf8.split { ",@".utf8.contains($0) }.contains { part in
      let text = trimmed(String(decoding: part, as: UTF8.self))
      return text == name || text == "-" + name
    }
  }

  private static func parse(_ text: String, group: String) throws(XCATError) -> [Criterion] {
    var criteria: [Criterion] = []
    var rest = text[...]
    while !rest.isEmpty {
      let end = rest.firstRange(of: "::")
      criteria.append(try Criterion(String(rest[..<(end?.lowerBound ?? rest.endIndex)]), group))
      rest = end.map { rest[$0.upperBound...] } ?? ""
    }
    guard !criteria.isEmpty else {
      throw XCATError(
        "group \(group)", "is dynamic, but has no criteria (wherevals)",
        hint: "Correct it with chdef -t group, or name its nodes")
    }
    return criteria
  }
}

/// A condition on one attribute.
private struct Criterion {
  private enum Test {
    case equals(String)
    case differs(String)
    case matches(PerlPattern)
    case matchesNot(PerlPattern)
  }
  private let table: String
  private let column: String
  private let test: Test

  init(_ text: String, _ group: String) throws(XCATError) {
    let bytes = Array(text.utf8)
    func refuse(_ reason: String) -> XCATError {
      XCATError(
        "group \(group)", "is dynamic by '\(printable(text.utf8))', \(reason)",
        hint: "Name its nodes instead")
    }
    guard
      let at = bytes.firstIndex(where: { "=!".utf8.contains($0) }), at > 0, at + 1 < bytes.count
    else { throw refuse("which is not a condition") }
    let name = trimmed(String(decoding: bytes[..<at], as: UTF8.self))
    guard let location = Criterion.location(of: name) else {
      throw refuse("whose attribute '\(name)' is not supported")
    }
    (table, column) = location
    let sign = String(decoding: bytes[at...(at + 1)], as: UTF8.self)
    let value = String(decoding: bytes[(at + 2)...], as: UTF8.self)
    switch sign {
    case "==": test = .equals(value)
    case "!=": test = .differs(value)
    case "=~": test = .matches(try Criterion.pattern(value))
    case "!~": test = .matchesNot(try Criterion.pattern(value))
    default:
      guard bytes[at] == UInt8(ascii: "=") else { throw refuse("which is not a condition") }
      test = .equals(String(decoding: bytes[(at + 1)...], as: UTF8.self))
    }
  }

  /// Compiles a pattern; slashes around it are removed.
  private static func pattern(_ text: String) throws(XCATError) -> PerlPattern {
    var bytes = Array(text.utf8)[...]
    if bytes.first == UInt8(ascii: "/") { bytes = bytes.dropFirst() }
    if bytes.last == UInt8(ascii: "/") { bytes = bytes.dropLast() }
    return try PerlPattern(String(decoding: bytes, as: UTF8.self))
  }

  /// The tables whose columns are node attributes of the same name (Schema.pm).
  private static let columns: [String: [String]] = [
    "nodelist": [
      "groups", "status", "appstatus", "primarysn", "hidden", "updatestatus", "zonename",
    ],
    "nodetype": ["os", "arch", "profile", "provmethod", "supportedarchs", "nodetype"],
    "noderes": [
      "servicenode", "netboot", "tftpserver", "tftpdir", "nfsserver", "monserver", "nfsdir",
      "installnic", "primarynic", "xcatmaster", "nameservers", "syslog",
    ],
    "nodehm": ["mgt", "power", "cons", "termserver", "termport", "conserver", "serialport"],
    "nodepos": ["rack", "u", "chassis", "slot", "room", "height"],
    "vpd": ["serial", "mtm", "side", "asset", "uuid"],
    "postscripts": ["postscripts", "postbootscripts"],
  ]

  private static func location(of attribute: String) -> (String, String)? {
    if attribute == "node" { return ("nodelist", "node") }
    return columns.first { $0.value.contains(attribute) }.map { ($0.key, attribute) }
  }

  func holds(_ node: String, _ tables: inout NodeTables) throws -> Bool {
    guard let value = try tables.value(table, column, node: node) else { return false }
    switch test {
    case .equals(let operand): return value == operand
    case .differs(let operand): return value != operand
    case .matches(let pattern): return try pattern.firstMatch(in: value) != nil
    case .matchesNot(let pattern): return try pattern.firstMatch(in: value) == nil
    }
  }
}
