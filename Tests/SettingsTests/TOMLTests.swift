// TOML documents: those that are accepted and refused, in comparison with Python's tomllib, and texts that
// must not harm the parser.

import Foundation
import Settings
import TestSupport
import Testing

@Suite struct TOMLTests {
  /// Documents with every construct of TOML 1.0.
  static let documents = [
    "", "# comment", "a = 1", "a = 1\r\nb = 2\r\n", "\u{feff}a = 1", "a.b.c = 1\na.b.d = 2",
    "\"a b\".'c.d' = 1",
    "a = \"\\u00e9\\U0001F600\\t\\\"\\\\\"", "a = 'C:\\x'", "a = \"\"\"\nx\\\n   y\"\"\"",
    "a = '''\nx\\y'''",
    "a = \"\"\"x\"\"\"\"\"", "a = ''''x''''", "a = [1, [2, 3], \"x\", {b = 1}, ]",
    "a = [ # c\n1,\n# d\n2\n]",
    "a = {b.c = 1, b.d = 2}", "a = {}", "[a]\n[a.b]\nx = 1\n[c]", "[a.b]\n[a]\nx = 1",
    "[[a]]\nx = 1\n[[a]]\nx = 2\n[a.b]\ny = 3",
    "a = 0x1F\nb = 0o17\nc = 0b11\nd = -1_000\ne = +5",
    "a = 1.5\nb = -1e6\nc = 6.02e+23\nd = 1_0.0_1",
    "a = inf\nb = -inf", "a = true\nb = false", "a = 1979-05-27T07:32:00Z",
    "a = 1979-05-27 07:32:00.5+01:00",
    "a = 1979-05-27", "a = 07:32:00", "3.14 = 1",
    "a = 9223372036854775807\nb = -9223372036854775808",
    "[ a . \"b\" ]\nx = 1", "a = \"\"\"a\\  \n  b\"\"\"", "a = \"\"", "'' = 1", "a = [[], [[]]]",
    "[a]\nb.c = 1\n[a.d]\ne = 2", "a = 2000-02-29", "[x.y.z.w]\n[x]", "a = -0\nb = +0.0",
    // Documents that are not TOML.
    "a", "a =", "a = 1 b = 2", "= 1", "a = \"x", "a = 'x", "a = \"\"\"x", "a = \"\\x\"",
    "a = \"\\ud800\"",
    "a = 1\na = 2", "[a]\n[a]", "[a]\nb = 1\n[a.b]", "a = 1\n[a]", "a = {b = 1}\na.c = 2",
    "a = {b = 1}\n[a.c]",
    "a = [1]\n[[a]]", "[[a]]\n[a]", "[a]\n[[a]]", "a = 01", "a = 1__0", "a = 1_", "a = _1",
    "a = 0x", "a = 1.",
    "a = .5", "a = 1e", "a = yes", "a = 1979-13-01", "a = 2001-02-29", "a = 25:00:00",
    "a = 07:61:00",
    "a = [1, 2", "a = [1 2]", "a = {b = 1", "a = {b = 1,}", "a = {\nb = 1}", "[a", "[a]]", "[[a]",
    "[]", "[a.]",
    "a = \"\u{1}\"", "a = 'x\ny'", "a..b = 1", "a.b = 1\n[a]", "a.b = 1\n[a.b.c]",
    "a = +0x1", "a = TRUE", "a = 1 # \u{7f}", "[a] b = 1", "[a.b]\n[a]\nb.c = 1",
    "a = {x = 1, x = 2}", "a = 0b2",
    "a = 00.1", "a\n= 1", "a = \"\\U00110000\"", "[[a.b]]\n[a]\nb = 1", "a = 1979-05-27T",
    "a = {a.b = 1, a = 2}",
  ]

