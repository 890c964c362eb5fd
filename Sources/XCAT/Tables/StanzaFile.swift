// Stanzas: what `lsdef -z` prints and `mkdef -z`, `chdef -z` read (xcat.md section 5; the reader is
// DBobjUtils.pm, readFileInput).
//
//     # <xCAT data object stanza file>
//
//     NAME:
//         objtype=osimage
//         attribute=value
//
// 1. What lsdef printed is taken to the letter; what a person or a program wrote is trimmed, and a
//    pair of quotes around a value comes off, as xCAT does it.
// 2. What is written comes back equal through our reader and, for xCAT, through its own: a value
//    that ends in ":" (which xCAT takes for a header) or in a quote (which it strips) is quoted, and
//    what cannot be carried is refused.

/// Stanzas, read and written.
public enum StanzaFile {
  /// One stanza.
  public struct Object: Sendable, Hashable {
    public var name: String
    /// `osimage`, `node`, `kit` …
    public var type: String
    /// Without `objtype`; '' unsets, where a stanza is written for chdef.
    public var attributes: [String: String]

    public init(name: String, type: String, attributes: [String: String]) {
      self.name = name
      self.type = type
      self.attributes = attributes
    }
  }

  /// Who wrote a text.
  public enum Writer: Sendable {
    case lsdef
    case anybody
  }

  /// Who will read a text.
  public enum Reader: Sendable {
    /// People and ourselves: byte for byte as lsdef prints it, but for values that would not come
    /// back.
    case anybody
    /// mkdef and chdef.
    case xCAT
  }

  /// No stanza file is larger; a site with 100,000 nodes has about 30 MB of them.
  public static let limitBytes = 64 << 20
}

// MARK: - Reading

extension StanzaFile {
  /// Reads all stanzas, in their order.
  /// - Throws: `XCATError` with the line's number.
  public static func parse(_ bytes: [UInt8], from writer: Writer) throws(XCATError) -> [Object] {
    guard bytes.count <= limitBytes else {
      throw XCATError("stanzas", "are more than \(limitBytes >> 20) MiB")
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
      // Inside what lsdef printed, "#" and blanks begin comments only at the start of a line.
      if text.isEmpty || text.utf8.first == UInt8(ascii: "#") { return }
      // Bytes, not characters: a combining mark behind a "=" would hide it.
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
          guard isAttribute(value) else { throw error(number, "has an objtype that is none") }
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

  private static func error(_ line: Int, _ finding: String) -> XCATError {
    XCATError(
      "stanzas, line \(line)", finding,
      advice: "'lsdef -t osimage -l -z' prints stanzas as they must be")
  }

  /// "default-osimage" → "osimage".
  private static func defaultType(_ name: String) -> String? {
    guard name.hasPrefix("default-") else { return nil }
    let type = name.dropFirst("default-".count)
    return type.isEmpty || type.contains("-") ? nil : String(type)
  }

  private static func isAttribute(_ name: String) -> Bool {
    !name.isEmpty
      && name.utf8.allSatisfy {
        UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0 || UInt8(ascii: "A")...UInt8(ascii: "Z") ~= $0
          || UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || $0 == UInt8(ascii: "_")
          || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-")
      }
  }

  private static let quote = UInt8(ascii: "\"")

  private static func unquoted(_ value: String) -> String {
    let bytes = value.utf8
    guard bytes.count >= 2, bytes.first == quote, bytes.last == quote else { return value }
    return String(decoding: bytes.dropFirst().dropLast(), as: UTF8.self)
  }
}

// MARK: - Writing

extension StanzaFile {
  /// The text of the stanzas, in the order given.
  /// - Throws: `XCATError` for what a stanza cannot carry.
  public static func render(
    _ objects: [Object], for reader: Reader
  ) throws(XCATError) -> String {
    var text = "# <xCAT data object stanza file>\n"
    for object in objects {
      try check(object)
      text += "\n\(object.name):\n    objtype=\(object.type)\n"
      for (name, value) in object.attributes.sorted(by: { byBytes($0.key, $1.key) }) {
        text += "    \(name)=\(try written(value, of: "\(object.name).\(name)", for: reader))\n"
      }
    }
    return text
  }

  private static func check(_ object: Object) throws(XCATError) {
    func refuse(_ finding: String) -> XCATError {
      XCATError("\(object.type) '\(object.name)'", finding + ", so no stanza can carry it")
    }
    let name = object.name
    guard !name.isEmpty, name == trimmed(name) else { throw refuse("has blanks around its name") }
    guard !name.utf8.contains(UInt8(ascii: "=")), name.utf8.first != UInt8(ascii: "#"),
      !hasControl(name)
    else {
      throw refuse("has a '=', a leading '#' or a control character in its name")
    }
    guard name != "default", defaultType(name) == nil else {
      throw refuse("is named like xCAT's stanza of defaults")
    }
    guard isAttribute(object.type) else { throw refuse("has the type '\(object.type)'") }
    for attribute in object.attributes.keys where !isAttribute(attribute) {
      throw refuse("has the attribute '\(attribute)'")
    }
  }

  private static func written(
    _ value: String, of object: String, for reader: Reader
  ) throws(XCATError) -> String {
    guard !hasControl(value) else {
      throw XCATError(
        object, "holds a line break or another control character",
        advice: "A stanza has one line a value: change it with 'imgstore define NAME attr=value'")
    }
    let isPadded = value != trimmed(value)
    if reader == .xCAT, isPadded {
      throw XCATError(object, "has blanks at an end, which xCAT would cut off")
    }
    let starts = value.utf8.first == quote
    let ends = value.utf8.last == quote
    let loses = reader == .xCAT ? starts || ends : starts && ends && value.utf8.count > 1
    let isHeader = value.utf8.last == UInt8(ascii: ":")
    return loses || isPadded || isHeader ? "\"\(value)\"" : value
  }
}

/// Whether a text has a character that a line of text cannot carry.
func hasControl(_ text: String) -> Bool { text.utf8.contains { $0 < 0x20 || $0 == 0x7f } }

/// Without the blanks around it, as Perl's `\s` sees them.
func trimmed(_ text: String) -> String {
  func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d).contains(byte) }
  let bytes = Array(text.utf8)
  guard let first = bytes.firstIndex(where: { !isBlank($0) }),
    let last = bytes.lastIndex(where: { !isBlank($0) })
  else { return "" }
  return String(decoding: bytes[first...last], as: UTF8.self)
}
