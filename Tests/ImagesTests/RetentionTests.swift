// The snapshots that policies keep, and the effect on numbers, tags and pins.

import Apply
import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite struct RetentionTests {
  private let day: Int64 = 86400

  /// Returns snapshots at noon UTC of consecutive days. The last one is at `end`.
  private func daily(_ count: Int, end: Int64 = 1_800_014_400) -> [RetentionCandidate] {
    (1...count).map {
      RetentionCandidate(number: $0, created: end - Int64(count - $0) * day)
    }
  }

  private func kept(
    _ candidates: [RetentionCandidate], force: Bool = false,
    _ change: (inout RetentionPolicy) -> Void
  ) -> [Int] {
    var policy = RetentionPolicy()
    change(&policy)
    return policy.reasons(for: candidates, force: force, now: candidates.last?.created ?? 0).filter
    { !$0.value.isEmpty }.keys.sorted()
  }

  @Test func `each rule keeps the latest of each period`() {
    let all = daily(100)
    #expect(kept(all) { $0.last = 3 } == [98, 99, 100])
    #expect(kept(all) { $0.daily = 4 } == [97, 98, 99, 100])
    #expect(kept(all) { $0.last = 0 } == [100], "the latest stays")
    let weekly = kept(all) { $0.weekly = 3 }
    #expect(weekly.count == 3 && weekly.last == 100 && weekly[1] - weekly[0] == 7)
    let monthly = kept(all) { $0.monthly = 12 }
    #expect((3...5).contains(monthly.count) && monthly.last == 100)
    #expect(
      kept(all) {
        $0.last = 2
        $0.weekly = 3
      } == Set(weekly + [99, 100]).sorted())
  }

  @Test func `periods without a snapshot are not counted`() {
    let end: Int64 = 1_800_014_400
    let sparse = [-4000, -2000, -1000, -3, -2, -1, 0].enumerated().map {
      RetentionCandidate(number: $0.offset + 1, created: end + Int64($0.element) * 3600 * 24)
    }
    #expect(kept(sparse) { $0.daily = 5 } == [3, 4, 5, 6, 7])
    #expect(kept(sparse) { $0.daily = 7 } == [1, 2, 3, 4, 5, 6, 7])
    let within = (1...10).map { RetentionCandidate(number: $0, created: end + Int64($0)) }
    #expect(kept(within) { $0.hourly = 24 } == [10])
  }

  @Test func `pinned and tagged snapshots stay unless removal is forced`() {
    var all = daily(6)
    all[0] = RetentionCandidate(number: 1, created: all[0].created, tags: ["golden"])
    all[1] = RetentionCandidate(number: 2, created: all[1].created, pin: "for the audit")
    all[2] = RetentionCandidate(number: 3, created: all[2].created, underWay: "an undo")
    #expect(kept(all) { $0.last = 1 } == [1, 2, 3, 6])
    #expect(kept(all, force: true) { $0.last = 1 } == [3, 6])
    #expect(
      kept(all, force: true) {
        $0.last = 1
        $0.tagged = true
      } == [1, 3, 6])
    #expect(KeepReason.pinned(reason: "for the audit").description == "pinned: for the audit")
  }

  @Test func `an incomplete snapshot satisfies no rule`() {
    let end: Int64 = 1_800_014_400
    func history(_ states: String) -> [RetentionCandidate] {
      states.enumerated().map {
        RetentionCandidate(
          number: $0.offset + 1, created: end + Int64($0.offset) * day,
          isComplete: $0.element == "C")
      }
    }
    // Two complete snapshots, then ten incomplete ones.
    let nights = history("CC" + String(repeating: "i", count: 10))
    #expect(kept(nights) { $0.last = 10 } == [1, 2, 12])
    #expect(kept(nights) { $0.last = 1 } == [2, 12])
    #expect(kept(nights) { $0.daily = 5 } == [1, 2, 12])
    #expect(kept(nights) { $0.monthly = 1 } == [2, 12])
    // Even with force, a policy that keeps nothing does not remove the latest complete one.
    #expect(kept(nights, force: true) { $0.last = 0 } == [2, 12])
    // An incomplete snapshot in between does not count.
    #expect(kept(history("CCiCiC")) { $0.last = 3 } == [2, 4, 6])
    // Without complete snapshots, the rules apply to incomplete ones.
    #expect(kept(history("iiii")) { $0.last = 3 } == [2, 3, 4])
  }

  private func filled(_ directory: TemporaryDirectory, _ count: Int) throws -> Workspace {
    let workspace = try Workspace.test(directory)
    for i in 1...count {
      try shell("echo $2 >\"$1/f\"", directory.path("root/img/rootimg"), "\(i)")
      _ = try workspace.snapshot("img", message: "m\(i)")
    }
    return workspace
  }

  @Test(.usesTools) func `a snapshot number is never reused`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try filled(directory, 3)
    _ = try workspace.remove(["img@3"], force: true)
    #expect(throws: ImageError.self) { try workspace.find(Reference("img@3")) }
    #expect(try workspace.find(Reference("img")).number == 2)
    #expect(try workspace.snapshot("img").committed.number == 4)
    for number in [1, 2, 4] { _ = try workspace.remove(["img@\(number)"], force: true) }
    #expect(try workspace.images().first?.snapshots == 0)
    #expect(throws: ImageError.self) { try workspace.log("img") }
    #expect(try workspace.snapshot("img").committed.number == 5)
    #expect(try workspace.log("img").map(\.committed.number) == [5])
    // One record holds the removed numbers. The highest number at that time has a file of its own.
    let names = try run("ls", directory.path("store/refs/img")).output
    #expect(names == "0000000004.removed\n0000000005\nremoved\n")
    let record = try String(
      contentsOfFile: directory.path("store/refs/img/removed"), encoding: .utf8)
    #expect(record.split(separator: "\n").map(String.init)[..<3] == ["IMGREMOVED 1", "img", "1-4"])
    #expect(try workspace.verify(deep: false).isClean)
  }

  @Test(.usesTools)
  func `removal of the latest, a tagged or a pinned snapshot requires force`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try filled(directory, 4)
    _ = try workspace.tag("img@1", as: "golden")
    _ = try workspace.pin("img@2", reason: "audit")
    func refusal(_ reference: String) -> String {
      do {
        _ = try workspace.remove([reference])
        return "removed"
      } catch { return (error as? any ExplainedError)?.messageWithHint ?? "\(error)" }
    }
    #expect(refusal("img@1").contains("is tagged golden"))
    #expect(refusal("img@2").contains("is pinned: audit"))
    #expect(refusal("img@4").contains("is the latest of its image"))
    #expect(refusal("img").contains("names an image"))
    #expect(refusal("img@3") == "removed")
    let kept = try workspace.forget(["img"], policy(last: 1)).kept.map(\.snapshot.number)
    #expect(kept == [1, 2, 4])
    // A pin with the same reason is there already; another reason is refused.
    #expect(try workspace.pin("img@2").number == 2)
    #expect(throws: StoreError.self) { try workspace.pin("img@2", reason: "other") }
    _ = try workspace.unpin("img@2")
    #expect(throws: ImageError.self) { try workspace.unpin("img@2") }
    #expect(try workspace.untag("img@golden").number == 1)
    #expect(throws: StoreError.self) { try workspace.untag("img@golden") }
    #expect(try workspace.forget(["img"], policy(last: 1)).forgotten.map(\.name.number) == [1, 2])
  }

  @Test(.usesTools) func `removal of a snapshot removes its tags and pin`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try filled(directory, 2)
    _ = try workspace.tag("img@1", as: "golden")
    _ = try workspace.pin("img@1")
    _ = try workspace.remove(["img@golden"], force: true)
    _ = try workspace.tag("img@2", as: "golden")
    #expect(try workspace.find(Reference("img@golden")).number == 2)
    #expect(try run("ls", directory.path("store/pins/img")).output == "")
  }

  @Test(.usesTools) func `a policy without a rule is refused`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try filled(directory, 2)
    #expect(throws: ImageError.self) { try workspace.forget(["img"], RetentionPolicy()) }
    #expect(throws: ImageError.self) { try workspace.forget(["nobody"], policy(last: 1)) }
  }

  @Test(.usesTools) func `a snapshot that an unfinished change needs is not removed even by force`()
    throws
  {
    let directory = try TemporaryDirectory()
    let workspace = try filled(directory, 5)
    let log = try workspace.log("img").map(\.committed)
    let journal = Journal(
      operation: .revert, image: "img", started: now(), method: .inPlace, target: log[4].id,
      before: log[2].id, command: "revert", message: "revert to @1")
    let image = try ImageName("img")
    try workspace.store().journals.write(journal.encode(), of: image)
    let outcome = try workspace.forget(["img"], policy(last: 1), force: true)
    #expect(outcome.kept.map(\.snapshot.number) == [1, 3, 5])
    #expect(outcome.kept[0].reasons == [.underWay(what: "a revert to img@1")])
    let refused = #expect(throws: ImageError.self) { try workspace.remove(["img@3"], force: true) }
    #expect(refused?.errorCode == .changeUnfinished)
    try workspace.store().journals.remove(image)
    _ = try workspace.remove(["img@3"], force: true)
    #expect(try workspace.log("img").map(\.committed.number) == [5, 1])
  }
}
