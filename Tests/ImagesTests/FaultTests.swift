// Fails every file operation in turn. Each time the store opens, committed snapshots verify, and the next
// attempt succeeds.

import Apply
import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools, .sweep) struct FaultTests {
  /// Creates a store with one snapshot of a small tree, and then changes the tree.
  private func prepare(_ directory: TemporaryDirectory) throws {
    let workspace = try Workspace.test(directory)
    let live = directory.path("root/img/rootimg")
    try shell(
      "cd \"$1\"; mkdir d; echo a >d/a; echo b >b; ln b c; ln -s b link; head -c 200000 /dev/urandom >large",
      live
    )
    _ = try workspace.snapshot("img")
    try shell(
      "cd \"$1\"; echo changed >b; rm d/a; echo new >d/n; head -c 90000 /dev/urandom >>large; sleep 0.05",
      live)
  }

  /// Runs `verb` with one operation failing after another, until `verb` no longer reaches it.
  /// - Parameters:
  ///   - step: every n-th operation is tried, unless a full sweep is requested.
  ///   - keep: inspects the site before the first operation fails.
  private func sweep(
    _ fault: FaultyFileSystem.Fault, every step: Int = 53,
    keep: (TemporaryDirectory) throws -> Void = { _ in }, _ verb: (Workspace) throws -> Void,
    check: (TemporaryDirectory, Workspace, String) throws -> Void
  ) throws -> Int {
    let base = try TemporaryDirectory()
    try prepare(base)
    try keep(base)
    for n in Sweep(every: step) {
      if n > 5000 { break }
      let directory = try TemporaryDirectory()
      try shell("cp -a \"$1/.\" \"$2/\"", base.path, directory.path)
      let options = WorkspaceOptions(store: directory.path("store"), root: directory.path("root"))
      let files = FaultyFileSystem(failing: n, fault)
      do { try verb(Workspace(options, fileSystem: files) { _ in }) } catch {}
      let after = try Workspace(options) { _ in }
      let report = try after.verify(deep: true)
      #expect(report.isClean, "operation \(n), \(fault): \(report.problems)")
      try check(directory, after, "operation \(n), \(fault)")
      if !files.isHit { return n }
    }
    Issue.record("the sweep does not end")
    return 0
  }

  @Test(arguments: [FaultyFileSystem.Fault.once(.noSpace), .once(.inputOutput), .forGood])
  func `a snapshot that fails at any operation loses nothing`(
    _ fault: FaultyFileSystem.Fault
  ) throws {
    let operations = try sweep(fault) { workspace in
      _ = try workspace.snapshot("img")
    } check: { directory, after, name in
      let count = try after.log("img").count
      #expect(count == 1 || count == 2, "\(name)")
      let next = try after.snapshot("img").committed.snapshot
      #expect(next.isComplete, "\(name)")
      let status = try after.status("img")
      #expect(status.isClean, "\(name)")
    }
    #expect(operations > 100)
  }

  @Test(
    arguments: [FaultyFileSystem.Fault.once(.noSpace), .forGood], [ApplyStrategy.swap, .inPlace])
  func `a revert that fails at any operation can be resumed or rolled back`(
    _ fault: FaultyFileSystem.Fault, _ method: ApplyStrategy
  ) throws {
    let pristine = try TemporaryDirectory()
    var (interruptedCount, ways) = (0, [ResumeDirection.forward: 0, .back: 0])
    func keep(_ base: TemporaryDirectory) throws {
      try copyTree(base.path("root/img/rootimg"), pristine.path("unchanged"))
      let options = WorkspaceOptions(store: base.path("store"), root: base.path("root"))
      _ = try Workspace(options) { _ in }.restore("img@1", to: pristine.path("1"))
    }
    let operations = try sweep(fault, every: 23, keep: keep) { workspace in
      var request = RevertRequest("img@1")
      request.method = method
      _ = try workspace.revert(request)
    } check: { directory, after, name in
      let live = directory.path("root/img/rootimg")
      if try !after.unfinished().isEmpty {
        interruptedCount += 1
        let direction: ResumeDirection = interruptedCount % 2 == 0 ? .back : .forward
        ways[direction, default: 0] += 1
        let resumed = try #require(try after.resume(nil, direction).revert, "\(name)")
        #expect(resumed.isExact && resumed.apply.report.problems.isEmpty, "\(name)")
        let end = pristine.path(direction == .back ? "unchanged" : "1")
        #expect(try differences(end, live) == "", "\(name)")
        #expect(
          try run("find", directory.path("root"), "-name", ".imgstore*").output == "", "\(name)")
      }
      let again = try after.revert("img@1")
      #expect(again.isExact, "\(name)")
      #expect(try differences(pristine.path("1"), live) == "", "\(name)")
    }
    #expect(operations > 150)
    #expect(ways.values.allSatisfy { $0 > 0 }, "\(ways)")
  }

  @Test(arguments: [true, false])
  func `a snapshot or revert fails if any sync fails, and the store stays whole`(_ isRevert: Bool)
    throws
  {
    for n in 0..<100 {
      let directory = try TemporaryDirectory()
      try prepare(directory)
      let options = WorkspaceOptions(store: directory.path("store"), root: directory.path("root"))
      let files = FaultyFileSystem(.nth(n, "sync", .inputOutput))
      var isRefused = false
      do {
        let workspace = try Workspace(options, fileSystem: files) { _ in }
        if isRevert { _ = try workspace.revert("img@1") } else { _ = try workspace.snapshot("img") }
      } catch {
        isRefused = true
      }
      // A failed sync is never ignored: some durability guarantee depends on each one.
      #expect(isRefused == files.isHit, "sync \(n)")
      let report = try Workspace(options) { _ in }.verify(deep: true)
      #expect(report.isClean, "sync \(n): \(report.problems)")
      if !files.isHit {
        #expect(n >= (isRevert ? 8 : 5), "syncs")
        return
      }
    }
    Issue.record("the sweep does not end")
  }

  @Test(arguments: [ApplyStrategy.swap, .inPlace])
  func `a change whose sync fails stays unfinished`(_ method: ApplyStrategy) throws {
    let directory = try TemporaryDirectory()
    try prepare(directory)
    let options = WorkspaceOptions(store: directory.path("store"), root: directory.path("root"))
    let workspace = try Workspace(options) { _ in }
    _ = try workspace.snapshot("img")
    let files = FaultyFileSystem(.always("syncFileSystem", .inputOutput))
    var request = RevertRequest("img@1")
    request.method = method
    let text =
      refusal { _ = try Workspace(options, fileSystem: files) { _ in }.revert(request) } ?? ""
    #expect(files.isHit && text.contains("'imgstore resume img' completes it"), "\(text)")
    #expect(try workspace.unfinished().map(\.image) == ["img"])
    // Nothing reports success, not even a resume that has only the sync left to do.
    #expect(try workspace.log("img").count == 2)
    let again = FaultyFileSystem(.always("syncFileSystem", .inputOutput))
    #expect(throws: (any Error).self) {
      try Workspace(options, fileSystem: again) { _ in }.resume(nil, .forward)
    }
    #expect(try again.isHit && workspace.unfinished().map(\.image) == ["img"])
    #expect(try workspace.log("img").count == 2)
    let resumed = try #require(try workspace.resume(nil, .forward).revert)
    #expect(resumed.isExact)
    #expect(try workspace.unfinished().isEmpty)
  }
}
