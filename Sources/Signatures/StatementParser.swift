// Parses statements from untrusted bytes. The result is rendered and compared with the input: a
// different spelling, an additional line, or a CR is refused.

import Codec
import Platform

extension Statement {
  /// Parses a statement.
  /// - Throws: `SignatureError` with the line's number.
  public init(parsing bytes: [UInt8]) throws(SignatureError) {
    guard bytes.count <= Statement.maxBytes else {
      throw SignatureError("the statement", "has more than 1 MiB")
    }
    guard bytes.last == 0x0a, bytes.allSatisfy({ $0 == 0x0a || $0 >= 0x20 && $0 < 0x7f }) else {
      throw SignatureError("the statement", "does not consist of lines of printable ASCII")
    }
    var parser = StatementParser(bytes)
    self = try parser.statement()
    guard try render() == bytes else {
      throw SignatureError("the statement", "is not spelled in the only valid way")
    }
  }
}

private struct StatementParser {
  private var lines: ArraySlice<ArraySlice<UInt8>>
  private var lineNumber = 0
  /// The fields of the current line that are left.
  private var fields: ArraySlice<ArraySlice<UInt8>> = []

  init(_ bytes: [UInt8]) {
    lines = bytes.dropLast().split(separator: 0x0a, omittingEmptySubsequences: false)[...]
  }

  private func failure(_ reason: String) -> SignatureError {
    SignatureError("the statement, line \(lineNumber)", reason)
  }

  // MARK: Lines

  mutating func statement() throws(SignatureError) -> Statement {
    lineNumber = 1
    let title = lines.popFirst() ?? []
    guard
      let subject = Statement.Subject.allCases.first(where: {
        title.elementsEqual(Statement.title($0).utf8)
      })
    else { throw failure("does not begin with a supported version of a statement") }
    var statement = Statement(
      subject: subject, image: "", number: 0, snapshot: .zero, parent: nil,
      time: Timestamp(seconds: 0, nanoseconds: 0), host: "", user: "", command: "", message: "",
      rows: [], facts: [], items: [])
    try begin("image")
    statement.image = try text()
    try begin("number")
    statement.number = try number(1...Int.max)
    try begin("snapshot")
    statement.snapshot = try digest()
    try begin("parent")
    statement.parent = try optionalDigest()
    try begin("time")
    statement.time = try time()
    try begin("host")
    statement.host = try text()
    try begin("user")
    statement.user = try text()
    try begin("command")
    statement.command = try text()
    try begin("message")
    statement.message = try text()
    try end()
    while try beginIfPresent("row") { statement.rows.append(try row()) }
    try requireAscending(statement.rows.map(\.line), "rows")
    while try beginIfPresent("fact") {
      statement.facts.append(.init(try text(), try text()))
    }
    while let item = try nextItem() { statement.items.append(item) }
    try requireAscending(statement.items.map(\.path), "paths")
    return statement
  }

  private func requireAscending(_ lines: [[UInt8]], _ what: String) throws(SignatureError) {
    for (line, next) in zip(lines, lines.dropFirst())
    where !line.lexicographicallyPrecedes(next) {
      throw failure("has \(what) before it that are not in byte order, each once")
    }
  }

  private mutating func nextLine() -> Bool {
    guard let line = lines.popFirst() else { return false }
    lineNumber += 1
    fields = line.split(separator: 0x20, omittingEmptySubsequences: false)[...]
    return true
  }

  private mutating func begin(_ label: String) throws(SignatureError) {
    try end()
    guard nextLine(), fields.popFirst()?.elementsEqual(label.utf8) == true else {
      throw failure("does not begin with '\(label)'")
    }
  }

  private mutating func beginIfPresent(_ label: String) throws(SignatureError) -> Bool {
    try end()
    guard let line = lines.first, line.starts(with: Array("\(label) ".utf8)) else { return false }
    _ = nextLine()
    _ = fields.popFirst()
    return true
  }

  private func end() throws(SignatureError) {
    guard fields.isEmpty else { throw failure("has too many fields") }
  }

