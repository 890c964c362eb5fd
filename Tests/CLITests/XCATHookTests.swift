// The hooks of genimage and packimage as wholes: the files that `hooks enable` writes, started as a shell of
// an administrator does, with stand-ins of xCAT's commands.

import Foundation
import TestSupport
import Testing

/// A node with a netboot image in /img, the wrappers of both hooks, and stand-ins of xCAT's commands.
private struct HookedNode {
  let node: TestNode
  var variables: [String: String] = [:]

  init(policy: String = "warn") throws {
    node = try TestNode(image: "img")
    try shell(
      """
      mkdir -p "$1/xcat/bin" "$1/xcat/sbin"
      cp "$2" "$1/xcat/bin/genimage"; cp "$2" "$1/xcat/sbin/packimage"
      """, node.directory.path, fixture("scripts/fakes/xcat-image-command.py"))
    #expect(
      try node.imgstore("hooks", "enable", "genimage", "packimage", "--policy", policy).status == 0)
  }

  /// Runs a command line in a login shell, whose PATH has xCAT's directories first.
  func shellRun(_ line: String) throws -> ToolResult {
    let profile = node.path("/etc/profile.d/zz-imgstore-hooks.sh")
    // The file names the directory of the wrappers on the management node, which is below the node's root
    // here.
    let script = """
      PATH="$XCATROOT/bin:$XCATROOT/sbin:$PATH"
      eval "$(sed 's|/usr/local/lib|\(node.path("/usr/local/lib"))|g' '\(profile)')"
      \(line)
      """
    let own = [
      "XCATROOT": node.directory.path("xcat"), "STANDIN_ROOT": node.path(""),
      "STANDIN_DIRECTORY": "/img",
    ]
    return try run(
      "sh", arguments: ["-c", script],
      environment: node.environment.merging(own) { $1 }.merging(variables) { $1 })
  }

  /// The messages of the image's snapshots, the oldest first.
  func messages() throws -> [String] {
    try node.workspace.log("img").map(\.committed.snapshot.message).reversed()
  }

  func components(_ number: Int) throws -> Set<String> {
    let entry = try #require(try node.workspace.log("img").first { $0.committed.number == number })
    return Set(entry.committed.snapshot.components.map { String(decoding: $0.path, as: UTF8.self) })
  }
}

@Suite(.usesTools, .serialized) struct XCATHookTests {
  @Test func `genimage and packimage run between two snapshots, and undo restores each state`()
    throws
  {
    let site = try HookedNode()
    let generated = try site.shellRun("genimage -n 'e1000 tg3' img")
    #expect(generated.status == 0, "\(generated.errors)")
    #expect(generated.output.contains("generated successfully"))
    #expect(
      try site.messages() == [
        "before genimage -n \"e1000 tg3\" img", "genimage -n \"e1000 tg3\" img",
      ])
    #expect(try site.components(2).contains("/img/kernel"))
    #expect(try site.components(2).contains("/img/initrd-stateless.gz"))

    let packed = try site.shellRun("packimage -m cpio -c gzip img")
    #expect(packed.status == 0, "\(packed.errors)")
    #expect(packed.output.hasPrefix("Packing contents of /img/rootimg"))
    // The state before was in the history already.
    #expect(try site.messages().last == "packimage -m cpio -c gzip img")
    #expect(try site.messages().count == 3)
    #expect(try site.components(3).contains("/img/rootimg.cpio.gz"))
    #expect(try site.node.imgstore("status", "img", "--exit-code").status == 0)

    _ = try site.node.workspace.undo("img")
    #expect(!site.node.exists("img/rootimg.cpio.gz"))
    #expect(!site.node.exists("img/rootimg/opt/xcat/xcatinfo"))
    #expect(site.node.exists("img/kernel"))
    #expect(try site.node.imgstore("verify", "--deep").status == 0)
  }

  @Test func `the hooks of package managers inside genimage take no snapshots of their own`() throws
  {
    var site = try HookedNode()
    _ = try site.node.workspace.snapshot("img")
    site.variables["STANDIN_HOOK"] = binary
    let result = try site.shellRun("genimage img")
    #expect(result.status == 0, "\(result)")
    #expect(try site.messages() == ["", "genimage img"])
  }

  @Test(arguments: ["genimage", "packimage"])
  func `a command that fails keeps its status, and its state is recorded`(_ name: String) throws {
    var site = try HookedNode()
    site.variables["STANDIN_FAILS"] = "1"
    let result = try site.shellRun("\(name) img")
    #expect(result.status == 1)
    #expect(result.errors.contains("\(name) failed while running"))
    #expect(try site.messages() == ["before \(name) img", "\(name) img"])
    _ = try site.node.workspace.undo("img")
    #expect(try site.node.listing().contains("motd"))
    #expect(!site.node.exists("img/rootimg/usr/bin/tool"))
    #expect(!site.node.exists("img/rootimg/etc/shadow"))
  }

  @Test(arguments: [("warn", true), ("refuse", false)])
  func `while another command of xCAT works, the policy decides`(
    _ policy: String, _ isStarted: Bool
  ) throws {
    let site = try HookedNode(policy: policy)
    let lock = try TreeLock(of: "/img/rootimg", below: site.node.path(""))
    let result = try withExtendedLifetime(lock) { try site.shellRun("packimage img") }
    #expect(result.status == (isStarted ? 1 : 125), "\(result.errors)")
    // The stand-in's own message; imgstore refuses in the same words.
    #expect(result.errors.contains("Error: failed to acquire lock, seems") == isStarted)
    #expect(result.errors.contains("no snapshot before the operation") == isStarted)
  }

  @Test func `run --host starts the wrapped command, and takes the only snapshots`() throws {
    let site = try HookedNode()
    _ = try site.node.workspace.snapshot("img")
    let result = try site.shellRun("'\(binary)' run img --host -- genimage img")
    #expect(result.status == 0, "\(result.errors)")
    #expect(try site.messages() == ["", "run: genimage img (exit 0)"])
  }

  @Test func `without imgstore and after disable, xCAT's commands run alone`() throws {
    let site = try HookedNode()
    for name in ["genimage", "packimage"] {
      let wrapper = site.node.path("/usr/local/lib/imgstore/hooks/\(name)")
      let text = try String(contentsOfFile: wrapper, encoding: .utf8)
      try shell(
        "sed -i \"s|$2|/nonexistent/imgstore|g\" \"$1\"", wrapper,
        URL(fileURLWithPath: binary).resolvingSymlinksInPath().path)
      #expect(try String(contentsOfFile: wrapper, encoding: .utf8) != text)
    }
    #expect(try site.shellRun("genimage img && packimage img").status == 0)
    #expect(try site.node.imgstore("hooks", "disable", "genimage", "packimage").status == 0)
    #expect(!site.node.exists("usr/local/lib/imgstore/hooks/genimage"))
    let after = try run(
      "sh", arguments: ["-c", "\"$XCATROOT/bin/genimage\" img"],
      environment: [
        "XCATROOT": site.node.directory.path("xcat"), "STANDIN_ROOT": site.node.path(""),
        "STANDIN_DIRECTORY": "/img",
      ])
    #expect(after.status == 0)
    #expect(try site.node.workspace.images().first { $0.name == "img" }?.snapshots == 0)
  }
}
