// Automatic snapshots: their origin, their handling by policies, and that commands take none if
// nothing has changed.

import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct AutomaticSnapshotTests {
  private let day: Int64 = 86_400

  private func kept(
    _ automatic: Set<Int>, of count: Int, age days: Int64 = 1,
    _ change: (inout RetentionPolicy) -> Void
  ) -> [Int] {
    var policy = RetentionPolicy()
    change(&policy)
    let now: Int64 = 1_800_000_000
    let candidates = (1...count).map {
      RetentionCandidate(
        number: $0, created: now - Int64(count - $0) * days * day,
        isAutomatic: automatic.contains($0))
    }
    return policy.reasons(for: candidates, now: now).filter { !$0.value.isEmpty }.keys.sorted()
  }

  @Test func `automatic snapshots never displace manual snapshots in a policy`() {
    #expect(
      kept([3, 4, 5], of: 6) {
        $0.last = 2
        $0.automatic = 0
      } == [2, 6])
    #expect(kept([3, 4, 5], of: 6) { $0.last = 2 } == [2, 3, 4, 5, 6], "30 days")
    #expect(
      kept([1, 2, 3, 4, 5], of: 6) {
        $0.last = 1
        $0.automatic = 2
      } == [4, 5, 6])
    #expect(
      kept([6], of: 6) {
        $0.last = 1
        $0.automatic = 0
      } == [5, 6], "the latest stays")
  }

  @Test func `automatic snapshots expire after 30 days, and a rule for them affects no others`() {
    #expect(kept([1, 2, 3], of: 4, age: 20) { $0.last = 9 } == [3, 4])
    #expect(kept([2, 4], of: 5) { $0.automatic = 1 } == [1, 3, 4, 5])
  }

  @Test func `policies accept yearly rules and a period before the latest snapshot`() {
    #expect(kept([], of: 10) { $0.withinSeconds = 3 * 86_400 } == [7, 8, 9, 10])
    #expect(kept([], of: 5, age: 365) { $0.yearly = 2 }.count == 2)
  }

  private func site(_ directory: TemporaryDirectory) throws -> Workspace {
    let workspace = try Workspace.test(directory)
    try shell("mkdir -p \"$1/etc\"; echo one >\"$1/etc/hosts\"", directory.path("root/img/rootimg"))
    _ = try workspace.snapshot("img")
    return workspace
  }

  @Test func `a revert that changes nothing records nothing`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try site(directory)
    #expect(try workspace.revert("img@1").recorded == nil)
    try shell("echo two >\"$1/etc/hosts\"", directory.path("root/img/rootimg"))
    #expect(try workspace.revert("img@1").recorded != nil)
    let count = try workspace.log("img").count
    for _ in 0..<3 { #expect(try workspace.revert("img@1").recorded == nil) }
    #expect(try workspace.log("img").count == count)
  }

  @Test func `the status names the snapshot that a person chose, if a later one is automatic`()
    throws
  {
    let directory = try TemporaryDirectory()
    let workspace = try site(directory)
    #expect(try workspace.status("img").baseline == nil)
    try shell(
      "cd \"$1\"; echo two >etc/hosts; echo new >etc/new", directory.path("root/img/rootimg"))
    _ = try workspace.revert("img@1:etc/hosts")
    let status = try workspace.status("img")
    #expect(status.isClean && status.snapshot.snapshot.origin == .change)
    #expect(status.baseline?.number == 1)
    _ = try workspace.revert("img@1")
    #expect(try workspace.status("img").baseline == nil, "the whole image was reverted")
  }

  @Test func `an unchanged image is recorded if its latest snapshot is automatic`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try site(directory)
    #expect(try !workspace.snapshot("img", .skipIfUnchanged).isNew)
    try shell("echo two >\"$1/etc/hosts\"", directory.path("root/img/rootimg"))
    _ = try workspace.revert("img@1")
    #expect(try workspace.planSnapshot("img", .skipIfUnchanged).number == 4)
    let outcome = try workspace.snapshot("img", .skipIfUnchanged)
    #expect(outcome.isNew && outcome.committed.snapshot.origin == .manual)
    #expect(try workspace.planSnapshot("img", .skipIfUnchanged).number == nil)
    #expect(try !workspace.snapshot("img", .skipIfUnchanged).isNew)
  }

  @Test func `each snapshot records its origin`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try site(directory)
    try shell("echo two >\"$1/etc/hosts\"", directory.path("root/img/rootimg"))
    _ = try workspace.revert("img@1")
    _ = try workspace.undo("img")
    _ = try workspace.copy(CopyRequest("img@1", to: "other"))
    func origins(_ name: String) throws -> [SnapshotOrigin] {
      try workspace.log(name).reversed().map(\.committed.snapshot.origin)
    }
    #expect(try origins("img") == [.manual, .safety, .change, .change])
    #expect(try origins("other") == [.safety, .copied])
  }

  @Test func `an undo takes no snapshot of a state that has one`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try site(directory)
    try shell(
      "cd \"$1\"; echo new >etc/new; echo two >etc/hosts", directory.path("root/img/rootimg"))
    _ = try workspace.snapshot("img")
    _ = try workspace.revert("img@1")
    #expect(try workspace.status("img").isClean)
    #expect(try workspace.undo("img").safety == nil)
    #expect(
      try workspace.log("img").map(\.committed.snapshot.origin) == [
        .change, .change, .manual, .manual,
      ])
  }

  @Test func `a refused export takes no snapshot and names every missing file`()
    throws
  {
    let directory = try TemporaryDirectory()
    let workspace = try site(directory)
    try shell("echo two >\"$1/etc/hosts\"", directory.path("root/img/rootimg"))
    do {
      _ = try workspace.export(ExportRequest("img"))
      Issue.record("there is neither a kernel nor a packed image")
    } catch let error as any ExplainedError {
      #expect(error.errorCode.category == .notFound)
      for what in ["ramdisk", "kernel", "rootimg", "pkglist"] {
        #expect("\(error.reason) \(error.hint)".contains(what), "\(what)")
      }
    }
    #expect(try workspace.log("img").count == 1)
  }

  // MARK: Several at a time

  @Test func `a range contains only existing snapshots`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try site(directory)
    for i in 2...7 {
      try shell("echo \(i) >\"$1/etc/hosts\"", directory.path("root/img/rootimg"))
      _ = try workspace.snapshot("img")
    }
    _ = try workspace.remove(["img@4"])
    #expect(try workspace.references(["img@3..@5", "@7"]) == ["img@3", "img@5", "@7"])
    #expect(try workspace.references(["@2..3"]) == ["img@2", "img@3"])
    let refused = #expect(throws: ImageError.self) { try workspace.references(["img@5..3"]) }
    #expect(refused?.errorCode.category == .usage)
    #expect(throws: ImageError.self) { try workspace.references(["img@50..60"]) }
    // All or none: @7 is the latest, so nothing is removed.
    #expect(throws: ImageError.self) { try workspace.remove(["img@2..3", "img@7"]) }
    #expect(try workspace.log("img").count == 6)
    #expect(try workspace.remove(["img@2..3"]).forgotten.count == 2)
    #expect(try workspace.log("img").map(\.committed.number) == [7, 6, 5, 1])
  }

  @Test func `removal of a whole image removes all snapshots unless one is pinned`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try site(directory)
    _ = try workspace.tag("img@1", as: "golden")
    _ = try workspace.pin("img@1", reason: "audit")
    #expect(throws: ImageError.self) { try workspace.forgetEntirely(["img"]) }
    #expect(throws: ImageError.self) { try workspace.forgetEntirely(["im"], force: true) }
    #expect(try workspace.forgetEntirely(["img"], force: true, dryRun: true).forgotten.count == 1)
    #expect(try workspace.log("img").count == 1)
    _ = try workspace.forgetEntirely(["img"], force: true)
    #expect(try workspace.images().map(\.snapshots) == [0])
  }
}
