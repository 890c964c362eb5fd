// Stanzas and dumps, compared with output of the real lsdef and tabdump.

import Foundation
import Platform
import TestSupport
import Testing
import XCAT

@Suite struct StanzaTests {
  private func parse(
    _ text: String, _ writer: StanzaFile.Writer = .anybody
  ) throws -> [StanzaFile.Object] {
    try StanzaFile.parse(Array(text.utf8), from: writer)
  }

  private func image(_ attributes: [String: String]) -> StanzaFile.Object {
    StanzaFile.Object(name: "x", type: "osimage", attributes: attributes)
  }

  @Test(.usesTools) func `output of lsdef is read and printed again byte for byte`() throws {
    let text = try run("tar", "xzOf", fixture("xcat/mn.tgz"), "install/lsdef-osimage.stanza").output
    for writer in [StanzaFile.Writer.lsdef, .anybody] {
      let objects = try parse(text, writer)
      #expect(objects.count == 3)
      #expect(objects[1].attributes["description"] == "Stateless <compute> & \"test\"")
      #expect(try StanzaFile.render(objects, for: .anybody) == text)
    }
  }

  @Test(.usesTools, arguments: seeds) func `stanzas keep all values`(_ seed: UInt64)
    throws
  {
    var random = SplitMix64(seed)
    let fragments = [
      ":", "\"", "=", " ", "#", "a", "x y", "\u{301}", "é", "objtype=node", "default-",
    ]
    for _ in 0..<300 {
      var attributes: [String: String] = [:]
      for name in ["a", "b", "comments"] {
        attributes[name] = (0..<Int.random(in: 0...5, using: &random))
          .map { _ in fragments.randomElement(using: &random) ?? "" }.joined()
      }
      let object = image(attributes)
      let text = try StanzaFile.render([object], for: .anybody)
      let back = try parse(text)
      #expect(back == [object] && back.first.map { bytes($0) } == bytes(object), "\(text)")
      guard attributes.values.allSatisfy({ $0.utf8.first != 0x20 && $0.utf8.last != 0x20 }) else {
        continue
      }
      #expect(try readAsXCAT(StanzaFile.render([object], for: .xCAT)) == attributes, "\(text)")
    }
  }

  private func bytes(_ object: StanzaFile.Object) -> [String: [UInt8]] {
    object.attributes.mapValues { Array($0.utf8) }
  }

