// Parses a TOML document with toml++ (docs/decisions/0066-toml-plus-plus.md), and copies its values.
//
// `CTOML` limits the nesting, so that copying the values does not exhaust the stack, and checks that the text
// is UTF-8.

import CTOML
import Platform

/// Parses documents.
public enum TOMLParser {
  /// The largest size of a document.
  static let maxBytes = 1 << 20
  private static let maxReasonBytes = 512

  /// Returns the root table of a document.
  /// - Throws: `TOMLError` for a text that is not TOML 1.0, is larger than 1 MiB, or nests more than 32 levels deep.
  public static func parse(_ bytes: [UInt8]) throws(TOMLError) -> TOMLTable {
    guard bytes.count <= maxBytes else {
      throw TOMLError(line: 1, reason: "the text is larger than 1 MiB")
    }
    var line: UInt32 = 0
    var reason = [CChar](repeating: 0, count: maxReasonBytes)
    let parsed = bytes.withUnsafeBytes {
      ctoml_parse(
        $0.baseAddress?.assumingMemoryBound(to: CChar.self), $0.count, &line, &reason,
        maxReasonBytes)
    }
    guard let document = parsed else {
      throw TOMLError(line: Int(line), reason: clause(reason))
    }
    defer { ctoml_free(document) }
    var count = 0
    let nodes = ctoml_nodes(document, &count)
    var copy = TOMLCopy(nodes: UnsafeBufferPointer(start: nodes, count: count))
    return try copy.table()
  }

  /// Returns the reason that toml++ gives, without the words that our messages have, too.
  private static func clause(_ reason: [CChar]) -> String {
    let text = reason.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    let prefix = Array("Error while parsing ".utf8)
    return printable(text.starts(with: prefix) ? text.dropFirst(prefix.count) : text[...])
  }
}

/// Copies the values of a document, which lie in it one after the other.
private struct TOMLCopy {
  let nodes: UnsafeBufferPointer<ctoml_node>
  private var next = 0

  init(nodes: UnsafeBufferPointer<ctoml_node>) { self.nodes = nodes }

  /// Returns the table that is next.
  /// - Throws: `TOMLError` if keys differ only in the way in which they are composed of Unicode characters.
  mutating func table() throws(TOMLError) -> TOMLTable {
    let node = nodes[next]
    next += 1
    var table = TOMLTable(line: Int(node.value_line))
    for _ in 0..<node.children {
      let key = nodes[next]
      guard table.add(text(key.key, key.key_bytes), try item()) else {
        throw TOMLError(line: Int(key.line), reason: "the key is defined twice")
      }
    }
    return table
  }

  private mutating func item() throws(TOMLError) -> TOMLItem {
    TOMLItem(line: Int(nodes[next].line), value: try value())
  }

  private mutating func value() throws(TOMLError) -> TOMLValue {
    let node = nodes[next]
    if node.kind == ctoml_table { return .table(try table()) }
    next += 1
    switch node.kind {
    case ctoml_array:
      var items: [TOMLItem] = []
      for _ in 0..<node.children { items.append(try item()) }
      return .array(items)
    case ctoml_string: return .string(text(node.text, node.text_bytes))
    case ctoml_integer: return .integer(node.integer)
    case ctoml_float: return .float(node.number)
    case ctoml_boolean: return .boolean(node.boolean)
    default: return .dateTime
    }
  }

  private func text(_ start: UnsafePointer<CChar>?, _ count: Int) -> String {
    let bytes = UnsafeRawBufferPointer(start: start, count: count)
    return String(decoding: bytes, as: UTF8.self)
  }
}
