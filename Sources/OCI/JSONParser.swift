// A strict parser of untrusted JSON documents (RFC 8259), for the few small documents of OCI images.
//
// 1. A document with more than `maxBytes`, `maxDepth` or `maxValues` is refused. Each byte is looked at
//    once, so time and memory are proportional to the size.
// 2. Only the grammar of the RFC is accepted. Programs must not read one document in two ways, so a name
//    that occurs twice in an object, invalid UTF-8, a lone surrogate and bytes after the end are refused.

import Platform

/// Parses one document.
public struct JSONParser {
  /// The maximum size of a document. OCI's own limit for manifests in registries is 4 MiB.
  public static let maxBytes = 8 << 20
  /// The maximum number of nested arrays and objects.
  public static let maxDepth = 64
  /// The maximum number of values.
  public static let maxValues = 200_000

  private let bytes: [UInt8]
  private var offset = 0
  private var valueCount = 0

  private init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// Parses a document.
  /// - Throws: `OCIError` with the offset of the fault.
  public static func parse(_ bytes: [UInt8]) throws(OCIError) -> ParsedJSON {
    var parser = JSONParser(bytes)
    guard bytes.count <= maxBytes else {
      throw parser.fault("has more than \(maxBytes >> 20) MiB")
    }
    parser.skipBlanks()
    let value = try parser.value(depth: 0)
    parser.skipBlanks()
    guard parser.offset == bytes.count else { throw parser.fault("has text after its end") }
    return value
  }

  private func fault(_ reason: String) -> OCIError {
    OCIError("the JSON document", "\(reason), at byte \(offset)")
  }

  private var next: UInt8? { offset < bytes.count ? bytes[offset] : nil }

  private mutating func skipBlanks() {
    while let byte = next, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 {
      offset += 1
    }
  }

  /// Consumes a byte if it is the next one.
  private mutating func take(_ byte: UInt8) -> Bool {
    guard next == byte else { return false }
    offset += 1
    return true
  }

  private mutating func value(depth: Int) throws(OCIError) -> ParsedJSON {
    valueCount += 1
    guard valueCount <= JSONParser.maxValues else { throw fault("has too many values") }
    guard depth < JSONParser.maxDepth else { throw fault("is nested too deeply") }
    switch next {
    case UInt8(ascii: "{"): return try object(depth)
    case UInt8(ascii: "["): return try array(depth)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case nil: throw fault("ends too early")
    default: return try number()
    }
  }

  private mutating func word(
    _ text: String, _ value: ParsedJSON
  ) throws(OCIError) -> ParsedJSON {
    for byte in text.utf8 where !take(byte) { throw fault("has an unknown word") }
    return value
  }

  private mutating func object(_ depth: Int) throws(OCIError) -> ParsedJSON {
    offset += 1
    var members: [ParsedJSON.Member] = []
    var names: Set<[UInt8]> = []
    skipBlanks()
    if take(UInt8(ascii: "}")) { return .object([]) }
    while true {
      skipBlanks()
      guard next == UInt8(ascii: "\"") else { throw fault("has a member without a name") }
      let name = try string()
      // Swift's strings compare canonically equivalent texts as equal; names are compared as bytes.
      guard names.insert(Array(name.utf8)).inserted else {
        throw fault("has the member '\(printable(name.utf8.prefix(64)))' twice")
      }
      skipBlanks()
      guard take(UInt8(ascii: ":")) else { throw fault("has a member without a value") }
      skipBlanks()
      members.append(.init(name, try value(depth: depth + 1)))
      skipBlanks()
      if take(UInt8(ascii: "}")) { return .object(members) }
      guard take(UInt8(ascii: ",")) else { throw fault("has an object without an end") }
    }
  }

  private mutating func array(_ depth: Int) throws(OCIError) -> ParsedJSON {
    offset += 1
    var items: [ParsedJSON] = []
    skipBlanks()
    if take(UInt8(ascii: "]")) { return .array([]) }
    while true {
      skipBlanks()
      items.append(try value(depth: depth + 1))
      skipBlanks()
      if take(UInt8(ascii: "]")) { return .array(items) }
      guard take(UInt8(ascii: ",")) else { throw fault("has an array without an end") }
    }
  }

  // MARK: Strings

  private mutating func string() throws(OCIError) -> String {
    offset += 1
    var text: [UInt8] = []
    while let byte = next {
      offset += 1
      switch byte {
      case 0x22:
        guard let string = String(validating: text, as: UTF8.self) else {
          throw fault("has a string that is not UTF-8")
        }
        return string
      case 0x5c: try escape(into: &text)
      case 0..<0x20: throw fault("has a control character in a string")
      default: text.append(byte)
      }
    }
    throw fault("has a string without an end")
  }

  private mutating func escape(into text: inout [UInt8]) throws(OCIError) {
    guard let byte = next else { throw fault("has a string without an end") }
    offset += 1
    switch byte {
    case 0x22, 0x5c, 0x2f: text.append(byte)
    case UInt8(ascii: "b"): text.append(8)
    case UInt8(ascii: "f"): text.append(12)
    case UInt8(ascii: "n"): text.append(10)
    case UInt8(ascii: "r"): text.append(13)
    case UInt8(ascii: "t"): text.append(9)
    case UInt8(ascii: "u"):
      var code = try hexDigits()
      if code & 0xfc00 == 0xd800 {
        guard take(0x5c), take(UInt8(ascii: "u")) else { throw fault("has a lone surrogate") }
        let low = try hexDigits()
        guard low & 0xfc00 == 0xdc00 else { throw fault("has a lone surrogate") }
        code = 0x10000 + (code & 0x3ff) << 10 + (low & 0x3ff)
      }
      guard let scalar = Unicode.Scalar(code) else { throw fault("has a lone surrogate") }
      text += Array(String(Character(scalar)).utf8)
    default: throw fault("has an unknown escape")
    }
  }

  private mutating func hexDigits() throws(OCIError) -> UInt32 {
    var code: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue,
        byte < 0x80
      else { throw fault("has an escape without four digits") }
      offset += 1
      code = code << 4 | UInt32(digit)
    }
    return code
  }

  // MARK: Numbers

  private mutating func digits() throws(OCIError) {
    let start = offset
    while let byte = next, (0x30...0x39).contains(byte) { offset += 1 }
    guard offset > start else { throw fault("has a value that is not JSON") }
  }

  private mutating func number() throws(OCIError) -> ParsedJSON {
    let start = offset
    _ = take(UInt8(ascii: "-"))
    let isZero = next == 0x30
    let first = offset
    try digits()
    guard !isZero || offset == first + 1 else { throw fault("has a number with a leading zero") }
    var isInteger = true
    if take(UInt8(ascii: ".")) {
      isInteger = false
      try digits()
    }
    if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
      isInteger = false
      if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
      try digits()
    }
    let text = String(decoding: bytes[start..<offset], as: UTF8.self)
    if isInteger, let value = Int64(text) { return .integer(value) }
    return .number(text)
  }
}
