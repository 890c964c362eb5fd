// The program as people and scripts use it: exit codes, output streams, JSON and help.

import Foundation
import TestSupport
import Testing

@Suite struct CommandTests {
  @Test func `snapshot, diff, revert, log, restore, verify and reindex work from the command line`()
    throws
  {
    let site = try TestNode(image: "img")
    #expect(try site.imgstore("snapshot", "img", "-m", "first", "--tag", "golden").status == 0)
    try shell("echo changed >\"$1/etc/motd\"", site.tree)
    let diff = try site.imgstore("diff", "img")
    #expect(diff.output.contains("/img/rootimg:\nM  etc/motd\n"))
    #expect(diff.output.contains("img@1 → live: 1 changed"))
    #expect(
      try site.imgstore("revert", "img@golden", "--dry-run").output.contains(
        "write   /img/rootimg/etc/motd"))
    let back = try site.imgstore("revert", "img@golden")
    #expect(back.status == 0, "\(back.errors)")
    #expect(back.output.contains("saved the previous state as img@2"))
    #expect(back.output.contains("verified: the live image matches img@1"))
    #expect(try site.imgstore("status", "img").output.contains("identical to img@3"))
    let log = try site.imgstore("log", "img").output.split(separator: "\n")
    #expect(log.count == 3)
    #expect(log[2].hasPrefix("@1") && log[2].hasSuffix("[golden] first"))
    #expect(try site.imgstore("restore", "img@2:etc/motd", site.directory.path("motd")).status == 0)
    #expect(try String(contentsOfFile: site.directory.path("motd"), encoding: .utf8) == "changed\n")
    #expect(try site.imgstore("verify", "--deep").status == 0)
    #expect(try site.imgstore("reindex").status == 0)
  }

  @Test func `progress is shown only on a terminal`() throws {
    let site = try TestNode(image: "img")
    try shell("head -c 20000000 /dev/urandom >\"$1/large\"", site.tree)
    #expect(try site.imgstore("snapshot", "img").errors == "")
  }

  /// Arguments, blank-separated, and the exit code they must give.
  static let mistakes: [(String, Int32)] = [
    ("frobnicate", 2), ("snapshot img --bogus", 2), ("snapshot nobody", 1),
    ("log nobody", 1), ("log img -n 0", 2), ("status img@9", 2), ("show img@", 2),
    ("restore img /proc/version", 1),
    ("define img colour=blue", 2), ("define img noequals", 2), ("define ../x profile=p", 2),
    ("import /nowhere.tgz", 1), ("export img", 1), ("--store /proc/x log img", 1),
    ("log img --store /nowhere/store", 1), ("images --root /nowhere", 1),
    ("images --xcat-dir /nowhere", 1), ("revert img@golden", 1), ("snapshot img --tag 1bad", 2),
    ("--help", 0), ("--version", 0), ("help revert", 0),
  ]

  @Test(arguments: mistakes)
  func `each invalid command line has its exit code and a message`(
    _ words: String, _ status: Int32
  ) throws {
    let arguments = words.split(separator: " ").map(String.init)
    let site = try TestNode(image: "img")
    _ = try site.imgstore("snapshot", "img")
    let result = try run(binary, arguments: arguments, environment: site.environment)
    #expect(result.status == status, "\(arguments): \(result.errors)")
    if status == 0 {
      #expect(!result.output.isEmpty && result.errors.isEmpty)
    } else {
      #expect(result.output.isEmpty && result.errors.hasPrefix("imgstore: "), "\(result.errors)")
    }
    #expect(try site.imgstore("log", "img").output.split(separator: "\n").count == 1)
  }

  @Test func `every command has help that fits 80 columns`() throws {
    for command in [
      "define", "images", "show", "snapshot", "log", "status", "diff", "ls", "cat", "find", "grep",
      "blame", "add", "init", "revert", "undo", "resume", "restore", "copy",
      "export",
      "import", "verify", "reindex",
    ] {
      let help = try run(binary, "help", command, environment: ["COLUMNS": "80"]).output
      #expect(help.contains("USAGE: imgstore \(command)"))
      for line in help.split(separator: "\n") where !line.hasPrefix("USAGE") {
        #expect(line.count <= 80, "\(command): \(line)")
      }
    }
  }

  @Test func `every reading command prints valid JSON`() throws {
    let site = try TestNode(image: "img")
    try shell("echo x >\"$1/$(printf 'inv\\377alid')\"", site.tree)
    func json(_ arguments: String...) throws -> Any {
      let result = try run(binary, arguments: arguments + ["--json"], environment: site.environment)
      #expect(result.status == 0, "\(arguments): \(result.errors)")
      return try JSONSerialization.jsonObject(with: Data(result.output.utf8))
    }
    let snapshot = try #require(try json("snapshot", "img") as? [String: Any])
    #expect((snapshot["snapshot"] as? [String: Any])?["name"] as? String == "img@1")
    try shell("rm \"$1\"/inv*", site.tree)
    let images = try #require(try json("images") as? [String: Any])
    #expect((images["images"] as? [[String: Any]])?.first?["snapshots"] as? Int == 1)
    let log = try #require(try json("log", "img") as? [String: Any])
    #expect((log["snapshots"] as? [Any])?.count == 1)
    #expect((try json("status", "img") as? [String: Any])?["identical"] as? Bool == false)
    let entries = try #require(
      (try json("diff", "img") as? [String: Any])?["entries"] as? [[String: Any]])
    #expect(
      entries.contains {
        $0["path"] as? String == "/img/rootimg/inv\\xffalid" && $0["change"] as? String == "removed"
      })
    let shown = try #require(try json("show", "img:etc/motd") as? [String: Any])
    #expect(
      shown["sha256"] as? String
        == String(try run("sha256sum", site.tree + "/etc/motd").output.prefix(64)))
    #expect((try json("show", "img") as? [String: Any])?["pieces"] != nil)
    #expect((try json("verify") as? [String: Any])?["clean"] as? Bool == true)
    #expect((try json("revert", "img", "--dry-run") as? [String: Any])?["dryRun"] as? Bool == true)
    #expect((try json("define", "img") as? [String: Any])?["name"] as? String == "img")
    // The spelling of the odd name leads back to the file.
    #expect(
      try site.imgstore("restore", "img@1:inv\\xffalid", site.directory.path("odd")).status == 0)
  }

  @Test func `restore fills an empty directory and refuses one with files`() throws {
    let site = try TestNode(image: "img")
    _ = try site.imgstore("snapshot", "img")
    try shell(
      "cd \"$1\"; mkdir empty full; echo mine >full/motd; echo x >file", site.directory.path)
    #expect(try site.imgstore("restore", "img", site.directory.path("empty")).status == 0)
    #expect(try differences(site.tree, site.directory.path("empty")) == "")
    let full = try site.imgstore("restore", "img", site.directory.path("full"))
    #expect(full.status == 1 && full.errors.contains("is not empty"))
    let file = try site.imgstore("restore", "img:etc/motd", site.directory.path("full"))
    #expect(file.status == 1 && file.errors.contains("already contains a file named motd"))
    #expect(
      try site.imgstore("restore", "img:etc/motd", site.directory.path("empty/../new")).status == 0)
    #expect(
      try String(contentsOfFile: site.directory.path("full/motd"), encoding: .utf8) == "mine\n")
  }

  @Test func `a lookup defines no image, and an empty value is refused`() throws {
    let site = try TestNode(image: "img")
    #expect(try site.imgstore("define", "typo").status == 1)
    #expect(try !site.imgstore("images").output.contains("typo"))
    for arguments in [["images", "--store", ""], ["images", "--root="]] {
      #expect(try run(binary, arguments: arguments, environment: site.environment).status == 2)
    }
    #expect(try run(binary, "images", environment: ["IMGSTORE_STORE": ""]).status == 2)
  }

  @Test func `an unmounted tree is not recorded without --allow-empty`() throws {
    let site = try TestNode(image: "img")
    _ = try site.imgstore("snapshot", "img")
    try shell("mv \"$1/root/img\" \"$1/elsewhere\"", site.directory.path)
    #expect(try site.imgstore("snapshot", "img").status == 1)
    #expect(try !site.imgstore("log", "img").output.contains("(incomplete)"))
    #expect(try site.imgstore("snapshot", "img", "--allow-empty").status == 3)
    #expect(try site.imgstore("log", "img").output.contains("(incomplete)"))
  }

  @Test func `damage to the store loses only the damaged files`() throws {
    let site = try TestNode(image: "img")
    _ = try site.imgstore("snapshot", "img")
    try shell("head -c 3000000 /dev/urandom >\"$1/large\"", site.tree)
    _ = try site.imgstore("snapshot", "img")
    try shell(
      "cd \"$1/store/packs\"; p=$(ls -S | head -1); chmod u+w $p; printf damage | dd of=$p bs=1 seek=1500000 conv=notrunc status=none",
      site.directory.path)
    let restore = try site.imgstore("restore", "img@2", site.directory.path("out"))
    #expect(restore.status == 5, "\(restore.errors)")
    #expect(restore.errors.contains("large: "))
    #expect(
      try String(contentsOfFile: site.directory.path("out/etc/motd"), encoding: .utf8) == "hello\n")
    let verify = try site.imgstore("verify", "--deep")
    #expect(verify.status == 5 && verify.errors.contains("img@2 is affected"))
    #expect(!verify.errors.contains("img@1 is affected"))
  }

  @Test func `a bundle is imported from a pipe`() throws {
    let site = try TestNode(image: "img")
    let result = try run(
      "bash", "-c",
      "\"$0\" import - -f piped <\"$1\" && \"$0\" export rhels8.5.0-x86_64-netboot-piped - | tar tzf -",
      binary, fixture("xcat/stateless.tgz"), environment: site.environment)
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.contains("./rhels8.5.0-x86_64-netboot-piped/manifest.xml\n"))
  }

  @Test func `the program uses less than ten milliseconds of its own to start`() throws {
    let user = try run(
      "bash", "-c", "TIMEFORMAT=%U; time for i in $(seq 50); do \"$0\" --version >/dev/null; done",
      binary)
    // A guard against linking something enormous, not a benchmark: 50 starts, processor time only.
    let seconds = Double(user.errors.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 99
    #expect(seconds < 2.5)
  }
}
