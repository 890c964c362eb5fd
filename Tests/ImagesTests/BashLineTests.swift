// Command lines of bash: they are split as by bash, and completed within their quotes.

import Images
import Testing

@Suite struct BashLineTests {
  @Test(arguments: [
    ("imgstore revert com", ["imgstore", "revert"], "com"),
    ("imgstore revert ", ["imgstore", "revert"], ""),
    ("imgstore  ls   a:b/c", ["imgstore", "ls"], "a:b/c"),
    (#"imgstore ls a\ b:c\ d"#, ["imgstore", "ls"], "a b:c d"),
    (#"imgstore ls "a b""c d"#, ["imgstore", "ls"], "a bc d"),
    (#"imgstore ls 'it'\''s "#, ["imgstore", "ls"], "it's "),
    (#"imgstore ls "a\"b\c"#, ["imgstore", "ls"], #"a"b\c"#),
    ("imgstore '' x", ["imgstore", ""], "x"),
    ("imgstore --root=/a log x@1", ["imgstore", "--root=/a", "log"], "x@1"),
    ("imgstore log 2>/dev/null x", ["imgstore", "log"], "x"),
    ("imgstore log >out x", ["imgstore", "log"], "x"), ("", [], ""),
  ])
  func `a command line is split into words as bash splits it`(
    _ line: String, _ words: [String], _ word: String
  ) {
    let parsed = BashLine(line)
    #expect(parsed.words == words && parsed.word == word && !parsed.isRedirection)
  }

  @Test func `a redirection does not count as an argument`() {
    for line in ["imgstore log >o", "imgstore log > o", "imgstore log 2>>o", "imgstore cat a:b <o"]
    {
      #expect(BashLine(line).isRedirection, "\(line)")
    }
  }

  struct Row: Sendable {
    let line: String
    /// The text that readline replaces: the part after the last word break of the last word.
    let replaced: String
    let candidate: String
    let replacement: String?
  }

  @Test(arguments: [
    // Word breaks.
    Row(
      line: "imgstore ls img:/etc/pa", replaced: "/etc/pa", candidate: "img:/etc/passwd",
      replacement: "/etc/passwd"),
    Row(
      line: "imgstore ls img@gol", replaced: "@gol", candidate: "img@golden", replacement: "@golden"
    ),
    Row(line: "imgstore ls img@1:", replaced: "", candidate: "img@1:etc/", replacement: "etc/"),
    Row(line: "imgstore --root=/a ls i", replaced: "i", candidate: "img", replacement: "img"),
    // COMP_WORDBREAKS without the colon.
    Row(
      line: "imgstore ls img:/etc/pa", replaced: "img:/etc/pa", candidate: "img:/etc/passwd",
      replacement: "img:/etc/passwd"),
    // Quotes.
    Row(
      line: #"imgstore ls img:a\ b"#, replaced: #"a\ b"#, candidate: "img:a b c$",
      replacement: #"a\ b\ c\$"#),
    Row(
      line: #"imgstore ls "img:a b"#, replaced: "img:a b", candidate: #"img:a b "c$"#,
      replacement: #"img:a b \"c\$"#),
    Row(
      line: "imgstore ls 'img:a b", replaced: "img:a b", candidate: "img:a b's",
      replacement: #"img:a b'\''s"#),
    Row(
      line: #"imgstore ls img:"a b"/"#, replaced: #"a b"/"#, candidate: "img:a b/c d",
      replacement: #"a b"/c\ d"#),
    Row(
      line: "imgstore ls img:", replaced: "", candidate: #"img:new\x0aline"#,
      replacement: #"new\\x0aline"#),
    // Part of an image's name completes to the whole name.
    Row(
      line: "imgstore log comp", replaced: "comp", candidate: "rhels9-compute",
      replacement: "rhels9-compute"),
    Row(
      line: "imgstore log 'comp", replaced: "comp", candidate: "rhels9-compute", replacement: nil),
    // Lines that cannot be completed.
    Row(line: #"imgstore ls img:$'a"#, replaced: "a", candidate: "img:ab", replacement: nil),
    Row(line: #"imgstore ls img:a\"#, replaced: #"a\"#, candidate: "img:ab", replacement: nil),
    Row(line: "imgstore ls img", replaced: "other", candidate: "imgs", replacement: nil),
  ])
  func `a completed word replaces the current one in its quotes`(_ row: Row) {
    #expect(
      BashLine(row.line).replacement(row.candidate, for: row.replaced) == row.replacement,
      "\(row.line)")
  }
}
