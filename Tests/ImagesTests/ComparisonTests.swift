// Package and text comparisons are checked against dpkg, rpm, diff and patch. Also tests the history of a
// path.

import Foundation
import Images
import Packages
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct ComparisonTests {
  /// Creates a tree of packages that dpkg itself installed, without any archive.
  private func install(_ root: String, _ packages: [(name: String, version: String, conf: String)])
    throws
  {
    try shell(
      "mkdir -p \"$1/var/lib/dpkg/info\" \"$1/var/lib/dpkg/updates\" \"$1/etc\"; touch \"$1/var/lib/dpkg/status\"",
      root)
    for package in packages {
      try runFixture(
        "scripts/trees/install-dpkg-package.sh", root, package.name, package.version, package.conf)
    }
  }

  @Test func `a diff separates changes of packages, configuration files and unowned files`() throws
  {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    let root = directory.path("root/img/rootimg")
    try install(
      root, [("stays", "1", "a"), ("moves", "1.0-1", "a"), ("goes", "2", "a"), ("both", "1", "a")])
    _ = try workspace.snapshot("img")
    try install(root, [("moves", "1:0.9-1", "b"), ("comes", "3~rc1", "a")])
    try shell(
      #"""
      cd "$1"; dpkg --root="$1" --force-script-chrootless,not-root --log=/dev/null --purge goes >/dev/null 2>&1
      echo mine >etc/stays.conf; echo tampered >usr/share/stays/data; echo x >etc/nobodys
      """#, root)
    try install(root, [("both", "2", "b")])
    try shell("echo mine >\"$1/etc/both.conf\"", root)

    for newer in [nil, "img@2"] {
      if newer != nil { _ = try workspace.snapshot("img") }
      let comparison = try workspace.comparison("img@1", newer)
      let packages = try #require(try comparison.packages().first)
      #expect(packages.oldKind == .dpkg && packages.newKind == .dpkg)
      #expect(
        packages.changes == [
          PackageChange(name: "both", architecture: "all", old: "1", new: "2"),
          PackageChange(name: "comes", architecture: "all", old: nil, new: "3~rc1"),
          PackageChange(name: "goes", architecture: "all", old: "2", new: nil),
          PackageChange(name: "moves", architecture: "all", old: "1.0-1", new: "1:0.9-1"),
        ])
      #expect(packages.unchangedCount == 1)
      func ownership(_ path: String) -> ChangedPathOwner? {
        packages.ownerships[Array("/img/rootimg/\(path)".utf8)]
      }
      #expect(ownership("usr/share/moves/data") == .package("moves"))
      #expect(ownership("etc/moves.conf") == .package("moves"))  // as in the new version
      #expect(ownership("usr/share/comes/data") == .package("comes"))
      #expect(ownership("usr/share/goes/data") == .package("goes"))
      #expect(ownership("etc/goes.conf") == .package("goes"))
      #expect(ownership("etc/stays.conf") == .configuration("stays"))
      #expect(ownership("etc/both.conf") == .configuration("both"))
      #expect(ownership("usr/share/stays/data") == .modified("stays"))
      #expect(ownership("etc/nobodys") == .unowned)
      #expect(ownership("var/lib/dpkg/status") == .unowned)
      #expect(ownership("usr/share/stays/same") == nil)
      let changed = Set(comparison.diff.entries.map(\.path))
      #expect(Set(packages.ownerships.keys) == changed.subtracting([Array("/img/rootimg".utf8)]))
    }
  }

  @Test func `a diff of rpm trees lists the packages of rpm -qa`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    let root = directory.path("root/img/rootimg")
    try runFixture("scripts/trees/install-rpm-packages.sh", directory.path, root)
    _ = try workspace.snapshot("img")
    try shell(
      #"""
      cd "$1"
      rpm --root "$2" --dbpath /usr/lib/sysimage/rpm -U --nodeps top/RPMS/noarch/moves-2-*.rpm 2>/dev/null
      rpm --root "$2" --dbpath /usr/lib/sysimage/rpm -e goes 2>/dev/null; echo mine >"$2/etc/stays.conf"
      """#, directory.path, root)
    let packages = try #require(try workspace.comparison("img@1", nil).packages().first)
    #expect(packages.newKind == .rpmSQLite)
    #expect(
      packages.changes == [
        PackageChange(name: "goes", architecture: "noarch", old: "1-1", new: nil),
        PackageChange(name: "moves", architecture: "noarch", old: "1-1", new: "2-1"),
      ])
    #expect(packages.unchangedCount == 1)
    #expect(
      packages.ownerships[Array("/img/rootimg/etc/stays.conf".utf8)] == .configuration("stays"))
    #expect(packages.ownerships[Array("/img/rootimg/etc/moves.conf".utf8)] == .package("moves"))
  }

  @Test(arguments: seeds)
  func `unified diffs are as short as those of diff, and patch applies them`(_ seed: UInt64) throws
  {
    var random = SplitMix64(seed)
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    let root = directory.path("root/img/rootimg")
    let cases = 60
    var texts: [(old: String, new: String)] = []
    for i in 0..<cases {
      // Few distinct lines make ambiguous texts; many make unambiguous ones.
      let distinct = i % 2 == 0 ? 4 : 5000
      let old = (0..<Int.random(in: 0...120, using: &random)).map { _ in
        "line \(Int.random(in: 0..<distinct, using: &random))"
      }
      var new = old
      for _ in 0..<Int.random(in: 0...12, using: &random) {
        let at = Int.random(in: 0...new.count, using: &random)
        if Bool.random(using: &random), at < new.count {
          new.removeSubrange(at..<min(new.count, at + Int.random(in: 1...4, using: &random)))
        } else {
          new.insert("line \(Int.random(in: 0..<distinct, using: &random))", at: at)
        }
      }
      func text(_ lines: [String]) -> String {
        lines.joined(separator: "\n") + (Bool.random(using: &random) || lines.isEmpty ? "" : "\n")
      }
      texts.append((text(old), text(new)))
    }
    for (i, pair) in texts.enumerated() {
      try pair.old.write(toFile: "\(root)/\(i)", atomically: false, encoding: .utf8)
    }
    _ = try workspace.snapshot("img")
    for (i, pair) in texts.enumerated() {
      try pair.new.write(toFile: "\(root)/\(i)", atomically: false, encoding: .utf8)
      try pair.old.write(toFile: directory.path("old-\(i)"), atomically: false, encoding: .utf8)
    }
    let comparison = try workspace.comparison("img@1", nil)
    func signs(_ text: String) -> Int {
      text.split(separator: "\n").dropFirst(2).filter { "+-".contains($0.first ?? " ") }.count
    }
    for (i, pair) in texts.enumerated() {
      let ours = String(decoding: try comparison.text("\(i)").lines, as: UTF8.self)
      let oracle = try run(
        "diff", "-u", "--minimal", "--label", "img@1:/img/rootimg/\(i)", "--label",
        "live:/img/rootimg/\(i)", directory.path("old-\(i)"), "\(root)/\(i)")
      #expect(signs(ours) == signs(oracle.output), "case \(i), seed \(seed)")
      #expect(ours.isEmpty == (pair.old == pair.new))
      if i % 2 == 1 { #expect(ours == oracle.output, "case \(i), seed \(seed)") }
      if !ours.isEmpty {
        let patch = try run("patch", "-s", "-p0", directory.path("old-\(i)"), input: ours)
        #expect(patch.didSucceed, "\(patch.output)\(patch.errors)")
        #expect(
          try String(contentsOfFile: directory.path("old-\(i)"), encoding: .utf8) == pair.new,
          "case \(i), seed \(seed)")
      }
    }
  }

  @Test func `large texts with nothing in common are compared in seconds`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    let path = directory.path("root/img/rootimg/large")
    try shell("seq 1 2 40000 >\"$1\"", path)
    _ = try workspace.snapshot("img")
    try shell(
      "cp \"$1\" \"$2\"; seq 2 2 40000 | shuf --random-source=<(yes) >\"$1\"", path,
      directory.path("old"))
    let lines = try workspace.comparison("img", nil).text("large").lines
    let patch = try run(
      "patch", "-s", "-p0", directory.path("old"), input: String(decoding: lines, as: UTF8.self))
    #expect(patch.didSucceed)
    #expect(try run("cmp", directory.path("old"), path).didSucceed)
  }

  @Test func `lists are compared as text, and binary files are only named`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    try shell(
      "mkdir -p \"$1/root/lists\"; printf 'bash\\nvim\\n' >\"$1/root/lists/p.pkglist\"; printf 'a\\0b' >\"$1/root/img/rootimg/bin\"",
      directory.path)
    _ = try workspace.define("img", ["pkglist=/lists/p.pkglist"])
    _ = try workspace.snapshot("img")
    try shell(
      "printf 'bash\\nemacs\\n' >\"$1/root/lists/p.pkglist\"; printf 'a\\0c' >\"$1/root/img/rootimg/bin\"",
      directory.path)
    let comparison = try workspace.comparison("img", nil)
    let list = try #require(try comparison.lists().first)
    #expect(list.role == .attribute(.pkglist))
    #expect(
      String(decoding: list.lines, as: UTF8.self)
        == "--- img@1:/lists/p.pkglist\n+++ live:/lists/p.pkglist\n@@ -1,2 +1,2 @@\n bash\n-vim\n+emacs\n"
    )
    #expect(try comparison.text("bin").isBinary)
    #expect(throws: ImageError.self) { try comparison.text("nothing") }
  }

  @Test func `blame and log name the snapshots in which a path changed`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    let root = directory.path("root/img/rootimg")
    for step in [
      "mkdir -p a/b other; echo 1 >a/b/f", "echo x >other/x", "echo 2 >a/b/f", "chmod 600 a/b/f",
      "rm a/b/f", "echo y >other/x", "echo 2 >a/b/f; touch -d @5 a/b/f", "touch -d @6 a/b/f",
      "echo z >other/x",
    ] {
      try shell("cd \"$1\"; \(step)", root)
      _ = try workspace.snapshot("img", message: step)
    }
    func numbers(_ path: String) throws -> [String] {
      try workspace.log("img", path: path).map {
        "\($0.committed.number) \($0.old == nil ? "A" : $0.new == nil ? "D" : $0.fields.names.joined(separator: "+"))"
      }
    }
    #expect(
      try numbers("a/b/f") == [
        "8 mtime", "7 A", "5 D", "4 mode", "3 content+mtime", "1 A",
      ])
    for limit in 1...7 {
      let all = try workspace.log("img", path: "a/b/f").map(\.committed.number)
      let some = try workspace.log("img", path: "a/b/f", limit: limit).map(\.committed.number)
      #expect(some == Array(all.prefix(limit)))
    }
    #expect(try numbers("other/x") == ["9 content+mtime", "6 content+mtime", "2 A"])
    #expect(try workspace.blame(Reference("img"), path: "a/b/f").origin.number == 7)
    #expect(try workspace.blame(Reference("img@4"), path: "/img/rootimg/a/b/f").origin.number == 3)
    #expect(try workspace.blame(Reference("img@~1"), path: "other").origin.number == 6)
    #expect(throws: ImageError.self) { try workspace.blame(Reference("img@6"), path: "a/b/f") }
    #expect(throws: ImageError.self) { try workspace.log("img", path: "never") }
    // With a limit, `log` does not read older snapshots, so it does not notice a damaged one.
    try shell("echo scribble >\"$1/refs/img/0000000001\"", directory.path("store"))
    #expect(try workspace.log("img", limit: 8).count == 8)
    #expect(try workspace.log("img", path: "a/b/f", limit: 3).count == 3)
    #expect(try workspace.log("img").count == 8, "a damaged ref costs its own snapshot")
    #expect(throws: StoreError.self) { try workspace.log("img", path: "a/b/f") }
  }
}
