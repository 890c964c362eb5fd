// Exclude lists and their patterns, compared with the commands that xCAT makes of them.

import Foundation
import Glibc
import Platform
import TestSupport
import Testing
import XCAT

@Suite struct ExcludeListTests {
  private func path(_ text: String) throws -> AbsolutePath { try #require(AbsolutePath(text)) }

  private func list(_ texts: [String: String], _ files: String...) throws -> ExcludeList {
    try ExcludeList.parse(files: files.map { try path($0) }) { path in
      texts[path.text].map { Array($0.utf8) }
    }
  }

  private func texts(_ patterns: [[UInt8]]) -> [String] {
    patterns.map { String(decoding: $0, as: UTF8.self) }
  }

  // MARK: Lines

  @Test func `lines of a list exclude, include or comment, and other text is literal`() throws {
    let list = try list(
      [
        "/c/a": """
        ./usr/share/man*  # manuals
        # nothing
           # nothing
        \u{20}
        -./boot*
        +./usr/share/man/man1/ls.1
        --./x
        ./blank\u{20}
        ./crlf\r
        usr/x
        ./slash/
        """,
        "/c/b": "./b",
      ], "/c/a", "/c/b")
    #expect(
      texts(list.excludes) == [
        "./usr/share/man*", "./boot*", "-./x", "./blank ", "./crlf\r", "usr/x", "./slash/", "./b",
      ])
    #expect(texts(list.includes) == ["./usr/share/man/man1/ls.1"])
    #expect(texts(list.doubtful) == ["-./x", "./blank ", "./crlf\r", "usr/x", "./slash/"])
    for (path, isKept) in [
      (".", true), ("./usr/share", true), ("./usr/share/man", false), ("./boot", false),
      ("./usr/share/man/man1", false), ("./usr/share/man/man1/ls.1", true),
      ("./etc/init.d/statelite", false), ("./etc/init.d/statelite/x", true),
      ("./.default/x", false),
      ("./.statebackup", false), ("./b", false), ("./b/c", true),
    ] {
      #expect(list.keeps(Array(path.utf8)) == isKept, "\(path)")
    }
    #expect(ExcludeList().keeps(Array("./.statelite/tmpfs".utf8)) == false)
  }

  @Test func `the time zone file is never excluded`() throws {
    let zone = Array("./usr/share/zoneinfo/Europe/Berlin".utf8)
    let list = try list(["/c/a": "./usr/share/zoneinfo*"], "/c/a")
    #expect(!list.keeps(zone))
    #expect(list.addingIncludes([zone]).keeps(zone))
  }

  // MARK: Includes

