// Computes values of node tables from the node's name (Table.pm, transRegexAttrs; xcatdb(5);
// docs/xcat-contract.md#node-values):
//
//     /PATTERN/TEXT/          TEXT replaces the match of PATTERN in the name
//     |PATTERN|TEXT|          the same, with (EXPRESSION) computed: |\D+(\d+)|rack($1/10)|
//     |TEXT|                  PATTERN is one group for each number in the name
//
// As in xCAT, `$1` is a group only inside parentheses, arithmetic is on integers, and a name that the
// pattern does not match stays unchanged. Values that only Perl could compute are refused.

import Platform

/// The value of an attribute for a node.
enum NodeValue {
  /// Computes a value.
  /// - Returns: nil if the result is empty, which counts as unset.
  static func of(_ value: String, node: String) throws(XCATError) -> String? {
    let bytes = Array(value.utf8)
    let result: String
    if isForm(bytes, UInt8(ascii: "/"), parts: 2) {
      let parts = split(bytes, UInt8(ascii: "/"))
      result = try substituted(parts[0], parts[1], node)
    } else if bytes.count >= 2, bytes.first == bar, bytes.last == bar {
      let parts = split(bytes, bar)
      let text = parts.count < 2 ? parts.first ?? "" : parts[1]
      let pattern = parts.count < 2 ? numbersPattern(node) : parts[0]
      result = try substituted(pattern, try computed(text, pattern, node), node)
    } else {
      result = value
    }
    return result.isEmpty ? nil : result
  }

  private static let bar = UInt8(ascii: "|")

  /// Returns whether the text is `/…/…/` with no other slash.
  private static func isForm(_ bytes: [UInt8], _ mark: UInt8, parts: Int) -> Bool {
    bytes.first == mark && bytes.last == mark && bytes.count { $0 == mark } == parts + 1
  }

  /// Returns the text between the outer marks, split once.
  private static func split(_ bytes: [UInt8], _ mark: UInt8) -> [String] {
    bytes.dropFirst().dropLast()
      .split(separator: mark, maxSplits: 1, omittingEmptySubsequences: false)
      .map { String(decoding: $0, as: UTF8.self) }
  }

  private static func numbersPattern(_ node: String) -> String {
    let runs = node.utf8.split { !(0x30...0x39).contains($0) }.count
    return String(repeating: "[\\D0]*(\\d+)", count: runs) + ".*$"
  }

  private static func substituted(
    _ pattern: String, _ text: String, _ node: String
  ) throws(XCATError) -> String {
    guard let match = try PerlPattern(pattern).firstMatch(in: node) else { return node }
    let name = Array(node.utf8)
    return String(
      decoding: name[..<match.range.lowerBound] + Array(text.utf8)
        + name[match.range.upperBound...], as: UTF8.self)
  }

  /// Returns the text with each outermost (EXPRESSION) computed.
  private static func computed(
    _ text: String, _ pattern: String, _ node: String
  ) throws(XCATError) -> String {
    let bytes = Array(text.utf8)
    guard bytes.contains(UInt8(ascii: "(")) else { return text }
    let refused = XCATError(
      "value '|\(pattern)|\(text)|'", "cannot be computed for node \(printable(node.utf8))",
      hint: "Give the node a value of its own (chdef)")
    guard let match = try PerlPattern(pattern).firstMatch(in: node),
      match.range == 0..<node.utf8.count
    else { throw refused }
    let name = Array(node.utf8)
    let groups = match.groups.map { $0.map { Array(name[$0]) } }
    var result: [UInt8] = []
    var at = 0
    while at < bytes.count {
      guard bytes[at] == UInt8(ascii: "(") else {
        guard bytes[at] != UInt8(ascii: ")") else { throw refused }
        result.append(bytes[at])
        at += 1
        continue
      }
      var expression = Expression(bytes, at, groups)
      guard let value = expression.parenthesised() else { throw refused }
      result += Array("\(value)".utf8)
      at = expression.at
    }
    return String(decoding: result, as: UTF8.self)
  }

  /// A parser for integers, `$1`, `+ - * / %` and parentheses. nil means "not computable": a syntax
  /// error, a number that Perl would read as octal, a division by zero, or an overflow.
  private struct Expression {
    private let bytes: [UInt8]
    private let groups: [[UInt8]?]
    private(set) var at: Int
    private var depth = 0

    init(_ bytes: [UInt8], _ at: Int, _ groups: [[UInt8]?]) {
      self.bytes = bytes
      self.at = at
      self.groups = groups
    }

    mutating func parenthesised() -> Int? {
      depth += 1
      defer { depth -= 1 }
      guard depth <= 32, take("("), let value = sum(), take(")") else { return nil }
      return value
    }

    private mutating func sum() -> Int? {
      guard var value = product() else { return nil }
      while true {
        if take("+") {
          guard let next = product(),
            case (let r, let overflow) = value.addingReportingOverflow(next), !overflow
          else { return nil }
          value = r
        } else if take("-") {
          guard let next = product(),
            case (let r, let overflow) = value.subtractingReportingOverflow(next), !overflow
          else { return nil }
          value = r
        } else {
          return value
        }
      }
    }

    private mutating func product() -> Int? {
      guard var value = atom() else { return nil }
      while true {
        if take("*") {
          // "**" is a power.
          guard let next = atom(),
            case (let r, let overflow) = value.multipliedReportingOverflow(by: next), !overflow
          else { return nil }
          value = r
        } else if take("/") {
          guard let next = atom(), next != 0, value != Int.min else { return nil }
          value /= next
        } else if take("%") {
          guard let next = atom(), next != 0, value != Int.min else { return nil }
          value %= next
        } else {
          return value
        }
      }
    }

    private mutating func atom() -> Int? {
      skipBlanks()
      guard at < bytes.count else { return nil }
      if bytes[at] == UInt8(ascii: "(") { return parenthesised() }
      if bytes[at] == UInt8(ascii: "$") {
        at += 1
        guard let number = digits(), let n = Int(number), groups.indices.contains(n - 1),
          let group = groups[n - 1]
        else { return nil }
        // Perl reads a variable's text as a decimal number, with or without leading zeros.
        return group.allSatisfy { (0x30...0x39).contains($0) }
          ? Int(String(decoding: group, as: UTF8.self)) : nil
      }
      guard let number = digits(), number.utf8.count == 1 || number.utf8.first != 0x30 else {
        return nil
      }
      return Int(number)
    }

    private mutating func digits() -> String? {
      let end = bytes[at...].firstIndex { !(0x30...0x39).contains($0) } ?? bytes.count
      guard end > at else { return nil }
      defer { at = end }
      return String(decoding: bytes[at..<end], as: UTF8.self)
    }

    private mutating func skipBlanks() {
      while at < bytes.count, bytes[at] == 0x20 { at += 1 }
    }

    private mutating func take(_ mark: Unicode.Scalar) -> Bool {
      skipBlanks()
      guard at < bytes.count, UInt32(bytes[at]) == mark.value else { return false }
      at += 1
      return true
    }
  }
}
