// The commands that inspect and compare snapshots, as people and scripts use them.

import Foundation
import TestSupport
import Testing

@Suite struct LookCommandTests {
  /// A site with two snapshots of a small tree.
  private func site() throws -> TestNode {
    let site = try TestNode(image: "img")
    try shell(
      #"""
      cd "$1"; mkdir -p etc/ssh usr/bin; printf 'one\ntwo\nthree\n' >etc/list; ln -s usr/bin bin
      printf 'Port 22\nPermitRootLogin no\n' >etc/ssh/sshd_config; head -c 20000 /dev/zero >usr/bin/tool
      chmod 4755 usr/bin/tool; ln -s ../etc/list etc/link; touch -d '2026-01-02 03:04:05Z' etc/list etc/motd
      chmod 644 etc/list etc/motd
      """#, site.tree)
    try #require(try site.imgstore("snapshot", "img", "-m", "first").status == 0)
    try shell(
      #"""
      cd "$1"; printf 'one\n2\nthree\n' >etc/list; rm etc/motd; echo new >etc/new
      touch -d '2026-01-02 03:04:05Z' etc/list
      """#, site.tree)
    try #require(try site.imgstore("snapshot", "img", "-m", "second").status == 0)
    return site
  }

  /// Runs the program on a terminal, and returns its output.
  private func onTerminal(
    _ site: TestNode, _ extra: [String: String], _ arguments: String...
  ) throws -> String {
    try run(
      fixture("scripts/processes/run-on-terminal.py"), arguments: [binary] + arguments,
      environment: site.environment.merging(extra) { $1 }
    ).output
  }

  @Test func `file contents cannot control a terminal, and the pager offers no shell`() throws {
    let site = try site()
    try shell("printf 'evil \\033]0;owned\\007 text\\n' >\"$1/etc/list\"", site.tree)
    _ = try site.imgstore("snapshot", "img")
    let plain = ["NO_COLOR": "1", "PAGER": "cat"]
    for shown in [
      try onTerminal(site, plain, "cat", "img:etc/list"),
      try onTerminal(site, plain, "grep", "evil", "img:etc/list"),
    ] {
      #expect(shown.contains("\\x1b]0;owned\\x07") && !shown.contains("\u{1b}"), "\(shown)")
    }
    let raw = try onTerminal(site, plain, "cat", "--raw", "img:etc/list")
    #expect(raw.contains("\u{1b}]0;owned"))
    #expect(try site.imgstore("cat", "img:etc/list").output.contains("\u{1b}]0;owned"))
    // Under sudo only less is used, in its secure mode and with a minimal environment.
    try shell(
      """
      mkdir "$1/bin"; printf '#!/bin/sh\\nenv; cat >/dev/null\\n' >"$1/bin/less"; chmod +x "$1/bin/less"
      """, site.directory.path)
    let shown = try onTerminal(
      site,
      [
        "PATH": site.directory.path("bin") + ":/usr/bin:/bin", "PAGER": "sh -c id",
        "SUDO_UID": "1000",
        "SECRET": "token",
      ], "grep", "evil", "img:etc/list")
    #expect(shown.contains("LESSSECURE=1") && !shown.contains("uid=") && !shown.contains("SECRET"))
  }

  @Test func `ls, cat, find and grep show the files of a snapshot`() throws {
    let site = try site()
    func say(_ arguments: String...) throws -> String {
      let result = try run(binary, arguments: arguments, environment: site.environment)
      #expect(result.status == 0 && result.errors == "", "\(arguments): \(result.errors)")
      return result.output
    }
    #expect(try say("ls", "img@1") == "bin\netc/\nusr/\n")
    #expect(try say("ls", "img@1:etc/ssh") == "sshd_config\n")
    #expect(
      try say("ls", "img@1:/img/rootimg/etc", "-R") == "link\nlist\nmotd\nssh/\nssh/sshd_config\n")
    #expect(try say("ls", "img@1:bin") == "tool\n")
    let id = try run("id", "-u").output.trimmingCharacters(in: .newlines)
    let long = try say("ls", "-l", "img:etc/list")
    #expect(long.hasPrefix("-rw-r--r--") && long.contains(" \(id) "))
    #expect(long.hasSuffix("         12  2026-01-02 03:04:05  etc/list\n"))
    #expect(try say("ls", "-l", "img:usr/bin").hasPrefix("-rwsr-xr-x"))
    #expect(
      try say("cat", "img@1:etc/list", "img@2:etc/list") == "one\ntwo\nthree\none\n2\nthree\n")
    #expect(try say("find", "img", "--name", "*list*") == "etc/list\n")
    #expect(try say("find", "img:usr", "--type", "f") == "usr/bin/tool\n")
    #expect(
      try say("find", "img", "/img/rootimg/usr", "--larger", "19k") == "/img/rootimg/usr/bin/tool\n"
    )
    #expect(try say("find", "img", "--larger", "20Ki") == "")
    #expect(try say("grep", "^P.*2", "img") == "etc/ssh/sshd_config:Port 22\n")
    #expect(try say("grep", "-n", "-F", "three", "img:etc/list") == "3:three\n")
    #expect(
      try say("grep", "-l", "-i", "PORT|TWO", "-E", "img@1") == "etc/list\netc/ssh/sshd_config\n")
    try shell("printf 'Port\\0' >\"$1/etc/binary\"", site.tree)
    _ = try site.imgstore("snapshot", "img")
    #expect(try say("grep", "Port", "img:etc").contains("etc/binary: binary file matches\n"))
    let none = try site.imgstore("grep", "nowhere", "img")
    #expect(none.status == 1 && none.output == "" && none.errors == "")
  }

  @Test func `diff prints unified, summary and package forms and refuses invalid operands`() throws
  {
    let site = try site()
    #expect(
      try site.imgstore("diff", "@1", "@2", "-u", "etc/list").output == """
        --- img@1:/img/rootimg/etc/list
        +++ img@2:/img/rootimg/etc/list
        @@ -1,3 +1,3 @@
         one
        -two
        +2
         three

        """)
    let stat = try site.imgstore("diff", "@1", "@2", "--stat").output.split(separator: "\n")
    #expect(stat.first == "1 path   +0 B  /img/rootimg" || stat.count == 3, "\(stat)")
    #expect(
      stat.contains { $0.hasPrefix("3 paths") && $0.hasSuffix("/img/rootimg/etc") }, "\(stat)")
    let none = try site.imgstore("diff", "@1", "@2", "--packages")
    #expect(none.output.contains("/img/rootimg: no package database on either side"))
    for mistake in [
      ["diff", "@1", "--paths"], ["diff", "@1", "-u", "x", "--stat"],
      ["grep", "-F", "-E", "x", "img"],
      ["find", "img", "--type", "x"], ["find", "img", "--larger", "big"],
      ["find", "img:etc", "etc"], ["grep", "\\(", "img"],
    ] {
      let result = try run(binary, arguments: mistake, environment: site.environment)
      #expect(result.status == 2 && result.output == "", "\(mistake)")
    }
    for failure in [
      ["diff", "@1", "@2", "-u", "nothing"], ["diff", "@1", "@2", "-u", "etc"], ["cat", "img:etc"],
      ["cat", "img:nothing"], ["ls", "img@9"], ["blame", "img", "nothing"],
      ["log", "img", "--", "nothing"],
    ] {
      let result = try run(binary, arguments: failure, environment: site.environment)
      #expect(result.status == 1 && result.output == "", "\(failure)")
      #expect(result.errors.hasPrefix("imgstore: "))
    }
  }

  @Test func `log and blame show the history of a path`() throws {
    let site = try site()
    let log = try site.imgstore("log", "img", "--", "etc/list").output.split(separator: "\n")
    #expect(log.count == 2 && log[0].hasPrefix("M  @2") && log[0].hasSuffix("second"))
    #expect(log[1].hasPrefix("A  @1") && log[1].hasSuffix("first"))
    func limited(_ arguments: String...) throws -> [Substring] {
      try run(binary, arguments: ["log", "img"] + arguments, environment: site.environment)
        .output.split(separator: "\n")
    }
    #expect(try limited("-n", "1", "--", "etc/list") == log.prefix(1).map { $0 })
    #expect(try limited("--limit", "5", "--", "etc/list").count == 2)
    #expect(try limited("-n", "1").map { $0.prefix(2) } == ["@2"])
    #expect(try limited("-n", "9").count == 2)
    #expect(try site.imgstore("blame", "img", "etc/list").output.hasPrefix("@2"))
    #expect(
      try site.imgstore("blame", "img", "etc/ssh/sshd_config").output.hasPrefix("@1"))
  }

  @Test func `every inspecting command prints valid JSON`() throws {
    let site = try site()
    func json(_ arguments: String...) throws -> Any { try json(arguments) }
    func json(_ arguments: [String]) throws -> Any {
      let result = try run(binary, arguments: arguments + ["--json"], environment: site.environment)
      #expect(result.status == 0, "\(arguments): \(result.errors)")
      return try JSONSerialization.jsonObject(with: Data(result.output.utf8))
    }
    func list(_ key: String, _ arguments: String...) throws -> [[String: Any]] {
      try #require((try json(arguments) as? [String: Any])?[key] as? [[String: Any]])
    }
    let entries = try list("entries", "ls", "img:etc")
    #expect(entries.map { $0["path"] as? String }.contains("/img/rootimg/etc/new"))
    #expect(try list("entries", "find", "img", "--name", "nothing").isEmpty)
    let hits = try list("matches", "grep", "two", "img@1")
    #expect(hits.first?["line"] as? Int == 2 && hits.first?["text"] as? String == "two")
    let blame = try #require(try json("blame", "img", "etc/list") as? [String: Any])
    #expect((blame["snapshot"] as? [String: Any])?["number"] as? Int == 2)
    let log = try list("changes", "log", "img", "etc/motd")
    #expect(log.map { $0["change"] as? String } == ["removed", "added"])
    let text = try #require(try json("diff", "@1", "@2", "-u", "etc/list") as? [String: Any])
    #expect((text["diff"] as? String)?.contains("+2\n") == true)
    let diff = try #require(try json("diff", "@1", "@2", "--packages") as? [String: Any])
    #expect((diff["packages"] as? [[String: Any]])?.first?["path"] as? String == "/img/rootimg")
    #expect(
      (try json("extract", "img:etc/list", site.directory.path("out")) as? [String: Any])?["report"]
        != nil)
  }

  @Test func `output has colour and a pager on a terminal only`() throws {
    let site = try site()
    func onTerminal(_ environment: [String: String]) throws -> String {
      try run(
        "script", "-qec", "'\(binary)' diff @1 @2", "/dev/null",
        environment: site.environment.merging(environment) { $1 }.merging(["TERM": "xterm"]) {
          a, _ in a
        }
      ).output
    }
    let coloured = try onTerminal(["PAGER": "sed s/^/paged:/", "NO_COLOR": ""])
    #expect(coloured.contains("paged:\u{1b}[31mD  etc/motd\u{1b}[0m"), "\(coloured)")
    let plain = try onTerminal(["PAGER": "sed s/^/paged:/", "NO_COLOR": "1"])
    #expect(plain.contains("paged:D  etc/motd"))
    // A missing pager, or one that stops early, does not cause a failure.
    #expect(try onTerminal(["PAGER": "/nowhere/pager"]).contains("etc/motd"))
    #expect(try onTerminal(["PAGER": "true"]) == "")
    #expect(try !site.imgstore("diff", "@1", "@2").output.contains("\u{1b}"))
  }
}
