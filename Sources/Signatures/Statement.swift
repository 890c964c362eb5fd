// What is signed (docs/format.md, "Statements"): a small text that says what a snapshot, or a bundle, holds.
//
// 1. One statement has one text: parsing accepts nothing but what rendering writes, byte for byte.
// 2. The text has printable ASCII only. Every other byte, the blank and the backslash are spelled \xhh.
// 3. Strings are compared by their rendered bytes. Swift's equality of strings takes two spellings of one
//    character for the same, and a signature must not.

import Codec
import Platform

/// The content of a statement.
public struct Statement: Sendable {
  public static let maxBytes = 1 << 20

  public enum Subject: String, Sendable, CaseIterable {
    /// Items are the components of a snapshot, by their paths on a management node.
    case snapshot
    /// Items are the members of a bundle, by their names in the image's folder.
    case bundle
  }

  /// A row of a table; columns in byte order of their names.
  public struct Row: Sendable {
    public var table: String
    public var columns: [(name: String, value: String)]

    /// - Parameter row: columns without a value are left out.
    public init(table: String, _ row: [String: String]) {
      self.table = table
      columns = row.filter { !$0.value.isEmpty }
        .sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        .map { ($0.key, $0.value) }
    }

    init(table: String, columns: [(name: String, value: String)]) {
      self.table = table
      self.columns = columns
    }
  }

  public struct Fact: Sendable {
    public var key: String
    public var value: String
    public init(_ key: String, _ value: String) {
      self.key = key
      self.value = value
    }
  }

  /// What is signed of a tree. Each digest is the SHA-256 of a listing.
  public struct Tree: Sendable, Hashable {
    public var entryCount: UInt64
    /// What a cpio archive holds of it.
    public var portable: Digest
    /// What a tar archive holds beyond that: exact times and extended attributes.
    public var attributes: Digest
    /// What the members of a bundle hold of it.
    public var members: Digest

    public init(entryCount: UInt64, portable: Digest, attributes: Digest, members: Digest) {
      self.entryCount = entryCount
      self.portable = portable
      self.attributes = attributes
      self.members = members
    }
  }

  public enum Content: Sendable, Hashable {
    case file(sizeBytes: UInt64, sha256: Digest)
    case link(target: [UInt8])
    case tree(Tree)
    /// A folder of a bundle: the SHA-256 of the listing of its members.
    case folder(memberCount: UInt64, members: Digest)
    /// A component that is none of these, or that could not be read: never in a bundle.
    case other(String)
  }

  /// A component of a snapshot, or a member of a bundle.
  public struct Item: Sendable {
    public var role: String
    public var path: [UInt8]
    /// The twelve permission bits of a snapshot's component, the lower nine of a bundle's member.
    public var mode: UInt16
    public var uid: UInt32
    public var gid: UInt32
    /// When it was modified.
    public var seconds: Int64
    public var content: Content

    public init(
      role: String, path: [UInt8], mode: UInt16, uid: UInt32, gid: UInt32, seconds: Int64,
      content: Content
    ) {
      self.role = role
      self.path = path
      self.mode = mode
      self.uid = uid
      self.gid = gid
      self.seconds = seconds
      self.content = content
    }
  }

  public var subject: Subject
  public var image: String
  public var number: Int
  public var snapshot: Digest
  public var parent: Digest?
  /// When the snapshot was taken, or the bundle written.
  public var time: Timestamp
  public var host: String
  public var user: String
  public var command: String
  public var message: String
  /// In byte order of their lines.
  public var rows: [Row]
  public var facts: [Fact]
  /// In byte order of their paths, each path once.
  public var items: [Item]

  public init(
    subject: Subject, image: String, number: Int, snapshot: Digest, parent: Digest?,
    time: Timestamp, host: String, user: String, command: String, message: String, rows: [Row],
    facts: [Fact], items: [Item]
  ) {
    self.subject = subject
    self.image = image
    self.number = number
    self.snapshot = snapshot
    self.parent = parent
    self.time = time
    self.host = host
    self.user = user
    self.command = command
    self.message = message
    self.rows = rows.map { ($0.line, $0) }.sorted { $0.0.lexicographicallyPrecedes($1.0) }
      .map { $0.1 }
    self.facts = facts
    self.items = items.sorted { $0.path.lexicographicallyPrecedes($1.path) }
  }

  /// "compute@3".
  public var name: String { "\(image)@\(number)" }
}

// MARK: - Text

extension Statement.Row {
  /// "row osimage osarch=x86_64 profile=compute".
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
      case .folder(let count, let members):
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

  /// The text that is signed.
  /// - Throws: `SignatureError` where it has more than 1 MiB.
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
        advice: "'imgstore export --sign' signs the bundle, whatever it holds")
    }
    return text
  }
}

/// Fields of a line.
public enum Field {
  /// Stands for an empty field.
  static let absent: [UInt8] = [0x2d]

  public static func text(_ text: String) -> [UInt8] { bytes(text.utf8) }

  public static func bytes(_ bytes: some Sequence<UInt8>) -> [UInt8] {
    let field = escaped(bytes)
    if field.isEmpty { return absent }
    return field == absent ? Array("\\x2d".utf8) : field
  }

  /// - Parameter other: one more byte that is spelled out.
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

  public static func number(_ number: some BinaryInteger) -> [UInt8] { Array(String(number).utf8) }

  public static func digest(_ digest: Digest) -> [UInt8] { Array(digest.hex.utf8) }

  /// Four octal digits.
  public static func mode(_ mode: UInt16) -> [UInt8] {
    let digits = String(mode & 0o7777, radix: 8)
    return Array((String(repeating: "0", count: 4 - digits.count) + digits).utf8)
  }

  /// Seconds since 1970, a full stop, nine digits of nanoseconds.
  public static func time(_ time: Timestamp) -> [UInt8] {
    let digits = String(time.nanoseconds)
    let zeros = String(repeating: "0", count: max(0, 9 - digits.count))
    return Array("\(time.seconds).\(zeros)\(digits)".utf8)
  }

  /// The bytes that a field spells; nil where no field is spelled so.
  static func decode(_ field: some Collection<UInt8>) -> [UInt8]? {
    field.elementsEqual(absent) ? [] : unescaped(field)
  }

  /// The inverse of `escaped`.
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
