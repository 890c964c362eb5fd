// `-n` of the commands that have it: it changes no byte of the store, the tables or the image, and announces
// what the real run then does. (`copy -n` and `export -n` snapshot unsaved changes; `import -n` stores the
// content of a bundle until the next gc.)

import Foundation
import TestSupport
import Testing

@Suite(.usesTools) struct DryRunTests {
  private func document(_ result: ToolResult) throws -> [String: Any] {
    try #require(
      try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
  }

  /// Returns the code of the error document that a command printed.
  private func errorCode(_ result: ToolResult) throws -> String? {
    (try document(result)["error"] as? [String: Any])?["code"] as? String
  }

  /// Returns the names, kinds, modes, times and contents of all files of the node, without locks and caches. The
  /// times of the store's directories do not count: unnamed and temporary files change them.
  private func state(_ node: TestNode) throws -> String {
    try shell(
      """
      cd "$1"; find . ! -path './store/locks*' ! -path './store/leases*' ! -path './store/cache*' \
        ! \\( -path './store*' -type d \\) -printf '%p %y %m %s %T@ %l\\n' | LC_ALL=C sort
      find store -type d | LC_ALL=C sort
      find . -type f ! -path './store/locks*' ! -path './store/leases*' ! -path './store/cache*' -print0 |
        LC_ALL=C sort -z | xargs -0 sha256sum
      """, node.directory.path
    ).output
  }

  /// A node with two snapshots, unsaved changes and a bundle.
  private func node() throws -> TestNode {
    let node = try TestNode(image: "img", tree: ["etc/motd": "1\n", "etc/other": "x\n"])
    for (text, words) in [("1", ["snapshot", "img"]), ("2", ["snapshot", "img"])] {
      try shell("echo \"$2\" >\"$1/etc/motd\"", node.tree, text)
      #expect(try node.imgstore(words).status == 0)
    }
    try shell("echo 3 >\"$1/etc/motd\"", node.tree)
    // Only a directory can be exported without a kernel.
    try shell("mkdir -p \"$1/root/srv/d\"; echo x >\"$1/root/srv/d/f\"", node.directory.path)
    for words in [["snapshot", "/srv/d"], ["export", "d", node.directory.path("b.tgz")]] {
      #expect(try node.imgstore(words).status == 0)
    }
    try shell("echo y >\"$1/root/srv/d/f\"", node.directory.path)
    return node
  }

