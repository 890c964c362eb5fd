// Files that an exclude list in the tree (.imgstoreignore) protects during a change: those that no
// snapshot contains, path by path.

import Images
import Platform
import TestSupport
import Testing

@Suite(.usesTools) struct TreeListTests {
  /// golden has var/log/messages; then the tree's list excludes var/log.
  private func listed(_ list: String = "var/log/*") throws -> TestNode {
    let site = try TestNode.smallDirectory()
    _ = try site.workspace.snapshot(site.tree, tags: ["golden"])
    try site.run(
      """
      cd srv/compute; printf '\(list)\\n' >.imgstoreignore; echo s >var/log/secure; mkdir var/log/sa
      echo x >var/log/sa/x; echo changed >var/log/messages; echo two >etc/hosts
      """)
    return site
  }

  @Test(arguments: [true, false], ["var/log/*", "var/log/", "log"])
  func `a revert does not touch listed files of no snapshot`(keepsSafety: Bool, list: String) throws
  {
    let site = try listed(list)
    _ = try site.workspace.snapshot("compute")
    var request = RevertRequest("compute@golden")
    request.keepsSafety = keepsSafety
    let outcome = try site.workspace.revert(request)
    #expect(outcome.isExact)
    #expect(site.content("srv/compute/var/log/secure") == "s\n")
    #expect(site.content("srv/compute/var/log/sa/x") == "x\n")
    // Files of the snapshot are restored regardless of the list, and so is the list.
    #expect(site.content("srv/compute/var/log/messages") == "m\n")
    #expect(site.content("srv/compute/etc/hosts") == "one\n")
    #expect(!site.exists("srv/compute/.imgstoreignore"))
    #expect(try site.workspace.status("compute").isClean)
  }

  @Test func `a rollback does not touch listed files of no snapshot`() throws {
    let site = try listed()
    _ = try site.workspace.revert("compute@golden")
    _ = try site.workspace.undo("compute")
    #expect(site.content("srv/compute/var/log/secure") == "s\n")
    #expect(site.content("srv/compute/var/log/messages") == "changed\n")
    #expect(site.content("srv/compute/.imgstoreignore") == "var/log/*\n")
    #expect(site.content("srv/compute/etc/hosts") == "two\n")
  }

  @Test func `an import does not touch listed files of no snapshot`() throws {
    let site = try TestNode.smallDirectory()
    let bundle = try site.bundle("b.tgz")
    try site.run(
      "cd srv/compute; echo 'var/log/*' >.imgstoreignore; echo s >var/log/secure; echo c >var/log/messages"
    )
    let image = try site.workspace.importing(bundle) { $0.replaces = true }
    #expect(image.remaining?.isEmpty == true)
    #expect(site.content("srv/compute/var/log/secure") == "s\n")
    #expect(site.content("srv/compute/var/log/messages") == "m\n")
    _ = try site.workspace.undo("compute")
    #expect(site.content("srv/compute/var/log/messages") == "c\n")
    #expect(site.content("srv/compute/var/log/secure") == "s\n")
  }

  @Test func `a directory in the place of a listed file is not protected`() throws {
    let site = try TestNode.smallDirectory()
    _ = try site.workspace.snapshot(site.tree)
    try site.run(
      "cd srv/compute; echo 'hosts' >.imgstoreignore; rm etc/hosts; mkdir etc/hosts; echo x >etc/hosts/x"
    )
    #expect(try site.workspace.revert("compute@1").isExact)
    #expect(site.content("srv/compute/etc/hosts") == "one\n")
  }
}