  @Test(.usesTools) func `the parser accepts what tomllib accepts, with the same values`() throws {
    let script = """
      import json, sys, tomllib
      def plain(v):
          if isinstance(v, dict): return {k: plain(x) for k, x in v.items()}
          if isinstance(v, list): return [plain(x) for x in v]
          if isinstance(v, (bool, int, str)): return v
          if isinstance(v, float): return "float"
          return "date"
      for d in json.load(sys.stdin):
          try: print(json.dumps(plain(tomllib.loads(d)), sort_keys=True, ensure_ascii=False, separators=(",", ":")))
          except (tomllib.TOMLDecodeError, RecursionError): print("invalid")
      """
    // tomllib reads text, and its caller removes a byte order mark.
    let texts = Self.documents.map { $0.hasPrefix("\u{feff}") ? String($0.dropFirst()) : $0 }
    let input = String(decoding: try JSONEncoder().encode(texts), as: UTF8.self)
    let result = try run("python3", "-c", script, input: input)
    #expect(result.didSucceed, "\(result.errors)")
    let expected = result.output.split(separator: "\n").map(String.init)
    #expect(expected.count == Self.documents.count)
    for (document, expected) in zip(Self.documents, expected) {
      #expect(Self.text(of: document) == expected, "\(document)")
    }
    #expect(expected.count { $0 == "invalid" } > 40 && expected.count { $0 != "invalid" } > 30)
  }

  private static func text(of document: String) -> String {
    do throws(TOMLError) {
      return json(.table(try TOMLParser.parse(Array(document.utf8))))
    } catch { return "invalid" }
  }

  private static func json(_ value: TOMLValue) -> String {
    switch value {
    case .string(let text): return quoted(text)
    case .integer(let number): return "\(number)"
    case .float: return "\"float\""
    case .boolean(let value): return "\(value)"
    case .dateTime: return "\"date\""
    case .array(let items): return "[" + items.map { json($0.value) }.joined(separator: ",") + "]"
    case .table(let table):
      // Python sorts by code points.
      let keys = table.keys.sorted {
        $0.unicodeScalars.lexicographicallyPrecedes($1.unicodeScalars)
      }
      return "{"
        + keys.map { quoted($0) + ":" + (table[$0].map { json($0.value) } ?? "") }.joined(
          separator: ",")
        + "}"
    }
  }

  private static func quoted(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": quoted += "\\\""
      case "\\": quoted += "\\\\"
      case "\n": quoted += "\\n"
      case "\t": quoted += "\\t"
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }

  @Test func `deep nesting and random bytes are errors and no crash`() {
    for text in [
      String(repeating: "[", count: 100_000), "a = " + String(repeating: "[", count: 100_000),
      "a = " + String(repeating: "{a = ", count: 100_000),
      "a" + String(repeating: ".a", count: 100_000) + " = 1",
    ] {
      #expect(throws: TOMLError.self) { try TOMLParser.parse(Array(text.utf8)) }
    }
    for seed in seeds {
      var random = SplitMix64(seed)
      let alphabet = Array("a=.[]{}\"'\\#\n\r\t 0x1-:Tetrufinu,_\u{e9}".utf8) + [0, 0xff, 0xc3]
      for _ in 0..<3000 {
        let count = Int.random(in: 0..<60, using: &random)
        let bytes = (0..<count).compactMap { _ in alphabet.randomElement(using: &random) }
        _ = try? TOMLParser.parse(bytes)
      }
    }
  }

  @Test func `nesting has at most 32 levels, and a document at most 1 MiB`() throws {
    func accepts(_ text: String) -> Bool {
      (try? TOMLParser.parse(Array(text.utf8))) != nil
    }
    func repeated(_ text: String, _ count: Int) -> String {
      String(repeating: text, count: count)
    }
    #expect(accepts("[a" + repeated(".a", 31) + "]") && !accepts("[a" + repeated(".a", 32) + "]"))
    #expect(accepts("a = " + repeated("[", 32) + repeated("]", 32)))
    #expect(!accepts("a = " + repeated("[", 33) + repeated("]", 33)))
    // Each line is short enough: all tables together are not.
    let open = repeated(repeated("a.", 200) + "a = [\n{", 15)
    #expect(!accepts(open) && !accepts(open + "a = 1" + repeated("}]", 15)))
    // Dots in texts are not those of keys, whatever the parts of a key contain.
    #expect(accepts("a = [" + repeated("\"usr/lib/x.so.1\",", 1000) + "]"))
    #expect(accepts("a = \"\"\"\n" + repeated("x.y, z.\n", 1000) + "\"\"\""))
    for part in ["\",\"", "'='", "'#'", "\"\\\"#\"", "''", "\"'''\"", "a \t"] {
      #expect(!accepts(repeated(part + ".", 100_000) + "a = 1"), "\(part)")
      #expect(!accepts("[" + repeated(part + ".", 100_000) + "a]"), "\(part)")
      #expect(accepts(repeated(part + ".", 31) + "a = 1"), "\(part)")
    }
    #expect(accepts("#" + repeated("x", (1 << 20) - 1)))
    #expect(!accepts("#" + repeated("x", 1 << 20)))
  }