  @Test(arguments: [
    ["snapshot", "img", "--tag", "t"], ["snapshot", "--all"], ["snapshot", "/srv/new"],
    ["revert", "img@1"], ["revert", "img@1:etc/motd"], ["pack", "img"],
    ["pack", "img", "-m", "squashfs", "--output", "OUT/x.sfs"],
    ["pack", "img@1", "--output", "OUT/x.cpio.gz"], ["restore", "img@1", "OUT/a/b"],
    ["restore", "img@1:etc/motd", "OUT/motd"], ["remove", "img@1"],
    ["forget", "img", "--keep-last", "1"], ["import", "OUT/b.tgz", "--force"], ["gc"],
    ["repair"], ["remove", "img@2", "--force"], ["copy", "img@1", "new", "--to", "/new"],
    ["export", "d@1", "OUT/x.tgz"],
  ])
  func `a dry run changes nothing`(_ words: [String]) throws {
    let node = try node()
    let words = words.map { $0.replacingOccurrences(of: "OUT", with: node.directory.path) }
    try shell("mkdir \"$1\"; echo x >\"$1/f\"", node.directory.path("root/srv/new"))
    let before = try state(node)
    let result = try node.imgstore(words + ["-n"])
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.contains("would") || words[0] == "repair", "\(result.output)")
    #expect(try state(node) == before)
  }

  @Test func `the number that 'snapshot -n' announces is that of the snapshot`() throws {
    let node = try node()
    #expect(try node.imgstore("remove", "img@2", "--force").status == 0)
    let planned = try document(node.imgstore("snapshot", "img", "-n", "--json"))
    #expect(planned["snapshot"] as? String == "img@3", "2 is not used again")
    let diff = try #require(planned["diff"] as? [String: Any])
    #expect((diff["entries"] as? [Any])?.count == 1)
    let outcome = try document(node.imgstore("snapshot", "img", "--json"))
    let real = try #require(outcome["snapshot"] as? [String: Any])
    #expect(real["name"] as? String == "img@3")
    #expect(real["contentBytes"] as? Int == planned["contentBytes"] as? Int)
    let unchanged = try document(node.imgstore("snapshot", "img", "-n", "--if-changed", "--json"))
    #expect(unchanged["snapshot"] == nil && unchanged["refused"] == nil)
  }

  @Test func `a directory is not added by 'snapshot -n'`() throws {
    let node = try node()
    let directory = node.directory.path("root/srv/new")
    try shell("mkdir -p \"$1\"; echo x >\"$1/f\"", directory)
    let planned = try document(node.imgstore("snapshot", "/srv/new", "-n", "--json"))
    #expect(planned["addedDirectory"] as? String == "/srv/new")
    #expect(planned["snapshot"] as? String == "new@1")
    #expect(try !node.imgstore("images").output.contains("new"))
  }

  @Test func `a refused snapshot or pack has the code of the real run`() throws {
    let node = try node()
    try shell("rm -r \"$1\"", node.tree)
    for words in [["snapshot", "img"], ["pack", "img"]] {
      let planned = try node.imgstore(words + ["-n", "--json"])
      let real = try node.imgstore(words + ["--json"])
      let refused = try #require(try document(planned)["refused"] as? [String: Any], "\(words)")
      #expect(planned.status == real.status && real.status != 0)
      #expect(refused["code"] as? String == (try errorCode(real)), "\(words)")
    }
    #expect(try node.imgstore("tag", "img@1", "t").status == 0)
    try shell("mkdir \"$1\"; echo 4 >\"$1/f\"", node.tree)
    let words = ["snapshot", "img", "--tag", "t", "--allow-empty"]
    let planned = try node.imgstore(words + ["-n", "--json"])
    let refused = try #require(try document(planned)["refused"] as? [String: Any])
    #expect(refused["code"] as? String == (try errorCode(node.imgstore(words + ["--json"]))))
  }

  @Test func `'pack -n' names the snapshot, the format and the file of the real run`() throws {
    let node = try node()
    var planned = try document(node.imgstore("pack", "img", "-n", "--json"))
    #expect(planned["needsSnapshot"] as? Bool == true && planned["replacedBytes"] == nil)
    let real = try document(node.imgstore("pack", "img", "--json"))
    for key in ["snapshot", "destination", "method", "compression", "mode"] {
      #expect(planned[key] as? String == real[key] as? String, "\(key)")
    }
    planned = try document(node.imgstore("pack", "img", "-n", "--json"))
    #expect(planned["needsSnapshot"] as? Bool == false)
    #expect(planned["replacedBytes"] as? Int == real["sizeBytes"] as? Int)
  }

  @Test func `'restore -n' checks the destination and counts what the restore writes`() throws {
    let node = try node()
    let destination = node.directory.path("new/tree")
    let planned = try document(node.imgstore("restore", "img@1", destination, "-n", "--json"))
    let real = try document(node.imgstore("restore", "img@1", destination, "--json"))
    for key in ["entries", "plannedBytes"] {
      #expect(planned[key] as? Int == real[key] as? Int && planned[key] != nil, "\(key)")
    }
    #expect(planned["report"] == nil && real["report"] != nil)
    // A file in the place of a directory on the way.
    for words in [["-n"], []] {
      let below = try node.imgstore(["restore", "img@1", "\(destination)/etc/motd/x"] + words)
      #expect(below.status == 1, "\(below.output)")
    }
    let again = try node.imgstore("restore", "img@1", destination, "-n", "--json")
    #expect(again.status == 1)
    #expect(try errorCode(again) == "already-exists")
  }

  @Test(arguments: [[], ["--back"], ["--abandon"]])
  func `'resume -n' plans and leaves the change unfinished`(_ direction: [String]) throws {
    let node = try node()
    for operation in 5..<200
    where !FileManager.default.fileExists(atPath: node.directory.path("store/journal/img")) {
      _ = try run(
        killatBinary,
        arguments: [
          "\(operation)", node.directory.path("count"), binary, "revert", "img@1", "--in-place",
        ], environment: node.environment)
    }
    let before = try state(node)
    let planned = try node.imgstore(["resume", "img", "-n", "--json"] + direction)
    #expect(planned.status == 0, "\(planned.errors)")
    #expect(try document(planned)["dryRun"] as? Bool == true)
    let change = try #require(try document(planned)["change"] as? [String: Any])
    #expect(change["running"] as? Bool == false)
    #expect(try state(node) == before)
    let text = try node.imgstore(["resume", "img", "-n"] + direction)
    #expect(text.output.contains("would"))
    let real = try node.imgstore(["resume", "img", "--json"] + direction)
    #expect(real.status == 0, "\(real.errors)")
    #expect(try document(real)["dryRun"] as? Bool == false)
  }

  @Test func `on a read-only store, a removal is planned and refused`() throws {
    let node = try node()
    guard geteuid() == 0 else { return }
    let mounted = """
      unshare -m sh -c 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"' sh
      """
    for words in [
      "remove img@1", "forget img --keep-last 1", "snapshot img", "pack img", "revert img@1",
    ] {
      let planned = try run(
        "sh", "-c", "\(mounted) \"$1\" \"$2\" \(words) -n --json", "sh",
        node.directory.path("store"), binary, environment: node.environment)
      let refused = try #require(
        try document(planned)["refused"] as? [String: Any], "\(words): \(planned.errors)")
      #expect(refused["code"] as? String == "read-only", "\(words)")
      #expect(planned.status != 0)
    }
  }

  @Test func `undo names the change that it undoes`() throws {
    let node = try node()
    #expect(try node.imgstore("revert", "img@1").status == 0)
    let planned = try node.imgstore("undo", "img", "-n")
    #expect(planned.output.hasPrefix("would undo img@4: revert to @1\n"), "\(planned.output)")
    let undone = try node.imgstore("undo", "img", "--json")
    #expect(try document(undone)["undone"] as? String == "img@4")
  }
}
