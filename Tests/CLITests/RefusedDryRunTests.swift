// Exit codes and documents of dry runs that would be refused, and the nodes in documents of `status`.

import Foundation
import TestSupport
import Testing

@Suite(.usesTools) struct RefusedDryRunTests {
  private func document(_ result: ToolResult) throws -> [String: Any] {
    try #require(
      try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
  }

  @Test func `a dry run of a refused import prints its plan and exits as the import`() throws {
    let site = try TestNode(image: "img")
    #expect(try site.imgstore("snapshot", "img").status == 0)
    try shell("mkdir -p \"$1/srv/t\"; echo 1 >\"$1/srv/t/f\"", site.directory.path("root"))
    #expect(try site.imgstore("add", "t", "/srv/t").status == 0)
    let bundle = site.directory.path("t.tgz")
    #expect(try site.imgstore("export", "t", bundle).status == 0)
    try shell("echo 2 >\"$1/srv/t/f\"", site.directory.path("root"))
    let real = try site.imgstore("import", bundle)
    let planned = try site.imgstore("import", bundle, "-n")
    #expect(real.status == 1 && planned.status == real.status)
    #expect(planned.output.contains("would replace it") && planned.errors.contains("--force"))
    let json = try site.imgstore("import", bundle, "-n", "--json")
    #expect(json.status == 1)
    let refused = try #require(try document(json)["refused"] as? [String: Any])
    #expect(refused["code"] as? String == "already-exists")
    for key in ["object", "message", "advice"] { #expect(refused[key] is String) }
    let forced = try site.imgstore("import", bundle, "-n", "--force", "--json")
    #expect(forced.status == 0)
    #expect(try document(forced)["refused"] == nil)
  }

  @Test func `copy warns of secrets in one line`() throws {
    let site = try TestNode(image: "img")
    try shell(
      """
      mkdir -p "$1/etc/ssh"; printf 'root:$6$salt$abcdefghijklmnopqrstuvwxyz012345:1::::::\\n' >"$1/etc/shadow"
      for i in rsa ecdsa ed25519; do ssh-keygen -q -t $i -N '' -f "$1/etc/ssh/ssh_host_${i}_key" ||
        echo '-----BEGIN OPENSSH PRIVATE KEY-----' >"$1/etc/ssh/ssh_host_${i}_key"; done
      """, site.tree)
    let copied = try site.imgstore("copy", "img", "other", "--to", "/other")
    #expect(copied.status == 0, "\(copied.errors)")
    let lines = copied.errors.split(separator: "\n").filter { $0.contains("secret") }
    #expect(lines.count == 1, "\(copied.errors)")
  }

  @Test func `status and show name the nodes, also before any snapshot`() throws {
    let site = try TestNode(image: "img")
    let tables = site.directory.path("root/etc/xcat")
    try shell(
      """
      cd "$1"; sqlite3 nodelist.sqlite "CREATE TABLE nodelist (node TEXT, groups TEXT, disable TEXT);
        INSERT INTO nodelist VALUES ('n1', 'all', NULL), ('n2', 'all', NULL), ('x', 'all', NULL)"
      sqlite3 nodetype.sqlite "CREATE TABLE nodetype (node TEXT, provmethod TEXT, disable TEXT);
        INSERT INTO nodetype VALUES ('n1', 'img', NULL), ('n2', 'img', NULL)"
      """, try tablesDirectory(site) ?? tables)
    var status = try site.imgstore("status", "img", "--json")
    #expect(status.status != 0)
    #expect(try document(status)["nodes"] as? [String] == ["n1", "n2"])
    #expect(try site.imgstore("show", "img").output.contains("2 nodes boot this image: n1,n2"))
    #expect(try site.imgstore("snapshot", "img").status == 0)
    status = try site.imgstore("status", "img", "--json")
    #expect(status.status == 0)
    #expect(try document(status)["nodes"] as? [String] == ["n1", "n2"])
    for words in [["status", "img"], ["show", "img"]] {
      let result = try run(binary, arguments: words, environment: site.environment)
      #expect(result.output.contains("2 nodes boot this image: n1,n2"), "\(words)")
    }
    #expect(try !site.imgstore("show", "img@1").output.contains("boot this image"))
  }

  /// The directory of the table files that `define` has created.
  private func tablesDirectory(_ site: TestNode) throws -> String? {
    let found = try shell("find \"$1\" -name osimage.sqlite | head -1", site.directory.path).output
      .trimmingCharacters(in: .whitespacesAndNewlines)
    return found.isEmpty ? nil : String(found.dropLast("/osimage.sqlite".count))
  }
}
