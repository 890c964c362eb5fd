// Fails every file operation of `gc` and of `forget` in turn.

import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools, .sweep) struct CollectionFaultTests {
  /// Creates a store with unused packs, packs to rewrite, and a pack that is already doomed.
  private func prepare(_ site: CollectedStore, forgetting: Bool) throws {
    try site.fill(12)
    try site.snapshot()
    for i in 0..<4 {
      try site.change(UInt64(i))
      try site.snapshot()
    }
    if forgetting { _ = try site.open().forget(["img"], policy(last: 2)) }
  }

  /// Runs `verb` with operation n failing, for every n until `verb` no longer reaches it.
  private func sweep(
    _ fault: FaultyFileSystem.Fault, forgetting: Bool, _ verb: (Workspace) throws -> Void,
    check: (TemporaryDirectory, Workspace, String) throws -> Void
  ) throws -> Int {
    let site = try CollectedStore()
    try prepare(site, forgetting: forgetting)
    for n in Sweep(every: 13) {
      try #require(n < 5000, "the sweep does not end")
      let directory = try TemporaryDirectory()
      try shell("cp -a \"$1/store\" \"$1/root\" \"$2/\"", site.directory.path, directory.path)
      let options = WorkspaceOptions(store: directory.path("store"), root: directory.path("root"))
      let files = FaultyFileSystem(failing: n, fault)
      do { try verb(Workspace(options, fileSystem: files) { _ in }) } catch {}
      let when = "operation \(n), \(fault)"
      let after = try Workspace(options) { _ in }
      let report = try after.verify(deep: true)
      #expect(report.isClean, "\(when): \(report.problems)")
      try check(directory, after, when)
      if !files.isHit { return n }
    }
    return 0
  }

  static let faults:
    [NamedCase<(fault: FaultyFileSystem.Fault, rewriting: CollectionRequest.Rewriting)>] = [
      NamedCase("one operation finds the disk full", (.once(.noSpace), .sparing)),
      NamedCase("one operation fails with an I/O error", (.once(.inputOutput), .sparing)),
      NamedCase("an operation and all after it fail", (.forGood, .sparing)),
      NamedCase(
        "all packs are rewritten, and operations fail for good", (.forGood, .all(level: 4))),
    ]

  @Test(arguments: faults)
  func `a gc that fails at any operation loses only disk space`(
    _ scenario: NamedCase<(fault: FaultyFileSystem.Fault, rewriting: CollectionRequest.Rewriting)>
  ) throws {
    let (fault, rewriting) = scenario.value
    var sizes: [Int: String] = [:]
    let operations = try sweep(fault, forgetting: true) { workspace in
      _ = try workspace.collect(request(rewriting, seconds: 10))
    } check: { directory, after, when in
      let log = try after.log("img")
      #expect(log.map(\.committed.number) == [5, 4], "\(when)")
      // The next `gc` leaves the same result as any other.
      let next = try after.collect(request(rewriting))
      #expect(next.waitingBytes == 0 && next.damaged.isEmpty, "\(when): \(next)")
      let report = try after.verify(deep: true)
      #expect(report.isClean, "\(when), collected: \(report.problems)")
      #expect(try run("ls", directory.path("store/doomed"), directory.path("store/tmp")).didSucceed)
      let left = try shell(
        "ls \"$1/doomed\" \"$1/tmp\" | grep -c '^[0-9a-f]' || true",
        directory.path("store")
      ).output
      #expect(left == "0\n", "\(when)")
      let bytes = try shell("cat \"$1\"/packs/* | wc -c", directory.path("store")).output
      sizes[Int(bytes.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0] = when
    }
    #expect(operations > 60)
    // Packs that were written twice may be grouped differently, but are never kept twice.
    let (least, most) = (sizes.keys.min() ?? 0, sizes.keys.max() ?? 0)
    #expect(Double(most) < Double(least) * 1.05, "\(sizes)")
  }

  @Test(arguments: [FaultyFileSystem.Fault.once(.inputOutput), .forGood])
  func `a forget that fails at any operation leaves whole snapshots`(
    _ fault: FaultyFileSystem.Fault
  ) throws {
    let operations = try sweep(fault, forgetting: false) { workspace in
      _ = try workspace.forget(["img"], policy(last: 2))
    } check: { _, after, when in
      let numbers = try after.log("img").map(\.committed.number)
      #expect(numbers.starts(with: [5, 4]) && numbers.count <= 5, "\(when): \(numbers)")
      _ = try after.forget(["img"], policy(last: 2))
      _ = try after.collect()
      #expect(try after.verify(deep: true).isClean, "\(when)")
      #expect(try after.log("img").count == 2, "\(when)")
    }
    #expect(operations > 30)
  }
}
