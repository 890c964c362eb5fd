// Node ranges as xCAT's commands take them (noderange(3), NodeRange.pm;
// docs/xcat-contract.md#node-ranges), as far as they are unambiguous: names, groups, `a1-a9`, `a1:a9`,
// `a[1-3,7]b`, `a1+3`, `/PATTERN`, `,` union, `@` intersection, `-` exclusion (which applies to the
// whole list, whatever its position). Parentheses, `^FILE` and criteria (`os==rhels9`) are errors.

import Platform

/// The nodes of a range.
public struct NodeSelection: Sendable, Equatable {
  /// The nodes of the table nodelist, sorted.
  public let nodes: [String]
  /// The names that are neither a node nor a group, in the order of the range.
  public let unknown: [String]

  /// Creates a selection.
  public init(nodes: [String], unknown: [String]) {
    self.nodes = nodes
    self.unknown = unknown
  }
}

/// Expands ranges over known nodes and groups.
struct NodeRange {
  /// All nodes.
  let nodes: Set<String>
  let groups: [String: Set<String>]
  private var unknown: [String] = []
  private let limit = 100_000

  init(nodes: Set<String>, groups: [String: Set<String>]) {
    self.nodes = nodes
    self.groups = groups
  }

  static func refuse(_ text: String, _ reason: String) -> XCATError {
    XCATError(
      "node range '\(printable(text.utf8))'", reason,
      hint: "Name nodes and groups, separated by commas")
  }

  mutating func expand(_ range: String) throws(XCATError) -> NodeSelection {
    for mark in "()'\"" where range.utf8.contains(mark.asciiValue ?? 0) {
      throw NodeRange.refuse(range, "has a '\(mark)', which is not supported")
    }
    var included: Set<String> = []
    var excluded: Set<String> = []
    for element in elements(range) {
      if element.utf8.first == UInt8(ascii: "-") {
        excluded.formUnion(try intersection(String(element.dropFirst())))
      } else {
        included.formUnion(try intersection(element))
      }
    }
    return NodeSelection(
      nodes: included.subtracting(excluded).sorted(by: byBytes), unknown: unknown)
  }

  /// Splits a range at commas outside "[]".
  private func elements(_ range: String) -> [String] {
    var parts: [[UInt8]] = [[]]
    var depth = 0
    for byte in range.utf8 {
      if byte == UInt8(ascii: "[") { depth += 1 }
      if byte == UInt8(ascii: "]") { depth -= 1 }
      if byte == UInt8(ascii: ","), depth <= 0 {
        parts.append([])
      } else {
        parts[parts.count - 1].append(byte)
      }
    }
    return parts.map { trimmed(String(decoding: $0, as: UTF8.self)) }.filter { !$0.isEmpty }
  }

  private mutating func intersection(_ element: String) throws(XCATError) -> Set<String> {
    let parts = element.split(separator: "@", omittingEmptySubsequences: false).map(String.init)
    guard parts.allSatisfy({ !$0.isEmpty && $0.utf8.first != UInt8(ascii: "-") }) else {
      throw NodeRange.refuse(element, "has an '@' or '-' without a name after it")
    }
    var result = try atom(parts[0])
    for part in parts.dropFirst() { result.formIntersection(try atom(part)) }
    return result
  }

