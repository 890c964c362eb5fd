// The main guarantee: a snapshot restores every attribute.

import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct FidelityTests {
  @Test func `unusual entries survive snapshot, change, revert and restore`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    let live = directory.path("root/img/rootimg")
    try makeNastyTree(live, wide: 20000)
    try copyTree(live, directory.path("pristine"))
    let first = try workspace.snapshot("img")
    #expect(first.committed.snapshot.isComplete, "\(first.committed.snapshot.notes)")
    #expect(
      try differences(directory.path("pristine"), live) == "", "the snapshot changed the tree")

    try runFixture("scripts/trees/change-nasty-tree.sh", live)
    let second = try workspace.snapshot("img", .allowsEmpty)
    #expect(try workspace.status("img").isClean)
    try copyTree(live, directory.path("changed"))

    let back = try workspace.revert("img@1")
    #expect(back.isExact)
    #expect(back.safety == nil, "everything was in the store already")
    #expect(back.apply.report.problems.isEmpty, "\(back.apply.report.problems)")
    #expect(try differences(directory.path("pristine"), live) == "")
    #expect(try workspace.status("img").isClean)

    let forth = try workspace.revert("img@\(second.committed.number)")
    #expect(forth.isExact)
    #expect(try differences(directory.path("changed"), live) == "")

    _ = try workspace.restore("img@1", to: directory.path("restored"))
    #expect(try differences(directory.path("pristine"), directory.path("restored")) == "")
    #expect(try workspace.verify(deep: true).isClean)
  }

  @Test func `a real root tree survives an update and its revert`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    let live = directory.path("root/img/rootimg")
    let small = try smallTree()
    try copyTree(small, live)
    let first = try workspace.snapshot("img")
    // A second snapshot reads no file.
    let again = try workspace.snapshot("img")
    #expect(again.sameAs == 1)
    #expect(again.storedBytes == 0)

    try shell(
      """
      cd "$1"
      find usr/share -type f | awk 'NR % 7 == 0' | head -300 | while read -r f; do echo changed >>"$f"; done
      find usr/bin -type f | awk 'NR % 5 == 0' | head -40 | xargs rm -f
      mkdir -p opt/new; cp -a etc opt/new/
      """, live)
    let status = try workspace.status("img")
    #expect(!status.isClean)
    _ = try workspace.snapshot("img")
    let back = try workspace.revert("@1")
    #expect(back.isExact)
    #expect(try differences(small, live) == "")
    #expect(back.apply.report.writtenBytes < first.committed.snapshot.contentBytes / 2)
    _ = try workspace.restore("img@1", to: directory.path("restored"))
    #expect(try differences(small, directory.path("restored")) == "")
    #expect(try workspace.verify(deep: true).isClean)
  }

  @Test func `unsaved changes are snapshotted before a revert`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    let file = directory.path("root/img/rootimg/precious")
    try shell("echo one >\"$1\"", file)
    _ = try workspace.snapshot("img")
    try shell("echo 'never saved' >\"$1\"", file)
    _ = try workspace.define("img", ["osarch=ppc64le"])
    let back = try workspace.revert("img@1")
    let safety = try #require(back.safety)
    #expect(try String(contentsOfFile: file, encoding: .utf8) == "one\n")
    _ = try workspace.revert(safety.name)
    #expect(try String(contentsOfFile: file, encoding: .utf8) == "never saved\n")
    #expect(try workspace.define("img", []).architecture == "ppc64le")
  }

  @Test func `a dry run changes nothing and reports the exact bytes`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    let live = directory.path("root/img/rootimg")
    try shell("head -c 5000 /dev/zero >\"$1/a\"; echo b >\"$1/b\"", live)
    _ = try workspace.snapshot("img")
    try shell("echo changed >\"$1/a\"; rm \"$1/b\"; echo c >\"$1/c\"", live)
    try copyTree(live, directory.path("before"))
    let plan = try workspace.revert("img@1", dryRun: true)
    #expect(plan.apply.plannedBytes == 5002)
    #expect(plan.apply.removals.map { printable($0) } == ["/img/rootimg/c"])
    #expect(try differences(directory.path("before"), live) == "")
    #expect(try workspace.log("img").count == 1)
  }

  @Test func `the blob id of a file is its sha256sum`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    let live = directory.path("root/img/rootimg")
    try shell(
      "cd \"$1\"; for n in 0 1 65536 65537 3000000; do head -c $n /dev/urandom >f$n; done", live)
    let snapshot = try workspace.snapshot("img").committed
    for n in [0, 1, 65536, 65537, 3_000_000] {
      let found = try workspace.findEntry("/f\(n)", in: snapshot)
      let sum = try run("sha256sum", "\(live)/f\(n)").output.prefix(64)
      #expect(found.entry.blob?.hex == String(sum))
    }
  }

  @Test func `mount points are not crossed by a snapshot or touched by a revert`() throws {
    guard isRoot else { return }
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    let live = directory.path("root/img/rootimg")
    try shell("cd \"$1\"; mkdir -p a/proc below; echo x >below/x; echo y >y; touch file", live)
    let first = try workspace.snapshot("img").committed
    guard try run("mount", "-t", "tmpfs", "none", live + "/a/proc").didSucceed else { return }
    defer { _ = try? run("umount", live + "/a/proc") }
    try shell(
      "echo inside >\"$1/a/proc/inside\"; chmod 1777 \"$1/a/proc\"; echo changed >\"$1/y\"", live)
    try shell("mount --bind /etc/hostname \"$1/file\"", live)
    defer { _ = try? run("umount", live + "/file") }
    let second = try workspace.snapshot("img").committed
    #expect(second.snapshot.notes.map(\.kind) == [.mountPoint, .mountPoint])
    #expect(second.snapshot.isComplete)
    let back = try workspace.revert(first.name)
    #expect(back.isExact && back.apply.skipped.isEmpty && back.apply.remarks.count == 1)
    // The stat cache must not cover the entries that the comparison skipped: the next snapshot is complete.
    _ = try workspace.snapshot("img")
    #expect(try workspace.verify(deep: true).isClean)
    #expect(
      try run("stat", "-c", "%a", live + "/a/proc").output == "1777\n",
      "the mounted folder is not ours")
    #expect(FileManager.default.fileExists(atPath: live + "/a/proc/inside"))
    #expect(try String(contentsOfFile: live + "/y", encoding: .utf8) == "y\n")
  }

  @Test func `directories that a revert only compared are not treated as stored`() throws {
    guard isRoot else { return }
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    let live = directory.path("root/img/rootimg")
    try shell("cd \"$1\"; mkdir -p top/a/proc top/b; echo y >top/b/y; sleep 0.1", live)
    _ = try workspace.snapshot("img")
    guard try run("mount", "-t", "tmpfs", "none", live + "/top/a/proc").didSucceed else { return }
    defer { _ = try? run("umount", live + "/top/a/proc") }
    try shell("echo changed >\"$1/top/b/y\"", live)
    // The states are equal except for the mounted directory's own attributes, so no snapshot has the live
    // trees.
    #expect(try workspace.revert("img@1").isExact)
    _ = try workspace.snapshot("img")
    #expect(try workspace.verify(deep: true).isClean)
  }
}
