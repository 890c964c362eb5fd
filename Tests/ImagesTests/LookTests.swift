// Reads inside snapshots are compared with standard tools on directories: find, grep, cat, rsync.

import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

/// A tree with unusual entries as one snapshot, and the original directory.
private final class SearchedTree: Sendable {
  let directory: TemporaryDirectory
  let workspace: Workspace
  var tree: String { directory.path("root/img/rootimg") }
  static let shared = Result { try SearchedTree() }

  init() throws {
    directory = try TemporaryDirectory()
    workspace = try Workspace.test(directory)
    try makeNastyTree(directory.path("root/img/rootimg"))
    try runFixture("scripts/trees/make-texts-and-links.sh", directory.path("root/img/rootimg"))
    _ = try workspace.snapshot("img")
  }

  func reader() throws -> SnapshotReader {
    try workspace.reader(of: try workspace.find(try Reference("img")))
  }
}

@Suite(.usesTools) struct LookTests {
  @Test func `a walk lists the paths that find lists`() throws {
    let site = try SearchedTree.shared.get()
    let reader = try site.reader()
    var seen: [[UInt8]] = []
    try reader.walk(try reader.require("")) { seen.append($0.path) }
    // Uses Python for the names, because names can contain newlines and find's output is line by line.
    let oracle = try run(
      "python3", "-c",
      #"""
      import os, sys
      root = os.fsencode(sys.argv[1]); count = 1
      for top, dirs, files in os.walk(root): count += len(dirs) + len(files)
      print(count)
      """#, site.tree)
    #expect(String(seen.count) == oracle.output.trimmingCharacters(in: .newlines))
    #expect(Set(seen).count == seen.count)
  }

  /// A filter with the equivalent arguments of find(1), which name it.
  struct FilterCase: Sendable, CustomTestStringConvertible {
    let arguments: [String]
    let filter: EntryFilter
    var testDescription: String { "find " + arguments.joined(separator: " ") }

    init(_ arguments: String..., set: (inout EntryFilter) -> Void) {
      self.arguments = arguments
      var filter = EntryFilter()
      set(&filter)
      self.filter = filter
    }
  }

  static let filters = [
    FilterCase("-name", "size-*") { $0.namePattern = "size-*" },
    FilterCase("-name", "[gm]?*[0-9]") { $0.namePattern = "[gm]?*[0-9]" },
    FilterCase("-type", "l") { $0.kind = .symlink },
    FilterCase("-type", "d") { $0.kind = .directory },
    FilterCase("-type", "p") { $0.kind = .fifo },
    FilterCase("-type", "f", "-size", "+65536c") { $0.largerThanBytes = 65536 },
    FilterCase("-name", "*\\\\*", "-type", "f") {
      $0.namePattern = "*\\\\*"
      $0.kind = .file
    },
  ]

  @Test(arguments: filters)
  func `each condition selects the paths that find selects`(_ condition: FilterCase) throws {
    let site = try SearchedTree.shared.get()
    let (filter, arguments) = (condition.filter, condition.arguments)
    let reader = try site.reader()
    var seen: [String] = []
    try reader.walk(try reader.require("")) { found in
      let name = found.path.split(separator: 0x2f).last.map(Array.init) ?? []
      if filter.matches(found.entry, name: name) { seen.append(found.entry.kind.noun) }
    }
    let oracle = try run(
      "env", arguments: ["LC_ALL=C", "find", site.tree] + arguments + ["-printf", "x\\n"])
    #expect(seen.count == oracle.output.split(separator: "\n").count && !seen.isEmpty)
  }

  /// A pattern with grep's syntax for it, as its test is named.
  struct PatternCase: Sendable, CustomTestStringConvertible {
    let pattern: String
    let syntax: LinePattern.Syntax
    let ignoresCase: Bool
    var letter: String { syntax == .fixed ? "F" : syntax == .basic ? "G" : "E" }
    var testDescription: String { "grep -\(letter)\(ignoresCase ? "i" : "") '\(pattern)'" }

    init(_ pattern: String, _ syntax: LinePattern.Syntax, ignoresCase: Bool = false) {
      self.pattern = pattern
      self.syntax = syntax
      self.ignoresCase = ignoresCase
    }
  }

  static let patterns = [
    PatternCase("alpha", .fixed), PatternCase("alpha", .fixed, ignoresCase: true),
    PatternCase("a.b*c", .fixed),
    PatternCase("[X]", .fixed, ignoresCase: true), PatternCase("^start", .fixed),
    PatternCase("", .fixed),
    PatternCase("^alpha$", .basic), PatternCase("^$", .basic),
    PatternCase("a.*a", .basic, ignoresCase: true),
    PatternCase("\\(1\\)\\1\\1", .basic), PatternCase("(alpha|gamma)$", .extended),
    PatternCase("^9{3,}", .extended),
    PatternCase("x*a", .basic), PatternCase(".*", .basic), PatternCase("no such text", .fixed),
    PatternCase("[^0-9a-z]", .extended), PatternCase("^", .basic),
    PatternCase("$", .basic, ignoresCase: true),
    PatternCase("\\<a", .basic), PatternCase("a\\>", .basic, ignoresCase: true),
    PatternCase("[a-z]*\\>.", .extended),
    PatternCase("\\balpha\\b|\\Bm", .extended),
    PatternCase("(a)(.).*\\2\\1", .extended, ignoresCase: true),
    PatternCase("[[:upper:][.-.]]", .basic, ignoresCase: true), PatternCase("a\\{0,2\\}m", .basic),
    PatternCase("a|^$|9{2}$", .extended),
    PatternCase("*a", .basic), PatternCase("\\(^a\\|9$\\)", .basic), PatternCase("[]a^-]", .basic),
  ]

  /// Patterns to search in a line of 300,000 characters, and whether each matches as in grep. Each must
  /// finish in time.
  static let longLines: [NamedCase<(pattern: PatternCase, matches: Bool)>] = [
    longLine(PatternCase("(x+x+)+y", .extended), false),
    longLine(PatternCase("x.*x.*y", .basic, ignoresCase: true), false),
    longLine(PatternCase("(x|x)*y", .extended), false),
    longLine(PatternCase("(x*)*$", .extended), true),
    longLine(PatternCase("x{1,500}y", .extended), false),
    longLine(PatternCase("[xX]*[xX]*[xX]*y", .basic), false),
    longLine(PatternCase(String(repeating: "x", count: 5000) + "y", .fixed), false),
    longLine(PatternCase("\\<x+\\>", .extended), true),
  ]

  private static func longLine(_ pattern: PatternCase, _ matches: Bool) -> NamedCase<
    (pattern: PatternCase, matches: Bool)
  > {
    NamedCase(String(pattern.testDescription.prefix(40)), (pattern, matches))
  }

  @Test(.timeLimit(.minutes(1)), arguments: longLines)
  func `a long line is searched in time linear in it`(
    _ search: NamedCase<(pattern: PatternCase, matches: Bool)>
  ) throws {
    let (pattern, matches) = search.value
    let line = [UInt8](repeating: UInt8(ascii: "x"), count: 300_000)
    var searcher = LineSearcher(
      try LinePattern(pattern.pattern, pattern.syntax, ignoresCase: pattern.ignoresCase))
    try line.withUnsafeBytes { try searcher.feed($0) { _ in } }
    try searcher.finish { _ in }
    #expect((searcher.hitCount > 0) == matches)
  }

  @Test(.timeLimit(.minutes(1)), arguments: ["(x+x+)+\\1y", "(x*)*\\1(x*)*y", "(x{1001}x*)*y"])
  func `a backtracking pattern that takes too long ends with an error that names the line`(
    _ pattern: String
  ) throws {
    let text = Array("one\n\n".utf8) + [UInt8](repeating: UInt8(ascii: "x"), count: 300_000)
    var searcher = LineSearcher(try LinePattern(pattern, .extended, ignoresCase: false))
    let error = #expect(throws: ImageError.self) {
      try text.withUnsafeBytes { try searcher.feed($0) { _ in } }
      try searcher.finish { _ in }
    }
    #expect(error?.subject == "line 3")
  }

  @Test(arguments: seeds)
  func `random expressions match the lines that grep matches`(_ seed: UInt64) throws {
    var random = SplitMix64(seed)
    let directory = try TemporaryDirectory()
    let alphabet = Array("aAbB_ 0".utf8)
    let lines = (0..<200).map { _ in
      (0..<Int.random(in: 0...8, using: &random)).map { _ in
        alphabet.randomElement(using: &random) ?? 0x61
      }
    }
    let text = Array(lines.joined(separator: [0x0a])) + [0x0a]
    try Data(text).write(to: URL(fileURLWithPath: directory.path("text")))
    let fragments = [
      "a", "b", ".", "[ab]", "[^a]", "[[:upper:]_]", "(", ")", "|", "*", "+", "?", "{2}", "{1,2}",
      "^", "$",
      "\\<", "\\>", "\\b", "\\w", "\\W", "\\1", "\\(", "\\)", "\\|", "\\+", "\\{2\\}", " ", "\\.",
      "[]-]",
    ]
    var compared = 0
    for _ in 0..<150 {
      let pattern = (0..<Int.random(in: 1...6, using: &random)).map { _ in
        fragments.randomElement(using: &random) ?? "a"
      }.joined()
      for (syntax, option) in [(LinePattern.Syntax.basic, "-G"), (.extended, "-E")] {
        let ignoresCase = Bool.random(using: &random)
        let oracle = try run(
          "env",
          arguments: ["LC_ALL=C", "grep", "-n", option] + (ignoresCase ? ["-i"] : [])
            + ["-e", pattern, directory.path("text")])
        // Patterns that grep refuses or warns about have no defined meaning, and neither has a repeated
        // anchor.
        let anchors = ["$", "^", "\\b", "\\<", "\\>"]
        let repetitions = ["*", "+", "?", "{", "\\{", "\\+"]
        let isOdd = anchors.contains { anchor in
          repetitions.contains { pattern.contains(anchor + $0) }
        }
        guard oracle.errors.isEmpty, !isOdd, !pattern.contains("$|*"),
          let compiled = try? LinePattern(pattern, syntax, ignoresCase: ignoresCase)
        else { continue }
        var searcher = LineSearcher(compiled)
        var found: [UInt8] = []
        func show(_ hit: LineHit) { found += Array("\(hit.number):".utf8) + hit.line + [0x0a] }
        try text.withUnsafeBytes { try searcher.feed($0, show) }
        try searcher.finish(show)
        #expect(
          String(decoding: found, as: UTF8.self) == oracle.output,
          "\(option) \(ignoresCase) '\(pattern)', seed \(seed)")
        compared += 1
      }
    }
    #expect(compared > 100)
  }

  @Test(arguments: patterns)
  func `grep finds the lines that grep finds`(_ search: PatternCase) throws {
    let site = try SearchedTree.shared.get()
    let (pattern, syntax, ignoresCase) = (search.pattern, search.syntax, search.ignoresCase)
    let reader = try site.reader()
    for name in try FileManager.default.contentsOfDirectory(atPath: site.tree + "/text") {
      var searcher = LineSearcher(try LinePattern(pattern, syntax, ignoresCase: ignoresCase))
      var lines: [UInt8] = []
      func show(_ hit: LineHit) { lines += Array("\(hit.number):".utf8) + hit.line + [0x0a] }
      try reader.read(try reader.require("text/\(name)")) { try searcher.feed($0, show) }
      try searcher.finish(show)
      let output = site.directory.path("grep-\(randomName())")
      let oracle = try run(
        "bash", "-c",
        "LC_ALL=C grep -n\(search.letter)\(ignoresCase ? "i" : "") -e \"$0\" \"$1\" >\"$2\"",
        pattern,
        "\(site.tree)/text/\(name)", output)
      let expected = [UInt8](try Data(contentsOf: URL(fileURLWithPath: output)))
      if searcher.isBinary {
        #expect((searcher.hitCount > 0) == oracle.didSucceed, "\(pattern) in \(name)")
      } else if String(decoding: expected, as: UTF8.self).hasSuffix("binary file matches\n") {
        // In the C locale, grep treats bytes above 0x7f as binary. Here they are ordinary bytes.
        #expect(name == "latin" && searcher.hitCount > 0)
      } else {
        #expect(lines == expected, "\(pattern) in \(name)")
      }
    }
  }

  @Test(arguments: seeds)
  func `chunk boundaries in a file do not affect a search`(_ seed: UInt64) throws {
    var random = SplitMix64(seed)
    for _ in 0..<100 {
      let alphabet: [UInt8] = Array("ab\n\n".utf8) + (seed % 2 == 0 ? [0] : [])
      let text = (0..<Int.random(in: 0...60, using: &random)).map { _ in
        alphabet.randomElement(using: &random) ?? 0
      }
      func hits(_ parts: [[UInt8]]) throws -> [String] {
        var searcher = LineSearcher(try LinePattern("ab*$", .basic, ignoresCase: false))
        var hits: [String] = []
        func add(_ hit: LineHit) { hits.append("\(hit.number) \(hit.line)") }
        for part in parts { try part.withUnsafeBytes { try searcher.feed($0, add) } }
        try searcher.finish(add)
        return searcher.isBinary ? ["binary \(searcher.hitCount > 0)"] : hits
      }
      var parts: [[UInt8]] = []
      var rest = text[...]
      while !rest.isEmpty {
        let part = rest.prefix(Int.random(in: 1...7, using: &random))
        parts.append(Array(part))
        rest = rest.dropFirst(part.count)
      }
      // A binary file's lines are shown until its first NUL, so only the verdict is compared.
      #expect(try hits(parts) == hits([text]), "\(text)")
    }
  }

  @Test func `links are followed inside the tree and never out of it`() throws {
    let reader = try SearchedTree.shared.get().reader()
    #expect(
      try reader.find("bin/up", followLast: true)?.path == Array("/img/rootimg/text/unended".utf8))
    #expect(
      try reader.find("bin/absolute", followLast: true)?.path
        == Array("/img/rootimg/text/blank".utf8))
    #expect(try reader.find("bin/up")?.entry.kind == .symlink)
    #expect(try reader.find("circle", followLast: true) == nil)
    #expect(try reader.find("circle/x") == nil)
    #expect(try reader.find("escape/passwd") == nil)
    #expect(try reader.find("../../img/rootimg/text/empty/..//blank") == nil)
    #expect(try reader.find("text/../text/./blank") != nil)
    #expect(try reader.find("/img/rootimg/text/blank") != nil)
    #expect(throws: ImageError.self) { try reader.require("nothing") }
  }

  @Test func `cat returns the recorded contents`() throws {
    let site = try SearchedTree.shared.get()
    let reader = try site.reader()
    for name in ["sparse", "size-5000001", "size-0", "random", "text/binary"] {
      var bytes: [UInt8] = []
      try reader.read(try reader.require(name)) { bytes.append(contentsOf: $0) }
      #expect(try Data(contentsOf: URL(fileURLWithPath: "\(site.tree)/\(name)")) == Data(bytes))
    }
    #expect(throws: ImageError.self) { try reader.read(try reader.require("fifo")) { _ in } }
  }

  @Test func `extract refuses existing files, and with force replaces them one by one`() throws {
    let site = try SearchedTree.shared.get()
    let to = site.directory.path("extracted")
    _ = try site.workspace.restore("img:web", to: to)
    #expect(throws: ImageError.self) { try site.workspace.restore("img:web", to: to) }
    try shell(
      #"cd "$1"; echo mine >extra; rm g0-0; ln -s /etc/passwd g0-0; echo changed >g1-0; mkdir g2-1.d"#,
      to)
    let outcome = try site.workspace.restore("img:web", to: to, overwriting: true)
    #expect(outcome.report.problems.isEmpty)
    try shell(#"cd "$1"; rm extra; rmdir g2-1.d"#, to)
    // The link targets in web2 were not extracted, so each group of links is within one directory here.
    let left = try run("diff", "-r", "--no-dereference", site.tree + "/web", to)
    let lines = left.output.split(separator: "\n").filter { !$0.contains("is a fifo while") }
    #expect(lines.isEmpty, "\(lines)")
    #expect(throws: ImageError.self) {
      try site.workspace.restore("img:web", to: to + "/g1-0", overwriting: true)
    }
    _ = try site.workspace.restore("img:text/blank", to: to, overwriting: true)
    _ = try site.workspace.restore("img:text/latin", to: to + "/blank", overwriting: true)
    #expect(try run("cmp", to + "/blank", site.tree + "/text/latin").didSucceed)
  }
}
