// A lost record of removed numbers: forgotten snapshots look lost, in ranges, and there is a way out.

import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct LostNumberTests {
  /// A store with the snapshots 1, 6, 8 and 9 and without its record of removed numbers, and a copy with it.
  private func site() throws -> (TemporaryDirectory, () throws -> Workspace) {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    try shell("echo x >\"$1/f\"", directory.path("root/img/rootimg"))
    for _ in 1...9 { _ = try workspace.snapshot("img") }
    _ = try workspace.remove(["img@2..5", "img@7"])
    try shell(
      "cp -a \"$1/store\" \"$1/copy\"; rm \"$1/store/refs/img/removed\"", directory.path)
    return (
      directory,
      {
        try Workspace(
          WorkspaceOptions(store: directory.path("store"), root: directory.path("root"))
        ) { _ in }
      }
    )
  }

  private func repair(
    _ workspace: Workspace, from sources: [String], dryRun: Bool = false
  ) throws -> RepairOutcome {
    var options = RepairOptions()
    options.sources = sources
    options.isDryRun = dryRun
    return try workspace.repair(options)
  }

  @Test func `lost numbers are listed as ranges`() throws {
    let (directory, open) = try site()
    defer { withExtendedLifetime(directory) {} }
    let lost = try open().history(of: "img").unreadable
    let isLost = lost.map(\.isLost)
    #expect(isLost == Array(repeating: true, count: 5))
    #expect(snapshotRanges(lost.map(\.name)) == ["img@2..5", "img@7"])
    let report = try open().verify(deep: false)
    #expect(snapshotRanges(report.lost) == ["img@2..5", "img@7"])
    #expect(report.problems.count == 2)
    let outcome = try repair(open(), from: [])
    #expect(snapshotRanges(outcome.losses.lostSnapshots) == ["img@2..5", "img@7"])
    #expect(outcome.losses.counts.snapshots == 5 && outcome.losses.counts.paths == 0)
    let error = #expect(throws: StoreError.self) { try open().collect() }
    #expect(error?.errorCode == .snapshotDamaged)
    #expect(error?.subject == "img@2..5, img@7")
    #expect(error?.hint.contains("remove img@2..5 img@7 --force") == true)
  }

  @Test func `repair restores the record from a store with the same history`() throws {
    let (directory, open) = try site()
    let source = [directory.path("copy")]
    #expect(try repair(open(), from: source, dryRun: true).isClean)
    #expect(try repair(open(), from: source).isClean)
    #expect(try open().history(of: "img").unreadable.isEmpty)
    #expect(try open().verify(deep: false).isClean)
    _ = try open().collect()
    #expect(try repair(open(), from: source).actions.isEmpty)
    #expect(try open().snapshot("img").committed.number == 10)
  }

  @Test func `one repair restores a whole lost history, with the record of removed numbers`() throws
  {
    let (directory, open) = try site()
    let source = [directory.path("copy")]
    try shell("rm \"$1/store/refs/img/\"*", directory.path)
    #expect(try repair(open(), from: source, dryRun: true).isClean)
    let outcome = try repair(open(), from: source)
    #expect(outcome.isClean, "\(outcome.losses.counts)")
    #expect(try open().log("img").map(\.committed.number) == [9, 8, 6, 1])
    #expect(try open().history(of: "img").unreadable.isEmpty)
    #expect(try repair(open(), from: source).actions.isEmpty)
  }

  @Test func `a store with other numbers and another history restores nothing`() throws {
    let (directory, open) = try site()
    // Here the refs 1 to 6 are lost. There, an image of the same name has the snapshots 1 and 3.
    try shell("rm \"$1/store/refs/img/000000000\"[1-6]", directory.path)
    let (other, _) = try site()
    try shell(
      "cd \"$1/copy/refs/img\"; rm 000000000[4-9] removed; touch ../../x", other.path)
    let source = [other.path("copy")]
    let before = snapshotRanges(try open().history(of: "img").unreadable.map(\.name))
    for _ in 1...2 {
      let outcome = try repair(open(), from: source)
      #expect(!outcome.isClean)
      #expect(snapshotRanges(try open().history(of: "img").unreadable.map(\.name)) == before)
    }
  }

  @Test func `an older copy without a snapshot in common fills the gap before its child`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    try shell("echo x >\"$1/f\"", directory.path("root/img/rootimg"))
    for _ in 1...3 { _ = try workspace.snapshot("img") }
    try shell("cp -a \"$1/store\" \"$1/copy\"", directory.path)
    for _ in 4...5 { _ = try workspace.snapshot("img") }
    try shell("rm \"$1/store/refs/img/000000000\"[1-3]", directory.path)
    let again = try Workspace(workspace.options) { _ in }
    #expect(try repair(again, from: [directory.path("copy")]).isClean)
    #expect(try again.log("img").map(\.committed.number) == [5, 4, 3, 2, 1])
  }

  @Test func `a store with another history restores no record`() throws {
    let (directory, open) = try site()
    let other = try Workspace.test(directory, store: "other")
    try shell("echo z >\"$1/z\"", directory.path("root/img/rootimg"))
    for _ in 1...9 { _ = try other.snapshot("img") }
    _ = try other.remove(["img@2..5", "img@7"])
    #expect(try !repair(open(), from: [directory.path("other")]).isClean)
    #expect(try open().history(of: "img").unreadable.count == 5)
  }

  @Test func `a lost ref does not count as a removed number`() throws {
    let (directory, open) = try site()
    // 2 was damaged here, and 3 is only missing from the record.
    try shell("touch \"$1/store/refs/img/0000000002.lost\"", directory.path)
    let outcome = try repair(open(), from: [directory.path("copy")])
    #expect(snapshotRanges(outcome.losses.lostSnapshots) == ["img@2"])
  }

  @Test func `remove --force takes ranges with lost numbers`() throws {
    let (directory, open) = try site()
    defer { withExtendedLifetime(directory) {} }
    #expect(throws: ImageError.self) { try open().remove(["img@2..5"]) }
    _ = try open().remove(["img@2..5", "img@7"], force: true)
    #expect(try open().history(of: "img").unreadable.isEmpty)
    _ = try open().collect()
  }
}