  @Test func `included lists replace their tags, relative to the top list's directory`() throws {
    let list = try list(
      [
        "/c/a": "./1\n#INCLUDE:sub/b#\n# #INCLUDE:d#\n./2#INCLUDE:/e# x\n./3#INCLUDE:empty#/4\n",
        "/c/sub/b": "./b \r\n\n  \n#INCLUDE:d#\r\n+./b2\n", "/c/d": "./d\n./d2\n\n",
        "/e": "/e1\n./e2",
        "/c/empty": "\n",
      ], "/c/a")
    #expect(
      texts(list.excludes) == [
        "./1", "./b", "./d", "./d2", "./d2", "./2/e1", "./e2 x", "./3/4",
      ])
    #expect(texts(list.includes) == ["./b2"])
  }

  @Test func `cyclic, missing and unreadable lists are errors that name the chain of includes`()
    throws
  {
    func explanation(_ texts: [String: String], _ file: String = "/c/a") -> String {
      do {
        _ = try list(texts, file)
        return "no error"
      } catch {
        return (error as? XCATError)?.messageWithHint ?? "\(error)"
      }
    }
    #expect(explanation(["/c/a": "#INCLUDE:a#"]).contains("/c/a -> /c/a"))
    #expect(
      explanation(["/c/a": "#INCLUDE:b#", "/c/b": "#INCLUDE:../c/b2#", "/c/b2": "#INCLUDE:b#"])
        .contains("/c/b -> /c/b2 -> /c/b"))
    #expect(
      explanation(["/c/a": "#INCLUDE:b#"]).contains(
        "/c/b does not exist (included by /c/a)"))
    #expect(explanation([:]).contains("/c/a does not exist"))
    let error = #expect(throws: XCATError.self) {
      try ExcludeList.parse(files: [try path("/c/a")]) { _ in
        throw SystemError(code: .accessDenied, "read", [])
      }
    }
    #expect(error?.reason.contains("Permission denied") == true)
    // A few lists that are included repeatedly.
    var texts: [String: String] = [:]
    for i in 0..<40 { texts["/c/\(i)"] = "#INCLUDE:\(i + 1)##INCLUDE:\(i + 1)#" }
    texts["/c/40"] = ""
    #expect(explanation(texts, "/c/0").contains("included repeatedly"))
  }

  // MARK: Against find

  private static let alphabet: [UInt8] = Array("ab-]!^.[ *?\\Z09\n'".utf8) + [0xe9, 0xff]

  /// Creates a small tree with odd names; returns its paths as find writes them.
  private func makeTree(_ root: String, _ random: inout SplitMix64) {
    var directories = [Array(root.utf8)]
    for _ in 0..<60 {
      guard let directory = directories.randomElement(using: &random) else { return }
      let length = Int.random(in: 1...4, using: &random)
      let name = (0..<length).map { _ in
        Self.alphabet[Int.random(in: 0..<Self.alphabet.count, using: &random)]
      }
      if name == [0x2e] || name == [0x2e, 0x2e] { continue }
      let path = directory + [0x2f] + name
      let terminated = path.map { CChar(bitPattern: $0) } + [0]
      if Bool.random(using: &random) {
        if mkdir(terminated, 0o755) == 0 { directories.append(path) }
      } else {
        let descriptor = open(terminated, O_CREAT | O_WRONLY, 0o644)
        if descriptor >= 0 { close(descriptor) }
      }
    }
  }

  private static let fragments: [[UInt8]] =
    [
      "*", "*", "?", "[", "[", "]", "]", "!", "^", "-", "\\", "/", ".", "a", "b", "Z", "0", "9",
      " ",
      "[a-z]", "[!a]", "[^]b]", "[[:alpha:]]", "[[:digit:]-]", "[:punct:]", "[:foo:]", "[:", ":]",
      "[=a=]", "[.-.]", "[.", "=]", "[\\]]", "[a-", "-a]", "[b-a]", "[]-a]", "\\*", "\\[", "'",
      "\n",
      "[[:space:][:upper:]]", "[[:cntrl:]", "[[:bar:]]", "[a/]", "[!/]",
    ].map { Array($0.utf8) } + [[0xe9], [0xff], Array("[".utf8) + [0xe0, 0x2d, 0xff, 0x5d]]

  private func makePattern(_ random: inout SplitMix64) -> [UInt8] {
    let count = Int.random(in: 0...6, using: &random)
    let tail = (0..<count).flatMap { _ in Self.fragments.randomElement(using: &random) ?? [] }
    return Bool.random(using: &random) ? Array("./".utf8) + tail : tail
  }

  private func quoted(_ bytes: [UInt8]) -> String {
    "$'" + bytes.map { "\\x" + String($0, radix: 16).leftPadded }.joined()
      + "'"
  }

  /// Runs a script in the C locale in `tree`; returns its output, split at NUL.
  private func records(_ script: String, in directory: TemporaryDirectory) throws -> [[UInt8]] {
    try script.write(toFile: directory.path("script"), atomically: true, encoding: .utf8)
    let result = try shell(
      "cd \"$1/tree\"; LC_ALL=C bash \"$1/script\" > \"$1/out\" 2> \"$1/err\"", directory.path)
    #expect(result.didSucceed)
    let output = try Data(contentsOf: URL(fileURLWithPath: directory.path("out")))
    return Array(output).split(separator: 0, omittingEmptySubsequences: false).dropLast().map(
      Array.init)
  }

  @Test(.usesTools, arguments: seeds) func `patterns match the paths that find matches`(
    _ seed: UInt64
  ) throws {
    var random = SplitMix64(seed)
    let directory = try TemporaryDirectory()
    let root = directory.path("tree")
    try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
    makeTree(root, &random)
    let paths = try records("find . -print0", in: directory)
    let patterns = (0..<250).map { _ in makePattern(&random) }
    let script = patterns.map { "find . -path \(quoted($0)) -print0; printf '\\0'\n" }.joined()
    let groups = try records(script, in: directory).split(
      separator: [], omittingEmptySubsequences: false)
    #expect(paths.count > 20 && groups.count >= patterns.count)
    var matches = 0
    for (pattern, expected) in zip(patterns, groups) {
      let compiled = BytePattern(pattern)
      let found = Set(paths.filter { compiled.matches($0) })
      matches += found.count
      let missing = Set(expected).subtracting(found)
      let surplus = found.subtracting(expected)
      #expect(
        missing.isEmpty && surplus.isEmpty,
        """
        seed \(seed), pattern \(printable(pattern)), find's alone: \(missing.map { printable($0) }), \
        ours alone: \(surplus.map { printable($0) })
        """)
    }
    #expect(matches > 20)
  }

  @Test(.usesTools, arguments: seeds) func `lists keep the paths that xCAT's two commands print`(
    _ seed: UInt64
  ) throws {
    var random = SplitMix64(seed)
    let directory = try TemporaryDirectory()
    let root = directory.path("tree")
    try FileManager.default.createDirectory(
      atPath: root + "/etc/init.d/statelite/x", withIntermediateDirectories: true)
    makeTree(root, &random)
    let paths = try records("find . -print0", in: directory)
    for _ in 0..<40 {
      let count = Int.random(in: 0...8, using: &random)
      let lines = (0..<count).compactMap { _ -> [UInt8]? in
        // No empty lines, and no bytes with a meaning in the list itself.
        let line = makePattern(&random).filter { $0 != 0x0a }
        let isPlain = ![0x2b, 0x2d].contains(line.first) && !line.allSatisfy { $0 == 0x20 }
        return isPlain ? line : nil
      }
      let signs = lines.map { _ in ["", "-", "+"].randomElement(using: &random) ?? "" }
      let text: [UInt8] = zip(signs, lines).flatMap { sign, line in Array(sign.utf8) + line + [0x0a]
      }
      let list = try ExcludeList.parse(files: [try path("/c/a")]) { _ in text }
      // As packimage.pm joins them, except for the quotes, which hold any byte here.
      var exclude = "find . -xdev "
      var include = ""
      for (sign, line) in zip(signs, lines) {
        if sign == "+" {
          include += "-path \(quoted(line)) -o "
        } else {
          exclude += "'!' -path \(quoted(line)) -a "
        }
      }
      for always in ExcludeList.always { exclude += "'!' -path '\(always)' -a " }
      var script = exclude.dropLast(3) + " -print0\n"
      if !include.isEmpty { script += "find . -xdev \\( \(include.dropLast(3)) \\) -print0\n" }
      let expected = Set(try records(String(script), in: directory))
      let kept = Set(paths.filter { list.keeps($0) })
      #expect(kept == expected, "seed \(seed), list \(printable(text))")
    }
  }

  @Test func `a hundred patterns over a large tree are matched in little time`() throws {
    var text = ""
    for i in 0..<90 { text += "./usr/share/locale/\(i)*\n" }
    text +=
      "*/.git*\n./usr/lib/*.a\n./usr/lib/python[23].?/test*\n./boot*\n+./usr/share/locale/1/x\n"
    let list = try list(["/c/a": text], "/c/a")
    let paths = (0..<120_000).map {
      Array("./usr/share/doc/package\($0 % 700)/some/file\($0)".utf8)
    }
    let duration = ContinuousClock().measure { #expect(paths.allSatisfy { list.keeps($0) }) }
    print("120000 paths, \(list.excludes.count + list.includes.count) patterns: \(duration)")
    // Debug builds are about ten times slower; a release build takes far less than 0.3 s.
    #expect(duration < .seconds(30))
  }

  @Test func `no pattern takes exponential time`() {
    let pattern = BytePattern(Array((String(repeating: "*a", count: 200) + "b").utf8))
    let text = [UInt8](repeating: 0x61, count: 4000)
    let duration = ContinuousClock().measure { #expect(!pattern.matches(text)) }
    #expect(duration < .seconds(10))
  }
}

extension String {
  fileprivate var leftPadded: String { count < 2 ? "0" + self : self }
}
