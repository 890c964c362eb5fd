// The text of a statement (docs/signatures.md, "The statement"): one line per row, fact and item.

import Codec
import Platform

extension Statement.Row {
  /// The line of the row: "row osimage osarch=x86_64 profile=compute".
  public var line: [UInt8] {
    var line = Array("row ".utf8) + Field.text(table)
    for column in columns {
      line.append(0x20)
      line += Field.escaped(column.name.utf8, also: 0x3d)
      line.append(0x3d)
      line += Field.escaped(column.value.utf8)
    }
    return line
  }
}

extension Statement.Item {
  var line: [UInt8] {
    let (kind, rest): (String, [[UInt8]]) =
      switch content {
      case .file(let size, let sha256): ("file", [Field.number(size), Field.digest(sha256)])
      case .link(let target): ("link", [Field.bytes(target)])
      case .tree(let tree):
        (
          "tree",
          [Field.number(tree.entryCount)]
            + [tree.portable, tree.attributes, tree.members].map(Field.digest)
        )
      case .directory(let count, let members):
        ("folder", [Field.number(count), Field.digest(members)])
      case .other(let kind): ("other", [Field.text(kind)])
      }
    let head = [
      Array(kind.utf8), Field.text(role), Field.bytes(path), Field.mode(mode), Field.number(uid),
      Field.number(gid), Field.number(seconds),
    ]
    return Array((head + rest).joined(separator: [0x20]))
  }
}

extension Statement {
  static func title(_ subject: Subject) -> String { "imgstore signed \(subject.rawValue) 1" }

  /// Returns the text to sign.
  /// - Throws: `SignatureError` if it is longer than 1 MiB.
  public func render() throws(SignatureError) -> [UInt8] {
    var text: [UInt8] = []
    func line(_ label: String, _ fields: [UInt8]...) {
      text += Array(label.utf8)
      for field in fields { text += [0x20] + field }
      text.append(0x0a)
    }
    line(Statement.title(subject))
    line("image", Field.text(image))
    line("number", Field.number(number))
    line("snapshot", Field.digest(snapshot))
    line("parent", parent.map(Field.digest) ?? Field.absent)
    line("time", Field.time(time))
    line("host", Field.text(host))
    line("user", Field.text(user))
    line("command", Field.text(command))
    line("message", Field.text(message))
    for row in rows { text += row.line + [0x0a] }
    for fact in facts { line("fact", Field.text(fact.key), Field.text(fact.value)) }
    for item in items { text += item.line + [0x0a] }
    guard text.count <= Statement.maxBytes else {
      throw SignatureError(
        "the statement of \(name)",
        "has \(text.count) bytes, more than 1 MiB: it has too many files",
        hint: "Sign the bundle with 'imgstore export --sign', whatever its size")
    }
    return text
  }
}

/// Renders the fields of a line.
public enum Field {
  /// The spelling of an empty field.
  static let absent: [UInt8] = [0x2d]

  /// Returns a text as a field.
  public static func text(_ text: String) -> [UInt8] { bytes(text.utf8) }

  /// Returns bytes as a field.
  public static func bytes(_ bytes: some Sequence<UInt8>) -> [UInt8] {
    let field = escaped(bytes)
    if field.isEmpty { return absent }
    return field == absent ? Array("\\x2d".utf8) : field
  }

  /// Returns bytes with escapes.
  /// - Parameter other: one more byte to escape.
  static func escaped(_ bytes: some Sequence<UInt8>, also other: UInt8? = nil) -> [UInt8] {
    var field: [UInt8] = []
    for byte in bytes {
      if byte > 0x20, byte < 0x7f, byte != 0x5c, byte != other {
        field.append(byte)
      } else {
        field += [0x5c, 0x78, hexDigit(byte >> 4), hexDigit(byte & 15)]
      }
    }
    return field
  }

  private static func hexDigit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x57 + value }

  /// Returns a number in decimal digits.
  public static func number(_ number: some BinaryInteger) -> [UInt8] { Array(String(number).utf8) }

  /// Returns a digest in hexadecimal digits.
  public static func digest(_ digest: Digest) -> [UInt8] { Array(digest.hex.utf8) }

  /// Returns a mode as four octal digits.
  public static func mode(_ mode: UInt16) -> [UInt8] {
    let digits = String(mode & 0o7777, radix: 8)
    return Array((String(repeating: "0", count: 4 - digits.count) + digits).utf8)
  }

  /// Returns a time: seconds since 1970, a full stop, nine digits of nanoseconds.
  public static func time(_ time: Timestamp) -> [UInt8] {
    let digits = String(time.nanoseconds)
    let zeros = String(repeating: "0", count: max(0, 9 - digits.count))
    return Array("\(time.seconds).\(zeros)\(digits)".utf8)
  }

  /// Returns the bytes of a field; nil if the spelling is invalid.
  static func decode(_ field: some Collection<UInt8>) -> [UInt8]? {
    field.elementsEqual(absent) ? [] : unescaped(field)
  }

  /// Returns the bytes without escapes; the inverse of `escaped`.
  static func unescaped(_ field: some Collection<UInt8>) -> [UInt8]? {
    var bytes: [UInt8] = []
    var rest = Array(field)[...]
    while let byte = rest.popFirst() {
      guard byte == 0x5c else {
        bytes.append(byte)
        continue
      }
      guard rest.popFirst() == 0x78, let high = rest.popFirst().flatMap(hexValue),
        let low = rest.popFirst().flatMap(hexValue)
      else { return nil }
      bytes.append(high << 4 | low)
    }
    return bytes
  }

  private static func hexValue(_ digit: UInt8) -> UInt8? {
    switch digit {
    case 0x30...0x39: digit - 0x30
    case 0x61...0x66: digit - 0x57
    default: nil
    }
  }
}