  private mutating func row() throws(SignatureError) -> Statement.Row {
    let table = try text()
    var columns: [(name: String, value: String)] = []
    while let field = fields.popFirst() {
      guard let equals = field.firstIndex(of: 0x3d) else {
        throw failure("has a column without '='")
      }
      let name = field[..<equals]
      columns.append(
        (
          try string(Field.unescaped(name)), try string(Field.unescaped(field[(equals + 1)...]))
        ))
    }
    let names = columns.map { Array($0.name.utf8) }
    try requireAscending(names, "columns")
    return Statement.Row(table: table, columns: columns)
  }

  private mutating func nextItem() throws(SignatureError) -> Statement.Item? {
    try end()
    guard nextLine() else { return nil }
    let kind = String(decoding: fields.popFirst() ?? [], as: UTF8.self)
    let role = try text()
    let path = try self.bytes()
    let mode = try mode()
    let (uid, gid) = (try number(0...UInt32.max), try number(0...UInt32.max))
    let seconds = try number(Int64.min...Int64.max)
    let content: Statement.Content
    switch kind {
    case "file":
      content = .file(sizeBytes: try number(0...UInt64.max), sha256: try digest())
    case "link": content = .link(target: try self.bytes())
    case "tree":
      content = .tree(
        Statement.Tree(
          entryCount: try number(0...UInt64.max), portable: try digest(), attributes: try digest(),
          members: try digest()))
    case "folder":
      content = .directory(memberCount: try number(0...UInt64.max), members: try digest())
    case "other": content = .other(try text())
    default: throw failure("is of an unknown kind")
    }
    return Statement.Item(
      role: role, path: path, mode: mode, uid: uid, gid: gid, seconds: seconds, content: content)
  }

  // MARK: Fields

  private mutating func field() throws(SignatureError) -> ArraySlice<UInt8> {
    guard let field = fields.popFirst(), !field.isEmpty else { throw failure("lacks a field") }
    return field
  }

  private mutating func bytes() throws(SignatureError) -> [UInt8] {
    guard let bytes = Field.decode(try field()) else { throw failure("has a malformed field") }
    return bytes
  }

  private func string(_ bytes: [UInt8]?) throws(SignatureError) -> String {
    guard let bytes, let text = String(validating: bytes, as: UTF8.self) else {
      throw failure("has a malformed field")
    }
    return text
  }

  private mutating func text() throws(SignatureError) -> String { try string(try bytes()) }

  private mutating func number<N: FixedWidthInteger>(
    _ range: ClosedRange<N>
  ) throws(SignatureError) -> N {
    guard let number = N(String(decoding: try field(), as: UTF8.self)), range.contains(number)
    else {
      throw failure("has a field that is not a number, or one out of its range")
    }
    return number
  }

  private mutating func mode() throws(SignatureError) -> UInt16 {
    guard let mode = UInt16(String(decoding: try field(), as: UTF8.self), radix: 8), mode <= 0o7777
    else { throw failure("has a mode that is not four octal digits") }
    return mode
  }

  private mutating func digest() throws(SignatureError) -> Digest {
    guard let digest = Digest(hexDigits: Array(try field())) else {
      throw failure("has a field that is not a SHA-256")
    }
    return digest
  }

  private mutating func optionalDigest() throws(SignatureError) -> Digest? {
    if let first = fields.first, first.elementsEqual(Field.absent) {
      fields.removeFirst()
      return nil
    }
    return try digest()
  }

  private mutating func time() throws(SignatureError) -> Timestamp {
    let parts = try field().split(separator: 0x2e, omittingEmptySubsequences: false)
    guard parts.count == 2, parts[1].count == 9,
      let seconds = Int64(String(decoding: parts[0], as: UTF8.self)),
      let nanoseconds = UInt32(String(decoding: parts[1], as: UTF8.self)),
      nanoseconds < 1_000_000_000
    else { throw failure("has a time that is not SECONDS.NANOSECONDS") }
    return Timestamp(seconds: seconds, nanoseconds: nanoseconds)
  }
}
