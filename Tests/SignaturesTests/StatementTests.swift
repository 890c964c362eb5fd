// Statements have one text each, and no other text is accepted.

import Codec
import Platform
import Signatures
import TestSupport
import Testing

@Suite struct StatementTests {
  static func example(_ subject: Statement.Subject = .snapshot) -> Statement {
    let digest = SHA256.digest(of: Array("x".utf8))
    func item(_ path: String, _ content: Statement.Content) -> Statement.Item {
      .init(
        role: "extra", path: Array(path.utf8), mode: 0o4755, uid: 0, gid: 4_294_967_295,
        seconds: -1, content: content)
    }
    return Statement(
      subject: subject, image: "compute ö", number: 3, snapshot: digest, parent: nil,
      time: Timestamp(seconds: -5, nanoseconds: 7), host: "mn1", user: "0", command: "snapshot",
      message: "-",
      rows: [
        .init(table: "osimage", ["profile": "a=b c\\", "comments": "-", "empty": ""]),
        .init(table: "linuximage", [:]),
      ],
      facts: [.init("extra-src", ""), .init("extra-dest", "/ü\n")],
      items: [
        item("/b", .link(target: [0xff, 0x20])), item("/a", .file(sizeBytes: .max, sha256: digest)),
        item(
          "/c",
          .tree(.init(entryCount: 1, portable: digest, attributes: digest, members: digest))),
        item("/d", .directory(memberCount: 0, members: digest)), item("/e", .other("fifo")),
      ])
  }

  @Test(arguments: Statement.Subject.allCases)
  func `a statement decodes as it was encoded`(_ subject: Statement.Subject) throws {
    let text = try StatementTests.example(subject).render()
    let parsed = try Statement(parsing: text)
    #expect(try parsed.render() == text)
    #expect(parsed.message == "-")
    #expect(parsed.items.map(\.path).first == Array("/a".utf8))
    #expect(parsed.rows.last?.columns.map(\.value) == ["-", "a=b c\\"])
    #expect(parsed.time == Timestamp(seconds: -5, nanoseconds: 7))
    #expect(text.allSatisfy { $0 == 0x0a || $0 >= 0x20 && $0 < 0x7f })
  }

  @Test func `a text with a flipped bit is refused or decodes to another statement`() throws {
    let text = try StatementTests.example().render()
    for bit in 0..<(8 * text.count) {
      var other = text
      other[bit / 8] ^= 1 << (bit % 8)
      guard let parsed = try? Statement(parsing: other) else { continue }
      #expect(try parsed.render() == other)
    }
  }

  @Test func `no other spelling of a statement is accepted`() throws {
    let text = String(decoding: try StatementTests.example().render(), as: UTF8.self)
    let lines = text.split(separator: "\n").map(String.init)
    func joined(_ lines: [String]) -> String { lines.joined(separator: "\n") + "\n" }
    var swapped = lines
    swapped.swapAt(lines.count - 1, lines.count - 2)
    var rows = lines
    let first = try #require(rows.firstIndex { $0.hasPrefix("row ") })
    rows.swapAt(first, first + 1)
    let others = [
      "", "\n", text + "\n", text + " ", String(text.dropLast()), " " + text, text + text,
      text.replacing("\n", with: "\r\n"), text.replacing("number 3", with: "number 03"),
      text.replacing("number 3", with: "number +3"), text.replacing("number 3", with: "number 0"),
      text.replacing("number 3", with: "number 99999999999999999999"),
      text.replacing("number 3", with: "number  3"), text.replacing("number 3", with: "number 3 "),
      text.replacing("number 3", with: "number 3 4"), text.replacing("host mn1", with: "host"),
      text.replacing("host mn1", with: "host "), text.replacing("host mn1", with: "host mn\\x31"),
      text.replacing("host mn1", with: "host mn1\nhost mn1"),
      text.replacing("host mn1\n", with: ""),
      text.replacing("\\x5c", with: "\\x5C"), text.replacing("\\x5c", with: "\\"),
      text.replacing("4755", with: "04755"),
      text.replacing("4755", with: "9755"), text.replacing(" -1 ", with: " -01 "),
      text.replacing("-5.000000007", with: "-5.7"), text.replacing("parent -", with: "parent 0"),
      text.replacing("signed snapshot 1", with: "signed snapshot 2"),
      text.replacing("signed snapshot 1", with: "signed forest 1"),
      text.replacing(String(repeating: "2d", count: 1) + "711642", with: "2D711642"),
      joined(swapped), joined(rows), joined(lines + [lines.last ?? ""]),
      text.replacing("other extra", with: "device extra"), text.replacing("/e", with: "/\u{e9}"),
    ]
    for other in others where other != text {
      #expect(throws: SignatureError.self, "\(other.prefix(2000))") {
        try Statement(parsing: Array(other.utf8))
      }
    }
    #expect(throws: SignatureError.self) {
      try Statement(parsing: Array(text.utf8) + [UInt8](repeating: 0x61, count: 1 << 20))
    }
  }

  @Test(arguments: seeds) func `random text is refused or encodes to itself`(_ seed: UInt64) throws
  {
    var random = SplitMix64(seed)
    let text = try StatementTests.example().render()
    for _ in 0..<3000 {
      var other = text
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let location = Int.random(in: 0..<other.count, using: &random)
        switch Int.random(in: 0..<3, using: &random) {
        case 0: other.remove(at: location)
        case 1: other.insert(UInt8.random(in: 0x0a...0x7e, using: &random), at: location)
        default: other[location] = UInt8.random(in: 0...255, using: &random)
        }
      }
      guard let parsed = try? Statement(parsing: other) else { continue }
      #expect(try parsed.render() == other)
    }
  }

  @Test func `a statement of more than 1 MiB is refused`() throws {
    var statement = StatementTests.example()
    statement.message = String(repeating: "x", count: 1 << 20)
    #expect(throws: SignatureError.self) { try statement.render() }
  }
}
