// A JSON document from outside, as a value (RFC 8259). `JSONParser` reads it, with limits.

/// A value of a JSON document.
public indirect enum ParsedJSON: Sendable, Equatable {
  case null
  case bool(Bool)
  /// A number that is an integer of 64 bits. The documents of OCI have no other numbers that matter.
  case integer(Int64)
  /// Any other number, in its spelling.
  case number(String)
  case string(String)
  case array([ParsedJSON])
  /// The members in their order. No name occurs twice.
  case object([Member])

  /// A member of an object.
  public struct Member: Sendable, Equatable {
    public let name: String
    public let value: ParsedJSON

    /// Creates a member.
    public init(_ name: String, _ value: ParsedJSON) {
      self.name = name
      self.value = value
    }
  }

  /// Returns the value of a member; nil if the value is not an object or has no such member. A member that
  /// is null counts as absent.
  public subscript(name: String) -> ParsedJSON? {
    guard case .object(let members) = self,
      let value = members.first(where: { $0.name.utf8.elementsEqual(name.utf8) })?.value,
      value != .null
    else { return nil }
    return value
  }

  /// The text of a string; nil for other values.
  public var text: String? { if case .string(let text) = self { text } else { nil } }
  /// The value of an integer; nil for other values.
  public var integer: Int64? { if case .integer(let value) = self { value } else { nil } }
  /// The elements of an array; nil for other values.
  public var elements: [ParsedJSON]? { if case .array(let items) = self { items } else { nil } }
  /// The members of an object; nil for other values.
  public var members: [Member]? { if case .object(let items) = self { items } else { nil } }
}

extension ParsedJSON {
  /// Returns the document as compact text: members in their order, no blanks. Equal values have equal texts.
  public var encoded: [UInt8] {
    var bytes: [UInt8] = []
    encode(into: &bytes)
    return bytes
  }

  private func encode(into bytes: inout [UInt8]) {
    switch self {
    case .null: bytes += Array("null".utf8)
    case .bool(let value): bytes += Array((value ? "true" : "false").utf8)
    case .integer(let value): bytes += Array(String(value).utf8)
    case .number(let text): bytes += Array(text.utf8)
    case .string(let text): ParsedJSON.encode(text, into: &bytes)
    case .array(let items):
      bytes.append(0x5b)
      for (index, item) in items.enumerated() {
        if index > 0 { bytes.append(0x2c) }
        item.encode(into: &bytes)
      }
      bytes.append(0x5d)
    case .object(let items):
      bytes.append(0x7b)
      for (index, item) in items.enumerated() {
        if index > 0 { bytes.append(0x2c) }
        ParsedJSON.encode(item.name, into: &bytes)
        bytes.append(0x3a)
        item.value.encode(into: &bytes)
      }
      bytes.append(0x7d)
    }
  }

  private static func encode(_ text: String, into bytes: inout [UInt8]) {
    bytes.append(0x22)
    for byte in text.utf8 {
      switch byte {
      case 0x22, 0x5c: bytes += [0x5c, byte]
      case 0x0a: bytes += [0x5c, 0x6e]
      case 0x09: bytes += [0x5c, 0x74]
      case 0x0d: bytes += [0x5c, 0x72]
      case 0..<0x20, 0x7f:
        let digits = Array(String(byte, radix: 16).utf8)
        bytes += Array("\\u00".utf8) + (digits.count == 1 ? [0x30] : []) + digits
      default: bytes.append(byte)
      }
    }
    bytes.append(0x22)
  }
}