  @Test func `NUL bytes, invalid UTF-8 and huge numbers are errors with their line`() throws {
    let invalid: [[UInt8]] = [
      [0], [0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xc3],
    ]
    for bytes in invalid {
      for (before, after) in [
        ("a = 1\nb = \"", "\""), ("a = 1\n# ", "\n"), ("a = 1\nb", " = 1"),
      ] {
        let error = #expect(throws: TOMLError.self) {
          try TOMLParser.parse(Array(before.utf8) + bytes + Array(after.utf8))
        }
        #expect(error?.line == 2, "\(bytes) \(before)")
      }
    }
    for number in [
      String(repeating: "9", count: 100_000), "-9223372036854775809", "0x10000000000000000",
      "1e400", "1e" + String(repeating: "9", count: 100_000),
      "0b" + String(repeating: "1", count: 65),
    ] {
      #expect(throws: TOMLError.self, "\(number.prefix(30))") {
        try TOMLParser.parse(Array("a = \(number)".utf8))
      }
    }
    // A text may contain a NUL that is escaped: its readers refuse it.
    guard case .string(let text)? = try TOMLParser.parse(Array(#"a = "x\u0000y""#.utf8))["a"]?.value
    else {
      Issue.record("no text")
      return
    }
    #expect(Array(text.utf8) == [0x78, 0, 0x79])
  }

  @Test func `values and tables have the lines of their keys, and keys their order`() throws {
    let table = try TOMLParser.parse(
      Array("z.y = 1\n\n[b.c]\nx = [\n1,\n[2]]\n[b]\na = {q = 1}\n[[m]]\n[[m]]\nk = 1".utf8))
    #expect(table.keys == ["z", "b", "m"])
    #expect(table.keys.map { table[$0]?.line } == [1, 3, 9])
    guard case .table(let b)? = table["b"]?.value, case .table(let c)? = b["c"]?.value,
      case .array(let x)? = c["x"]?.value, case .array(let m)? = table["m"]?.value
    else {
      Issue.record("another shape")
      return
    }
    #expect(b.line == 7 && c.line == 3 && b.keys == ["c", "a"] && b["a"]?.line == 8)
    #expect(x.map(\.line) == [5, 6] && m.map(\.line) == [9, 10])
  }

  @Test func `an error has its line`() {
    func line(_ text: String) -> Int? {
      do throws(TOMLError) {
        _ = try TOMLParser.parse(Array(text.utf8))
        return nil
      } catch { return error.line }
    }
    #expect(line("a = 1\nb = [\n1,\n2\nc = 1") == 5)
    #expect(line("a = 1\n\na = 2\n") == 3)
    #expect(line("a = \"\"\"\n\n\n\"\"\"\nb") == 5)
    #expect(line("a = 1\n[a]\n") == 2)
    #expect(line("a = [1,}") == 1 && line("a = 1\n[[[[") == 2)
    #expect(line("a = 1\n\u{e9} = 2") == 2 && line("a = 1\nb = 2\u{1e2}]") == 2)
    #expect(line("a = 1\na.b = {c = 2}") == 2 && line("[a]\n[b]\n[a]") == 3)
    // Swift compares texts by their canonical forms.
    #expect(line("\"\u{e9}\" = 1\n\"e\u{301}\" = 2") == 2)
    // Python has integers of any size.
    #expect(line("a = 9223372036854775808") == 1)
  }
}
