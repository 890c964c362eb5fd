// Attributes that the kernel or the file system derives from others: they are in no snapshot, and reverts of
// access lists and owners are exact on each file system. ApplyTests has compression on btrfs.

import Apply
import Foundation
import Images
import Store
import TestSupport
import Testing

@Suite(.usesTools, .needsLoopMounts) struct DerivedAttributeTests {
  /// A file system of a kind with a tree "img", and a store elsewhere.
  private struct Node {
    let disk: LoopMount
    let directory: TemporaryDirectory
    let workspace: Workspace
    var tree: String { disk.path("root/img/rootimg") }

    init(_ kind: String) throws {
      disk = try LoopMount(kind)
      directory = try TemporaryDirectory()
      try shell("mkdir -p \"$1\"", disk.path("root/img/rootimg"))
      workspace = try Workspace(
        WorkspaceOptions(store: directory.path("store"), root: disk.path("root"))
      ) { _ in }
      _ = try workspace.define(
        "img",
        ["provmethod=netboot", "rootimgdir=/img", "osvers=x", "osarch=x86_64", "profile=p"])
    }

    /// Every attribute of the tree, as the usual tools print it.
    func attributes() throws -> String {
      try shell(
        """
        cd "$1"; find . -printf '%P %m %U:%G\\n' | sort; find . -type f -o -type d | sort | xargs getfacl -np
        find . -type f -o -type d | sort | while read f; do getfattr -hd -m - -e hex "$f" | sort; done
        """, tree
      ).output
    }

    func revert(_ reference: String, _ method: ApplyStrategy) throws -> RevertOutcome {
      var request = RevertRequest(reference)
      request.method = method
      return try workspace.revert(request)
    }
  }

  /// Asserts that reverts between the two latest states in place and by a swap restore all attributes.
  private func expectExactReverts(
    _ node: Node, _ states: [String], sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    for (number, method) in [(1, ApplyStrategy.inPlace), (2, .inPlace), (1, .swap), (2, .swap)] {
      let outcome = try node.revert("img@\(number)", method)
      #expect(
        outcome.isExact && outcome.apply.report.problems.isEmpty,
        "\(number), \(method): \(outcome.apply.report.problems) \(outcome.limits)",
        sourceLocation: sourceLocation)
      #expect(try node.attributes() == states[number - 1], sourceLocation: sourceLocation)
      #expect(try node.workspace.status("img").isClean, sourceLocation: sourceLocation)
    }
  }

  @Test(arguments: LoopMount.kindsWithClones + ["ext4"])
  func `access lists, owners and capabilities change exactly in both directions`(
    _ kind: String
  ) throws {
    let node = try Node(kind)
    try shell(
      """
      cd "$1"; umask 022; mkdir none both defaults; touch added removed masked changed capable
      setfacl -m u:7:rw,m::r removed masked changed; setfacl -m u:7:rwx,d:g:8:rx both
      setfacl -m d:u:9:rwx defaults; touch defaults/inherits both/inherits
      setcap cap_net_raw+ep capable; setfattr -n trusted.own -v 1 removed
      """, node.tree)
    var states = [try node.attributes()]
    _ = try node.workspace.snapshot("img")
    try shell(
      """
      cd "$1"; setfacl -b removed both defaults/inherits; setfacl -k defaults; chmod g+w masked
      setfacl -m u:7:r,u:8:w changed; setfacl -m u:5:rw added; setfacl -m d:u:5:rw,g:6:x none
      chown 3:4 capable changed; setfattr -x trusted.own removed
      """, node.tree)
    states.append(try node.attributes())
    _ = try node.workspace.snapshot("img")
    try expectExactReverts(node, states)
  }

  @Test func `a snapshot of a tree on XFS has its access lists only in one form`() throws {
    let node = try Node("xfs")
    try shell(
      "cd \"$1\"; mkdir d; touch f; setfacl -m u:7:rw f; setfacl -m d:u:7:rw d", node.tree)
    #expect(try node.attributes().contains("trusted.SGI_ACL_FILE"))
    _ = try node.workspace.snapshot("img")
    let ext4 = try LoopMount("ext4", sizeMegabytes: 40)
    let out = ext4.path("out")
    let restored = try node.workspace.restore("img", to: out)
    #expect(restored.report.problems.isEmpty, "\(restored.report.problems)")
    let names = try shell("cd \"$1\"; getfattr -Rd -m - --absolute-names .", out).output
    #expect(names.contains("system.posix_acl_access") && names.contains("posix_acl_default"))
    #expect(!names.contains("SGI"))
  }
}