  private mutating func atom(_ text: String) throws(XCATError) -> Set<String> {
    if nodes.contains(text) { return [text] }
    if let members = groups[text] { return members }
    if text.utf8.first == UInt8(ascii: "/") { return try matching(text) }
    if text.utf8.contains(where: { $0 == UInt8(ascii: "=") || $0 == UInt8(ascii: "~") }) {
      throw NodeRange.refuse(text, "selects by a criterion, which is not supported")
    }
    if text.utf8.first == UInt8(ascii: "^") {
      throw NodeRange.refuse(text, "names a file of ranges, which is not supported")
    }
    if text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) { return try atom("node" + text) }
    guard let names = try NodeRange.names(text, limit) else {
      unknown.append(text)
      return []
    }
    var result: Set<String> = []
    for name in names {
      if nodes.contains(name) {
        result.insert(name)
      } else if let members = groups[name] {
        result.formUnion(members)
      } else {
        unknown.append(name)
      }
    }
    return result
  }

  /// Expands `/PATTERN` to the nodes whose whole name it matches.
  private func matching(_ text: String) throws(XCATError) -> Set<String> {
    let pattern = try PerlPattern("^(?:" + text.dropFirst() + ")$")
    var result: Set<String> = []
    for node in nodes where try pattern.firstMatch(in: node) != nil { result.insert(node) }
    return result
  }

  // MARK: Numbers

  /// Returns the names of a range with numbers; nil if the text is not a range.
  static func names(_ text: String, _ limit: Int) throws(XCATError) -> [String]? {
    let bytes = Array(text.utf8)
    func string(_ part: some Collection<UInt8>) -> String { String(decoding: part, as: UTF8.self) }
    if let open = bytes.firstIndex(of: UInt8(ascii: "[")) {
      guard let close = bytes[open...].firstIndex(of: UInt8(ascii: "]")), close > open + 1 else {
        throw refuse(text, "has a '[' that is not closed, or nothing inside '[]'")
      }
      var names: [String] = []
      for item in bytes[(open + 1)..<close].split(separator: UInt8(ascii: ",")) {
        let ends = item.split(
          omittingEmptySubsequences: false,
          whereSeparator: { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ":") })
        guard ends.count <= 2, let first = ends.first, let last = ends.last else {
          throw refuse(text, "has '\(string(item))' inside '[]', which is not a range of numbers")
        }
        for number in try numbers(string(first), string(last), text, limit) {
          let rest = string(bytes[..<open]) + number + string(bytes[(close + 1)...])
          names +=
            try rest.utf8.contains(UInt8(ascii: "[")) ? self.names(rest, limit) ?? [] : [rest]
          guard names.count <= limit else { throw refuse(text, "means too many nodes") }
        }
      }
      return names
    }
    if let plus = bytes.firstIndex(of: UInt8(ascii: "+")) {
      return try offset(string(bytes[..<plus]), string(bytes[(plus + 1)...]), text, limit)
    }
    guard let (left, right) = ends(bytes) else { return nil }
    return try between(left.map(string), right.map(string), text, limit)
  }

  /// Returns the two ends of `a1-a9`, each split into letters and digits.
  private static func ends(
    _ bytes: [UInt8]
  ) -> (left: [ArraySlice<UInt8>], right: [ArraySlice<UInt8>])? {
    let colons = bytes.indices.filter { bytes[$0] == UInt8(ascii: ":") }
    let dashes = bytes.indices.filter { bytes[$0] == UInt8(ascii: "-") }
    let middle: Int
    if colons.count == 1 {
      middle = colons[0]
    } else if colons.isEmpty, dashes.count % 2 == 1 {
      middle = dashes[dashes.count / 2]
    } else {
      return nil
    }
    func runs(_ part: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
      var runs: [ArraySlice<UInt8>] = []
      var start = part.startIndex
      for i in part.indices where i > start {
        let isDigit = (0x30...0x39).contains(part[i])
        if isDigit != (0x30...0x39).contains(part[i - 1]) {
          runs.append(part[start..<i])
          start = i
        }
      }
      if start < part.endIndex { runs.append(part[start...]) }
      return runs
    }
    let (left, right) = (runs(bytes[..<middle]), runs(bytes[(middle + 1)...]))
    return left.isEmpty || left.count != right.count ? nil : (left, right)
  }

  /// Expands a range whose ends differ in one number only.
  private static func between(
    _ left: [String], _ right: [String], _ text: String, _ limit: Int
  ) throws(XCATError) -> [String]? {
    let different = left.indices.filter { left[$0] != right[$0] }
    guard different.count <= 1 else { return nil }
    guard let at = different.first else { return [left.joined()] }
    func isNumber(_ part: String) -> Bool { part.utf8.allSatisfy { (0x30...0x39).contains($0) } }
    guard isNumber(left[at]), isNumber(right[at]) else { return nil }
    let (before, behind) = (left[..<at].joined(), left[(at + 1)...].joined())
    return try numbers(left[at], right[at], text, limit).map { before + $0 + behind }
  }

  /// Expands `a1+3` to a1, a2, a3, a4: the first number counts.
  private static func offset(
    _ name: String, _ increment: String, _ text: String, _ limit: Int
  ) throws(XCATError) -> [String] {
    let bytes = Array(name.utf8)
    guard let start = bytes.firstIndex(where: { (0x30...0x39).contains($0) }),
      let count = Int(increment), (0..<limit).contains(count)
    else { throw refuse(text, "has no number before '+', or none after it") }
    let end = bytes[start...].firstIndex { !(0x30...0x39).contains($0) } ?? bytes.count
    let behind = String(decoding: bytes[end...], as: UTF8.self)
    let digits = String(decoding: bytes[start..<end], as: UTF8.self)
    guard behind.isEmpty || behind.utf8.first == UInt8(ascii: "."), start > 0,
      let first = Int(digits), first < Int.max - limit
    else { throw refuse(text, "has a number before '+' that is not at the end of a name") }
    let before = String(decoding: bytes[..<start], as: UTF8.self)
    return (first...(first + count)).map { before + padded($0, digits.utf8.count) + behind }
  }

  private static func numbers(
    _ first: String, _ last: String, _ text: String, _ limit: Int
  ) throws(XCATError) -> [String] {
    if first == last { return [first] }
    guard let low = Int(first), let high = Int(last), low >= 0, high >= low else {
      throw refuse(text, "has '\(first)' to '\(last)', which is not an ascending range")
    }
    let isPadded = first.utf8.first == UInt8(ascii: "0") && first.utf8.count > 1
    guard !isPadded || first.utf8.count == last.utf8.count else {
      throw refuse(text, "has numbers of different widths: '\(first)' and '\(last)'")
    }
    guard high - low < limit else { throw refuse(text, "means too many nodes") }
    return (low...high).map { padded($0, isPadded ? first.utf8.count : 0) }
  }

  private static func padded(_ number: Int, _ width: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
  }
}