  /// The rules of xCAT's own reader, in Perl, since they are Perl's regular expressions.
  private func readAsXCAT(_ text: String) throws -> [String: String] {
    let program = #"""
      while (<STDIN>) { chomp; next if /^\s*$/ || /^\s*#/;
        if (/:\s*$/) { print "HEADER $_\n" if /=/; next }
        next unless /^\s*(.*?)\s*=\s*(.*)\s*/; my ($a, $v) = ($1, $2);
        $v =~ s/^\s*//; $v =~ s/\s*$//; $v =~ s/^\s*"\s*//; $v =~ s/\s*"\s*$//;
        print "$a\t$v\n" unless $a eq 'objtype'; }
      """#
    let said = try run("perl", arguments: ["-e", program], input: text).output
    return Dictionary(
      said.split(separator: "\n").map { line in
        let parts = line.split(separator: "\t", maxSplits: 1, omittingEmptySubsequences: false)
        return (String(parts[0]), parts.count > 1 ? String(parts[1]) : "no value")
      }
    ) { $1 }
  }

  @Test func `defaults, comments, quotes and blanks are read as by xCAT`() throws {
    let objects = try parse(
      """
      # a comment
      default-osimage:
        osarch=x86_64
        profile = p

      one:
        objtype=osimage
        # another
        profile=" q"
        exlist = a=b:
      two:\r
        objtype = osimage\r
      """)
    #expect(
      objects == [
        .init(
          name: "one", type: "osimage",
          attributes: ["osarch": "x86_64", "profile": " q", "exlist": "a=b:"]),
        .init(name: "two", type: "osimage", attributes: ["osarch": "x86_64", "profile": "p"]),
      ])
  }

  @Test(arguments: [
    ("x:\n  objtype=osimage\n  what\n", "line 3"), ("a=b\n", "line 1"),
    ("x:\n  profile=p\n", "line 1"), ("x:\n objtype=osimage\nx:\n objtype=osimage\n", "line 3"),
    ("x:\n objtype=osimage\n a=1\n a=2\n", "line 4"), (":\n", "line 1"),
    ("x:\n objtype=osimage\n a b=1\n", "line 3"),
  ])
  func `text that is not a stanza is refused with its line number`(_ text: String, _ line: String)
    throws
  {
    let error = #expect(throws: XCATError.self) { try parse(text) }
    #expect(error?.subject.hasSuffix(line) == true, "\(error?.subject ?? "")")
  }

  @Test func `values that a stanza cannot hold are refused`() throws {
    for value in ["a\nb", "a\rb", "\u{7f}"] {
      #expect(throws: XCATError.self) {
        try StanzaFile.render([image(["comments": value])], for: .anybody)
      }
    }
    #expect(throws: XCATError.self) { try StanzaFile.render([image(["a": " b"])], for: .xCAT) }
    for name in ["", " x", "a=b", "#x", "default", "default-osimage", "a\nb"] {
      let object = StanzaFile.Object(name: name, type: "osimage", attributes: [:])
      #expect(throws: XCATError.self) { try StanzaFile.render([object], for: .anybody) }
    }
    #expect(throws: XCATError.self) { try parse("x:\n objtype=\u{fffe}", .lsdef) }
    #expect(throws: XCATError.self) {
      try StanzaFile.parse(Array("x:\n a=".utf8) + [0xff, 0x0a], from: .anybody)
    }
  }
}

@Suite struct TabdumpTests {
  @Test(
    .usesTools, arguments: ["osimage", "linuximage", "litefile", "nodelist", "postscripts", "site"])
  func `output of tabdump is read and printed again byte for byte`(_ table: String) throws {
    let directory = try TemporaryDirectory()
    try shell("tar xzf \"$2\" -C \"$1\" --no-same-owner", directory.path, fixture("xcat/mn.tgz"))
    let text = try String(
      contentsOfFile: directory.path("install/tabdump-\(table).csv"), encoding: .utf8)
    let dump = try TabdumpCSV.parse(Array(text.utf8), table)
    #expect(dump.render() == text)
    let files = SQLiteTableBackend(
      KernelFileSystem.shared, directory: Array(directory.path("etc-xcat").utf8), mayCreate: false)
    #expect(try files.rows(table) == dump.rows)
    #expect(TableSchema.named(table)?.columns == dump.columns)
  }

  @Test(arguments: seeds) func `dumps keep all values, including line breaks and quotes`(
    _ seed: UInt64
  ) throws {
    var random = SplitMix64(seed)
    let fragments = ["\"", "\"\"", ",", "\n", "\r\n", "#", "a", " ", "é", "\u{301}"]
    for _ in 0..<200 {
      let rows = (0..<3).map { _ in
        ["a": "k"].merging(
          ["b", "c"].map { name in
            (
              name,
              (0..<Int.random(in: 0...4, using: &random))
                .map { _ in fragments.randomElement(using: &random) ?? "" }.joined()
            )
          }
        ) { $1 }
      }
      let dump = TabdumpCSV(columns: ["a", "b", "c"], rows: rows)
      let text = dump.render()
      let back = try TabdumpCSV.parse(Array(text.utf8), "x")
      #expect(back == dump && back.render().utf8.elementsEqual(text.utf8), "\(text)")
    }
  }

  @Test(arguments: [
    ("", "line 1"), ("a,b\n", "line 1"), ("#a,b\n\"1\",\"2\",\"3\"\n", "line 2"),
    ("#a,b\n\"1\n2\",\"3\n", "line 2"), ("#a,b\n\"1\"x,\n", "line 2"),
    ("#a,b\n\"1\n\",\n1\"2,\n", "line 4"), ("#a,a\n", "line 1"), ("#\n", "line 1"),
    ("#a,\"b,c\"\n", "line 1"), ("#a,b\u{0}\n", "line 1"),
  ])
  func `a damaged dump is refused with its line number`(_ text: String, _ line: String) throws {
    let error = #expect(throws: XCATError.self) { try TabdumpCSV.parse(Array(text.utf8), "x") }
    #expect(error?.subject == "x, \(line)")
  }
}
