// The operands of each command: a path after a reference is used or refused with exit code 2, and
// never ignored.

import Foundation
import TestSupport
import Testing

@Suite struct OperandTests {
  /// Commands that take a snapshot or an image, and no path in it.
  private static let withoutPaths: [[String]] = [
    ["snapshot", "REF"], ["status", "REF"], ["undo", "REF"], ["resume", "REF"],
    ["remove", "REF"], ["remove", "REF", "--force"], ["tag", "REF", "new"], ["untag", "REF"],
    ["pin", "REF"], ["unpin", "REF"], ["export", "REF", "FILE"], ["pack", "REF", "-o", "FILE"],
    ["copy", "REF", "other"], ["du", "REF"], ["recipes", "REF"], ["sign", "REF"],
    ["secrets", "REF"], ["forget", "REF", "--keep-last", "1"], ["lite", "REF"],
    ["define", "REF", "profile=x"], ["show", "REF", "-z"], ["blame", "REF", "etc/hosts"],
    ["log", "REF", "--", "etc/hosts"],
  ]

  private func site() throws -> TestNode {
    let site = try TestNode(image: "img")
    try shell("echo one >\"$1/etc/hosts\"", site.tree)
    #expect(try site.imgstore("snapshot", "img", "--tag", "golden").status == 0)
    try shell("echo two >\"$1/etc/hosts\"; echo mine >\"$1/etc/motd\"", site.tree)
    #expect(try site.imgstore("key", "generate").status == 0)
    return site
  }

  @Test func `a path is refused by commands that take none, and nothing is changed`() throws {
    let site = try site()
    let listing = """
      cd "$1"; find . -path ./store/cache -prune -o -path ./store/locks -prune -o \
        -path ./store/tmp -prune -o -path ./store/leases -prune -o -type f -print | sort | xargs sha256sum
      """
    let before = try shell(listing, site.directory.path).output
    for command in Self.withoutPaths {
      for reference in ["img@golden:/etc/hosts", "img:/etc/hosts"] {
        let words = command.map {
          $0 == "REF" ? reference : $0 == "FILE" ? site.directory.path("out") : $0
        }
        let result = try run(binary, arguments: words, environment: site.environment)
        #expect(result.status == 2, "\(words): \(result.status) \(result.errors)\(result.output)")
      }
    }
    #expect(try shell(listing, site.directory.path).output == before)
  }

  @Test func `a revert with a path reverts only that path`() throws {
    let site = try site()
    let result = try site.imgstore("revert", "img@golden:/etc/hosts", "--json")
    #expect(result.status == 0, "\(result.errors)")
    let json = try #require(
      try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
    #expect(json["parts"] as? [String] == ["/etc/hosts"])
    #expect(json["exact"] as? Bool == true)
    func text(_ name: String) throws -> String {
      try String(contentsOfFile: site.tree + "/etc/" + name, encoding: .utf8)
    }
    #expect(try text("hosts") == "one\n" && text("motd") == "mine\n")
    #expect(try site.imgstore("undo", "img").status == 0)
    #expect(try text("hosts") == "two\n" && text("motd") == "mine\n")
    // git's and restic's ways to write it.
    #expect(try site.imgstore("revert", "img@golden", "etc/hosts").status == 0)
    #expect(try site.imgstore("revert", "img@golden", "--", "etc/motd").status == 0)
    #expect(try text("hosts") == "one\n" && text("motd") == "hello\n")
    #expect(try site.imgstore("revert", "img", "golden").status == 2)
  }

  @Test func `a diff with a path shows only that path`() throws {
    let site = try site()
    #expect(try site.imgstore("snapshot", "img").status == 0)
    for words in [
      ["diff", "img@1:/etc/hosts", "img@2:/etc/hosts"], ["diff", "img@1:etc/hosts", "img@2"],
      ["diff", "img@1", "--", "etc/hosts"], ["diff", "img@1", "img@live", "--", "/etc/hosts"],
    ] {
      let result = try run(binary, arguments: words, environment: site.environment)
      #expect(result.status == 0, "\(words): \(result.errors)")
      #expect(result.output.contains("etc/hosts"), "\(words): \(result.output)")
      #expect(!result.output.contains("etc/motd"), "\(words): \(result.output)")
    }
    #expect(try site.imgstore("diff", "img@1:etc", "img@2:usr").status == 2)
    #expect(try site.imgstore("diff", "img@1", "--", "etc/none").status == 1)
  }

  @Test func `with --json a failure is a JSON document`() throws {
    let site = try site()
    for (words, code) in [
      (["show", "img@9", "--json"], "not-found"), (["snapshot", "img@1", "--json"], "usage"),
      (["revert", "img@1", "etc/none", "--json"], "not-found"),
    ] {
      let result = try run(binary, arguments: words, environment: site.environment)
      struct Document: Decodable {
        struct Details: Decodable { let category: String }
        let error: Details
      }
      let document = try JSONDecoder().decode(Document.self, from: Data(result.output.utf8))
      #expect(document.error.category == code, "\(words)")
      #expect(result.status == (code == "usage" ? 2 : 1))
      // Standard error has the same document, on one line.
      let line = result.errors.split(separator: "\n")
      #expect(line.count == 1, "\(result.errors)")
      let again = try JSONDecoder().decode(Document.self, from: Data(result.errors.utf8))
      #expect(again.error.category == code, "\(words)")
    }
  }

  @Test func `a failure names the task, the reason and the next step`() throws {
    let site = try site()
    for (words, task) in [
      (["show", "img@9"], "show img@9"),
      (["revert", "img@1", "etc/none"], "revert img@1 etc/none"),
      (["log", "nobody"], "list snapshots nobody"), (["cat", "img@1:none"], "print img@1:none"),
      (["restore", "img@9", "a b"], "restore img@9 \"a b\""),
    ] {
      let result = try run(binary, arguments: words, environment: site.environment)
      let lines = result.errors.split(separator: "\n")
      #expect(lines.first?.hasPrefix("imgstore: cannot \(task): ") == true, "\(result.errors)")
      #expect(lines.dropFirst().first?.hasPrefix("hint: ") == true, "\(result.errors)")
      #expect(lines.first?.hasSuffix(".") == false, "\(result.errors)")
    }
  }
}
