// Excludes, compared with the rules of gitignore(5) and with git itself.

import Foundation
import Platform
import TestSupport
import Testing

@Suite struct ExcludePatternTests {
  @Test(arguments: [
    // Lines, a path, whether it is a directory, and whether it is excluded.
    (["*.pyc"], "usr/lib/a.pyc", false, true),
    (["*.pyc"], "usr/lib/a.py", false, false),
    (["cache"], "var/cache", true, true),
    (["/cache"], "var/cache", true, false),
    (["var/cache"], "var/cache", true, true),
    (["var/cache"], "x/var/cache", true, false),
    (["var/cache/*"], "var/cache", true, false),
    (["var/cache/*"], "var/cache/apt", true, true),
    (["var/*"], "var/cache/apt", true, false),
    (["build/"], "src/build", true, true),
    (["build/"], "src/build", false, false),
    (["**/log"], "log", true, true),
    (["**/log"], "a/b/log", true, true),
    (["a/**/z"], "a/z", false, true),
    (["a/**/z"], "a/b/c/z", false, true),
    (["a/**/z"], "b/a/z", false, false),
    (["a/**"], "a", true, false),
    (["a/**"], "a/b", false, true),
    (["*.log", "!keep.log"], "keep.log", false, false),
    (["!keep.log", "*.log"], "keep.log", false, true),
    (["\\#note"], "#note", false, true),
    (["\\!note"], "!note", false, true),
    (["name\\ "], "name ", false, true),
    (["name  "], "name", false, true),
    (["[a-c]?"], "bx", false, true),
    (["[!a-c]?"], "bx", false, false),
    (["a*b"], "a/b", false, false),
    (["*"], ".hidden", false, true),
  ])
  func `a path is excluded as gitignore says`(
    lines: [String], path: String, isDirectory: Bool, isExcluded: Bool
  ) throws {
    let patterns = try ExcludePatterns(lines)
    let path = try #require(RelativePath(written: path.utf8))
    #expect((patterns.match(path, isDirectory: isDirectory) != nil) == isExcluded)
  }

  @Test(arguments: [
    "/", "//", "a//b", "a/../b", "./a", "a\\", "a\u{1}b",
    String(repeating: "a", count: 4097),
  ])
  func `a line that can never match is refused`(line: String) {
    #expect(throws: ExcludePattern.SyntaxError.self) { try ExcludePatterns([line]) }
  }

  @Test(arguments: ["", "   ", "# a comment", "\r"])
  func `a line without a pattern is ignored`(line: String) throws {
    #expect(try ExcludePatterns([line]).isEmpty)
  }

  @Test func `a list with too many patterns is refused`() {
    #expect(throws: ExcludePattern.SyntaxError.self) {
      try ExcludePatterns((0...1000).map { "f\($0)" })
    }
  }

  @Test(arguments: [
    ("tmp/*", "tmp", true), ("/tmp/*", "tmp", true), ("/tmp", "", true), ("tmp/*", "", false),
    ("*.pyc", "tmp", false), ("a/**/b", "a", true), ("a/**/b", "a/x/y", true), ("a/**", "a", true),
    ("a/**", "b", false),
  ])
  func `a pattern is recognized as one that names the entries of a directory`(
    line: String, directory: String, isNamed: Bool
  ) throws {
    let directory = try #require(RelativePath(written: directory.utf8))
    #expect(try ExcludePatterns([line]).nameEntries(of: directory) == isNamed)
  }

  /// Random trees and lists: the files that are not excluded are those that `git ls-files --others`
  /// lists.
  @Test(.usesTools, arguments: seeds) func `git excludes the same files`(seed: UInt64) throws {
    var random = SplitMix64(seed)
    func pick<T>(_ choices: [T]) -> T { choices[Int(random.next() % UInt64(choices.count))] }
    for round in 0..<8 {
      let directory = try TemporaryDirectory()
      var files: Set<String> = []
      for _ in 0..<30 {
        let depth = 1 + Int(random.next() % 4)
        files.insert(
          (0..<depth).map { _ in pick(["a", "b", "ab", "c.d", "x1"]) }.joined(separator: "/"))
      }
      // No path is both a file and a directory.
      let plain = files.filter { file in !files.contains { $0.hasPrefix(file + "/") } }
      for file in plain {
        let path = directory.path("tree/" + file)
        try FileManager.default.createDirectory(
          atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try Data().write(to: URL(fileURLWithPath: path))
      }
      let lines = (0..<5).map { _ in
        pick(["", "", "!"]) + pick(["", "/", "**/"])
          + (0...Int(random.next() % 3)).map { _ in
            pick(["a", "*", "?", "[ab]*", "**", "c.*", "x1"])
          }
          .joined(separator: "/") + pick(["", "", "/"])
      }
      try lines.joined(separator: "\n").write(
        toFile: directory.path("list"), atomically: true, encoding: .utf8)
      let listed = try shell(
        "cd \"$1/tree\"; git init -q; git ls-files --others --exclude-from=\"$1/list\" -z | tr '\\0' '\\n'",
        directory.path("")
      ).output
      let patterns = try ExcludePatterns(lines)
      let expected = plain.filter { file in
        guard let path = RelativePath(written: file.utf8) else { return false }
        return !path.prefixes.contains { patterns.match($0, isDirectory: $0 != path) != nil }
      }
      #expect(
        Set(listed.split(separator: "\n").map(String.init)) == expected,
        "seed \(seed), round \(round): \(lines)")
    }
  }
}
