// Looking inside snapshots, held against the tools that look at folders: find, grep, cat, rsync.

import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

/// A nasty tree as one snapshot, and the folder that it was.
private final class LookSite: Sendable {
  let folder: TemporaryFolder
  let workspace: Workspace
  var tree: String { folder.path("root/img/rootimg") }
  static let shared = Result { try LookSite() }

  init() throws {
    folder = try TemporaryFolder()
    workspace = try Workspace.test(folder)
    try makeNastyTree(folder.path("root/img/rootimg"))
    try shell(
      #"""
      cd "$1"; mkdir -p text usr/bin
      printf 'alpha\nbeta\ngamma' >text/unended; printf 'one\n\nthree\n' >text/blank; : >text/empty
      printf 'caf\351 latin\nALPHA\n' >text/latin; printf 'bin\0ary alpha\nalpha\n' >text/binary
      seq 1 200000 >text/numbers; printf 'a.b*c\n[x]\n^start\nend$\n' >text/special
      head -c 300000 /dev/zero | tr '\0' x >text/long; echo alpha >>text/long
      ln -s usr/bin bin; ln -s ../../text/unended usr/bin/up; ln -s /text/blank usr/bin/absolute
      ln -s circle circle; ln -s ../../../../../../etc escape
      """#, folder.path("root/img/rootimg"))
    _ = try workspace.snapshot("img")
  }

  func reader() throws -> StateReader {
    try workspace.reader(of: try workspace.find(try Reference("img")))
  }
}

@Suite struct LookTests {
  @Test func `a walk meets what find meets`() throws {
    let site = try LookSite.shared.get()
    let reader = try site.reader()
    var seen: [[UInt8]] = []
    try reader.walk(try reader.require("")) { seen.append($0.path) }
    // Python's bytes, because find's lines are not names.
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

  /// A filter, and the same for find(1).
  static let filters: [(EntryFilter, [String])] = {
    func filter(_ set: (inout EntryFilter) -> Void) -> EntryFilter {
      var filter = EntryFilter()
      set(&filter)
      return filter
    }
    return [
      (filter { $0.namePattern = "size-*" }, ["-name", "size-*"]),
      (filter { $0.namePattern = "[gm]?*[0-9]" }, ["-name", "[gm]?*[0-9]"]),
      (filter { $0.kind = .symlink }, ["-type", "l"]),
      (filter { $0.kind = .directory }, ["-type", "d"]),
      (filter { $0.kind = .fifo }, ["-type", "p"]),
      (filter { $0.largerThanBytes = 65536 }, ["-type", "f", "-size", "+65536c"]),
      (
        filter {
          $0.namePattern = "*\\\\*"
          $0.kind = .file
        }, ["-name", "*\\\\*", "-type", "f"]
      ),
    ]
  }()

  @Test(arguments: filters.indices)
  func `each condition holds for what find says`(_ index: Int) throws {
    let site = try LookSite.shared.get()
    let (filter, arguments) = LookTests.filters[index]
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

  /// Patterns and how grep takes them.
  static let patterns: [(String, LinePattern.Syntax, ignoresCase: Bool)] = [
    ("alpha", .fixed, false), ("alpha", .fixed, true), ("a.b*c", .fixed, false),
    ("[X]", .fixed, true), ("^start", .fixed, false), ("", .fixed, false),
    ("^alpha$", .basic, false), ("^$", .basic, false), ("a.*a", .basic, true),
    ("\\(1\\)\\1\\1", .basic, false), ("(alpha|gamma)$", .extended, false),
    ("^9{3,}", .extended, false),
    ("x*a", .basic, false), (".*", .basic, false), ("no such text", .fixed, false),
    ("[^0-9a-z]", .extended, false), ("^", .basic, false), ("$", .basic, true),
  ]

  @Test(arguments: patterns.indices)
  func `grep finds the lines that grep finds`(_ index: Int) throws {
    let site = try LookSite.shared.get()
    let (pattern, syntax, ignoresCase) = LookTests.patterns[index]
    let reader = try site.reader()
    let letter = syntax == .fixed ? "F" : syntax == .basic ? "G" : "E"
    for name in try FileManager.default.contentsOfDirectory(atPath: site.tree + "/text") {
      var searcher = LineSearcher(try LinePattern(pattern, syntax, ignoresCase: ignoresCase))
      var lines: [UInt8] = []
      func show(_ hit: LineHit) { lines += Array("\(hit.number):".utf8) + hit.line + [0x0a] }
      try reader.read(try reader.require("text/\(name)")) { try searcher.feed($0, show) }
      try searcher.finish(show)
      let output = site.folder.path("grep-\(index)")
      let oracle = try run(
        "bash", "-c",
        "LC_ALL=C grep -n\(letter)\(ignoresCase ? "i" : "") -e \"$0\" \"$1\" >\"$2\"", pattern,
        "\(site.tree)/text/\(name)", output)
      let expected = [UInt8](try Data(contentsOf: URL(fileURLWithPath: output)))
      if searcher.isBinary {
        #expect((searcher.hitCount > 0) == oracle.didSucceed, "\(pattern) in \(name)")
      } else if String(decoding: expected, as: UTF8.self).hasSuffix("binary file matches\n") {
        // In the C locale grep takes bytes over 0x7f for binary; here they are bytes.
        #expect(name == "latin" && searcher.hitCount > 0)
      } else {
        #expect(lines == expected, "\(pattern) in \(name)")
      }
    }
  }

  @Test(arguments: seeds)
  func `where the parts of a file end changes nothing for a search`(_ seed: UInt64) throws {
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
      // Lines of a binary file are shown until its first NUL is met: only the verdict is compared.
      #expect(try hits(parts) == hits([text]), "\(text)")
    }
  }

  @Test func `links are followed inside the tree, and never out of it`() throws {
    let reader = try LookSite.shared.get().reader()
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

  @Test func `contents come out as they went in`() throws {
    let site = try LookSite.shared.get()
    let reader = try site.reader()
    for name in ["sparse", "size-5000001", "size-0", "random", "text/binary"] {
      var bytes: [UInt8] = []
      try reader.read(try reader.require(name)) { bytes.append(contentsOf: $0) }
      #expect(try Data(contentsOf: URL(fileURLWithPath: "\(site.tree)/\(name)")) == Data(bytes))
    }
    #expect(throws: ImageError.self) { try reader.read(try reader.require("fifo")) { _ in } }
  }

  @Test func `extract refuses, and with force replaces one by one`() throws {
    let site = try LookSite.shared.get()
    let to = site.folder.path("extracted")
    _ = try site.workspace.restore("img:web", to: to)
    #expect(throws: ImageError.self) { try site.workspace.restore("img:web", to: to) }
    try shell(
      #"cd "$1"; echo mine >extra; rm g0-0; ln -s /etc/passwd g0-0; echo changed >g1-0; mkdir g2-1.d"#,
      to)
    let outcome = try site.workspace.restore("img:web", to: to, overwriting: true)
    #expect(outcome.report.problems.isEmpty)
    try shell(#"cd "$1"; rm extra; rmdir g2-1.d"#, to)
    // Links to web2 are outside what was extracted, so each group is of one folder here.
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
