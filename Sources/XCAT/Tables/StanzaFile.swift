// The stanzas that `lsdef -z` prints and `mkdef -z` and `chdef -z` read
// (docs/xcat-contract.md#stanzas; xCAT's reader is DBobjUtils.pm, readFileInput).
//
//     # <xCAT data object stanza file>
//
//     NAME:
//         objtype=osimage
//         attribute=value
//
// 1. Output of lsdef is taken literally. Text of people and programs is trimmed, and a pair of quotes
//    around a value is removed, as in xCAT.
// 2. Written stanzas are read back unchanged by our reader and, for xCAT, by its own. A value that
//    ends in ":" (a header to xCAT) or in a quote (which xCAT strips) is quoted, and values that a
//    stanza cannot carry are refused.

/// Reads and writes stanzas.
public enum StanzaFile {
  /// One stanza.
  public struct Object: Sendable, Hashable {
    /// The name of the object.
    public var name: String
    /// The type: `osimage`, `node`, `kit` …
    public var type: String
    /// The attributes without `objtype`; for chdef, '' unsets one.
    public var attributes: [String: String]

    /// Creates a stanza.
    public init(name: String, type: String, attributes: [String: String]) {
      self.name = name
      self.type = type
      self.attributes = attributes
    }
  }

  /// The writer of a text.
  public enum Writer: Sendable {
    case lsdef
    case anybody
  }

  /// The intended reader of a text.
  public enum Reader: Sendable {
    /// People and imgstore: as lsdef prints it, byte for byte, except for values that would not be read back.
    case anybody
    /// mkdef and chdef.
    case xCAT
  }

  /// The size limit of a stanza file; a site with 100,000 nodes has about 30 MB.
  public static let limitBytes = 64 << 20
}

extension StanzaFile {
  /// Returns the text of the stanzas, in the order given.
  /// - Throws: `XCATError` for values that a stanza cannot carry.
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
    func refuse(_ reason: String) -> XCATError {
      XCATError(
        .tablesInvalid, "\(object.type) '\(object.name)'", reason + ", so no stanza can carry it")
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
        .tablesInvalid,
        object, "holds a line break or another control character",
        hint: "A stanza has one line a value: change it with 'imgstore define NAME attr=value'")
    }
    let isPadded = value != trimmed(value)
    if reader == .xCAT, isPadded {
      throw XCATError(.tablesInvalid, object, "has blanks at an end, which xCAT would trim")
    }
    let starts = value.utf8.first == quote
    let ends = value.utf8.last == quote
    let loses = reader == .xCAT ? starts || ends : starts && ends && value.utf8.count > 1
    let isHeader = value.utf8.last == UInt8(ascii: ":")
    return loses || isPadded || isHeader ? "\"\(value)\"" : value
  }
}

/// Returns whether a text has a control character, which one line cannot carry.
func hasControl(_ text: String) -> Bool { text.utf8.contains { $0 < 0x20 || $0 == 0x7f } }

/// Returns the text without the blanks around it, by Perl's `\s`.
func trimmed(_ text: String) -> String {
  func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d).contains(byte) }
  let bytes = Array(text.utf8)
  guard let first = bytes.firstIndex(where: { !isBlank($0) }),
    let last = bytes.lastIndex(where: { !isBlank($0) })
  else { return "" }
  return String(decoding: bytes[first...last], as: UTF8.self)
}
