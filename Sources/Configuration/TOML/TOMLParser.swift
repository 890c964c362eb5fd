// Parses a TOML document (https://toml.io/en/v1.0.0).
//
// 1. Every value keeps its line, so that a setting without a meaning can be reported with its line. TOMLKit
//    reports lines only for syntax errors (docs/decisions/0066-own-toml-parser.md).
// 2. Arrays and inline tables nest at most `maxDepth` levels deep, and keys have at most as many parts: a
//    document cannot exhaust the stack.
// 3. A table or a key is defined once.

/// Parses documents.
public struct TOMLParser {
  /// The deepest nesting of arrays and inline tables, and the largest number of parts of a key.
  static let maxDepth = 32

  private var scanner: TOMLScanner
  private let root = TOMLTable(.header, line: 1)

  private init(_ bytes: [UInt8]) throws(TOMLError) { scanner = try TOMLScanner(bytes) }

  /// Returns the root table of a document.
  /// - Throws: `TOMLError` for a text that is not TOML 1.0.
  public static func parse(_ bytes: [UInt8]) throws(TOMLError) -> TOMLTable {
    var parser = try TOMLParser(bytes)
    try parser.parseDocument()
    return parser.root
  }

  private mutating func parseDocument() throws(TOMLError) {
    var table = root
    while true {
      scanner.skipLines()
      if scanner.isAtEnd { return }
      if scanner.peek == UInt8(ascii: "[") {
        table = try header()
      } else {
        try keyValue(in: table, depth: 0)
      }
      try scanner.endLine()
    }
  }

  // MARK: Tables

  private mutating func header() throws(TOMLError) -> TOMLTable {
    scanner.advance()
    let isArray = scanner.skip(UInt8(ascii: "["))
    let line = scanner.line
    let key = try scanner.key()
    guard scanner.skip(UInt8(ascii: "]")), !isArray || scanner.skip(UInt8(ascii: "]")) else {
      throw scanner.failure("the header has no closing bracket")
    }
    var table = root
    for part in key.dropLast() { table = try child(part, of: table, line) }
    return isArray
      ? try addElement(key[key.count - 1], to: table, line)
      : try define(key[key.count - 1], in: table, line)
  }

  /// Returns the table that a part of a header names. A missing one is implied.
  private func child(
    _ part: String, of table: TOMLTable, _ line: Int
  ) throws(TOMLError) -> TOMLTable {
    switch table[part]?.value {
    case nil:
      let new = TOMLTable(.implied, line: line)
      table.add(part, TOMLItem(line: line, value: .table(new)))
      return new
    case .table(let existing) where existing.origin != .inline: return existing
    case .tableArray(let array):
      guard let last = array.tables.last else { break }
      return last
    default: break
    }
    throw TOMLError(line: line, reason: "'\(part)' is defined already, and cannot be extended")
  }

  private func define(
    _ part: String, in table: TOMLTable, _ line: Int
  ) throws(TOMLError) -> TOMLTable {
    if case .table(let existing)? = table[part]?.value, existing.origin == .implied {
      existing.origin = .header
      existing.line = line
      return existing
    }
    guard table[part] == nil else {
      throw TOMLError(line: line, reason: "the table '\(part)' is defined twice")
    }
    let new = TOMLTable(.header, line: line)
    table.add(part, TOMLItem(line: line, value: .table(new)))
    return new
  }

  private func addElement(
    _ part: String, to table: TOMLTable, _ line: Int
  ) throws(TOMLError) -> TOMLTable {
    let new = TOMLTable(.header, line: line)
    switch table[part]?.value {
    case nil:
      let array = TOMLTableArray()
      array.tables.append(new)
      table.add(part, TOMLItem(line: line, value: .tableArray(array)))
    case .tableArray(let array): array.tables.append(new)
    default: throw TOMLError(line: line, reason: "'\(part)' is defined already")
    }
    return new
  }

  // MARK: Values

  private mutating func keyValue(in table: TOMLTable, depth: Int) throws(TOMLError) {
    let line = scanner.line
    let key = try scanner.key()
    guard scanner.skip(UInt8(ascii: "=")) else {
      throw scanner.failure("'=' was expected after the key")
    }
    var table = table
    for part in key.dropLast() {
      switch table[part]?.value {
      case nil:
        let new = TOMLTable(.dottedKey, line: line)
        table.add(part, TOMLItem(line: line, value: .table(new)))
        table = new
      case .table(let existing) where existing.origin == .dottedKey: table = existing
      default: throw TOMLError(line: line, reason: "'\(part)' is defined already")
      }
    }
    let name = key[key.count - 1]
    guard table[name] == nil else {
      throw TOMLError(line: line, reason: "the key '\(name)' is defined twice")
    }
    scanner.skipSpace()
    let value = try value(depth: depth)
    table.add(name, TOMLItem(line: line, value: value))
  }

  private mutating func value(depth: Int) throws(TOMLError) -> TOMLValue {
    switch scanner.peek {
    case UInt8(ascii: "\""), UInt8(ascii: "'"): return .string(try scanner.string())
    case UInt8(ascii: "["): return .array(try array(depth: depth + 1))
    case UInt8(ascii: "{"): return .table(try inlineTable(depth: depth + 1))
    default: return try word()
    }
  }

  private mutating func word() throws(TOMLError) -> TOMLValue {
    let isEnd: (UInt8) -> Bool = { Array(" \t\r\n,]}#".utf8).contains($0) }
    let start = scanner.offset
    var text = scanner.take { !isEnd($0) }
    // A date and a time may have a space between them.
    var ahead = scanner
    if TOMLWord.isDateTime(text), ahead.skip(0x20),
      ahead.peek.map({ (0x30...0x39).contains($0) }) == true
    {
      _ = ahead.take { !isEnd($0) }
      scanner = ahead
      text = scanner.text(from: start)
    }
    guard !text.isEmpty else { throw scanner.failure("a value was expected") }
    guard let value = TOMLWord.value(text) else {
      throw scanner.failure("'\(text)' is not a value; strings need quotes")
    }
    return value
  }

  private mutating func array(depth: Int) throws(TOMLError) -> [TOMLItem] {
    guard depth <= TOMLParser.maxDepth else {
      throw scanner.failure("the value is nested too deep")
    }
    scanner.advance()
    var items: [TOMLItem] = []
    while true {
      scanner.skipLines()
      if scanner.skip(UInt8(ascii: "]")) { return items }
      let line = scanner.line
      items.append(TOMLItem(line: line, value: try value(depth: depth)))
      scanner.skipLines()
      if scanner.skip(UInt8(ascii: ",")) { continue }
      guard scanner.skip(UInt8(ascii: "]")) else {
        throw scanner.failure("',' or ']' was expected in the array")
      }
      return items
    }
  }

  private mutating func inlineTable(depth: Int) throws(TOMLError) -> TOMLTable {
    guard depth <= TOMLParser.maxDepth else {
      throw scanner.failure("the value is nested too deep")
    }
    let table = TOMLTable(.inline, line: scanner.line)
    scanner.advance()
    scanner.skipSpace()
    if scanner.skip(UInt8(ascii: "}")) { return table }
    while true {
      try keyValue(in: table, depth: depth)
      scanner.skipSpace()
      if scanner.skip(UInt8(ascii: "}")) {
        return table
      }
      guard scanner.skip(UInt8(ascii: ",")) else {
        throw scanner.failure("',' or '}' was expected in the inline table")
      }
    }
  }
}
