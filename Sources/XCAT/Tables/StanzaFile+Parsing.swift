// Parses stanzas of lsdef, of people and of programs.

extension StanzaFile {
  /// Parses all stanzas, in their order.
  /// - Throws: `XCATError` with the line's number.
  public static func parse(_ bytes: [UInt8], from writer: Writer) throws(XCATError) -> [Object] {
    guard bytes.count <= limitBytes else {
      throw XCATError(.tablesInvalid, "stanzas", "are more than \(limitBytes >> 20) MiB")
    }
    var state = ParserState()
    for (index, line) in bytes.split(separator: 0x0a, omittingEmptySubsequences: false)
      .enumerated()
    {
      guard let text = String(validating: line, as: UTF8.self) else {
        throw error(index + 1, "is not UTF-8")
      }
      try state.take(text, index + 1, writer)
    }
    return try state.finish()
  }

  private struct ParserState {
    private var defaults: [String: [String: String]] = [:]
    private var objects: [Object] = []
    private var names: Set<String> = []
    private var current: Section = .none

    private enum Section {
      case none
      case defaults(type: String)
      case object(line: Int)
    }

    mutating func take(_ line: String, _ number: Int, _ writer: Writer) throws(XCATError) {
      let text = trimmed(line)
      // lsdef's output has comments and blanks at the start of a line only.
      if text.isEmpty || text.utf8.first == UInt8(ascii: "#") { return }
      // Search bytes, not characters: a combining mark after a "=" would hide it.
      let bytes = Array((writer == .lsdef ? line : text).utf8)
      guard let equals = bytes.firstIndex(of: UInt8(ascii: "=")) else {
        let isName = text.utf8.last == UInt8(ascii: ":")
        guard isName, writer == .anybody || bytes.first != UInt8(ascii: " ") else {
          throw error(number, "is neither a stanza's name ('NAME:') nor attribute=value")
        }
        return try begin(trimmed(String(decoding: text.utf8.dropLast(), as: UTF8.self)), number)
      }
      let name = trimmed(String(decoding: bytes[..<equals], as: UTF8.self))
      var value = String(decoding: bytes[(equals + 1)...], as: UTF8.self)
      if writer == .anybody { value = unquoted(trimmed(value)) }
      guard isAttribute(name) else {
        throw error(number, "has '\(name)' where an attribute's name belongs")
      }
      try set(name, value, number)
    }

    private mutating func begin(_ name: String, _ number: Int) throws(XCATError) {
      try finishObject()
      guard !name.isEmpty else { throw error(number, "has a stanza without a name") }
      if let type = defaultType(name) {
        current = .defaults(type: type)
        return
      }
      guard names.insert(name).inserted else {
        throw error(number, "begins a second stanza '\(name)'")
      }
      objects.append(Object(name: name, type: "", attributes: [:]))
      current = .object(line: number)
    }

    private mutating func set(
      _ name: String, _ value: String, _ number: Int
    ) throws(XCATError) {
      switch current {
      case .none:
        throw error(number, "has an attribute before the first stanza's name")
      case .defaults(let type):
        defaults[type, default: [:]][name] = value
      case .object:
        let last = objects.count - 1
        if name == "objtype" {
          guard isAttribute(value) else { throw error(number, "has an invalid objtype") }
          objects[last].type = value
        } else {
          guard objects[last].attributes.updateValue(value, forKey: name) == nil else {
            throw error(number, "sets '\(name)' a second time")
          }
        }
      }
    }

    private mutating func finishObject() throws(XCATError) {
      guard case .object(let line) = current, let object = objects.last else { return }
      guard !object.type.isEmpty else {
        throw error(line, "begins the stanza '\(object.name)', which has no objtype")
      }
      objects[objects.count - 1].attributes = (defaults[object.type] ?? [:])
        .filter { $0.key != "objtype" }.merging(object.attributes) { $1 }
    }

    mutating func finish() throws(XCATError) -> [Object] {
      try finishObject()
      return objects
    }
  }

  private static func error(_ line: Int, _ reason: String) -> XCATError {
    XCATError(
      .tablesInvalid,
      "stanzas, line \(line)", reason,
      hint: "Compare with the output of 'lsdef -t osimage -l -z'")
  }

  /// Returns the type of a stanza of defaults: "default-osimage" → "osimage".
  static func defaultType(_ name: String) -> String? {
    guard name.hasPrefix("default-") else { return nil }
    let type = name.dropFirst("default-".count)
    return type.isEmpty || type.contains("-") ? nil : String(type)
  }

  static func isAttribute(_ name: String) -> Bool {
    !name.isEmpty
      && name.utf8.allSatisfy {
        UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0 || UInt8(ascii: "A")...UInt8(ascii: "Z") ~= $0
          || UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || $0 == UInt8(ascii: "_")
          || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-")
      }
  }

  static let quote = UInt8(ascii: "\"")

  private static func unquoted(_ value: String) -> String {
    let bytes = value.utf8
    guard bytes.count >= 2, bytes.first == quote, bytes.last == quote else { return value }
    return String(decoding: bytes.dropFirst().dropLast(), as: UTF8.self)
  }
}
