// Tags and pins whose files are damaged: they are named, never silently lost, and still protect.

import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct DamagedMarkTests {
  /// A store with the snapshots 1 to 3, the tag `golden` and a pin of the first one, and a copy of the store.
  private struct Site {
    let directory: TemporaryDirectory

    init() throws {
      directory = try TemporaryDirectory()
      let workspace = try Workspace.test(directory)
      for i in 1...3 {
        try shell("echo \(i) >\"$1/f\"", directory.path("root/img/rootimg"))
        _ = try workspace.snapshot("img", tags: [i == 1 ? "golden" : "t\(i)"])
      }
      try workspace.store().refs.pin(ImageName("img"), 1, reason: "audit")
      try shell("cp -a \"$1/store\" \"$1/copy\"", directory.path)
    }

    func open() throws -> Workspace {
      try Workspace(
        WorkspaceOptions(store: directory.path("store"), root: directory.path("root"))
      ) { _ in }
    }

    func damage(_ script: String) throws { try shell("cd \"$1/store\"; \(script)", directory.path) }

    func repair(from sources: [String] = [], dryRun: Bool = false) throws -> RepairOutcome {
      var options = RepairOptions()
      options.sources = sources.map(directory.path)
      options.isDryRun = dryRun
      return try open().repair(options)
    }

    func forgetOld() throws -> ForgetOutcome {
      var policy = RetentionPolicy()
      policy.last = 1
      return try open().forget(["img"], policy)
    }
  }

  private static let tagDamages = [
    "truncate -s 0 tags/img/golden", "rm tags/img/golden; mkfifo tags/img/golden",
    "rm tags/img/golden; mkdir tags/img/golden", "printf 1 >tags/img/golden",
    "head -c 3000 /dev/urandom >tags/img/golden", "truncate -s 1G tags/img/golden",
    "echo x >tags/img/golden", "sed -i '2s/img/imf/' tags/img/golden",
    "sed -i '2s/ ..../ 0000/' tags/img/golden",
  ]

  @Test(arguments: tagDamages)
  func `a damaged tag is named and protects, before and after a repair`(_ damage: String) throws {
    let site = try Site()
    try site.damage(damage)
    for isRepaired in [false, true] {
      if isRepaired {
        let planned = try site.repair(dryRun: true)
        let outcome = try site.repair()
        for outcome in [planned, outcome] {
          #expect(outcome.losses.paths.map(\.snapshot) == ["img@golden"])
          #expect(outcome.losses.counts.marks == 1 && outcome.losses.pathCount == 1)
          #expect(!outcome.isClean)
        }
        #expect(try site.repair().actions.isEmpty, "a second repair finds nothing to do")
      }
      let workspace = try site.open()
      #expect(try workspace.damagedMarks(of: "img").map(\.reference) == ["img@golden"])
      #expect(try workspace.history(of: "img").damagedMarks.map(\.name) == ["golden"])
      #expect(try workspace.tags(of: "img").map(\.tag) == ["t2", "t3"])
      #expect(errorCode { _ = try workspace.find(Reference("img@golden")) } == .damaged)
      #expect(errorCode { _ = try site.forgetOld() } == .damaged)
      #expect(errorCode { _ = try workspace.remove(["img@2"]) } == .damaged)
      #expect(
        try workspace.verify(deep: false).problems.flatMap { $0.affected.map(\.snapshot) }
          == ["img@golden"])
    }
    #expect(try site.open().log("img").count == 3)
  }

  @Test(arguments: tagDamages)
  func `a damaged tag comes back from another store`(_ damage: String) throws {
    let site = try Site()
    try site.damage(damage)
    #expect(try site.repair(from: ["copy"], dryRun: true).isClean)
    #expect(try site.repair(from: ["copy"]).isClean)
    #expect(try site.open().damagedMarks(of: nil).isEmpty)
    #expect(try site.open().tags(of: "img").map(\.tag) == ["golden", "t2", "t3"])
    #expect(try site.open().find(Reference("img@golden")).number == 1)
    _ = try site.open().unpin("img@1")
    #expect(try site.forgetOld().kept.map(\.snapshot.number).contains(1))
    #expect(try site.repair(from: ["copy"]).isClean)
  }

  @Test func `a tag whose file got another name inside comes back in the same repair`() throws {
    let site = try Site()
    try site.damage("sed -i '2s/golden/goldem/' tags/img/golden")
    #expect(try site.repair(from: ["copy"], dryRun: true).isClean)
    #expect(try site.repair(from: ["copy"]).isClean)
    #expect(try site.open().tags(of: "img").map(\.tag).contains("golden"))
    #expect(try site.open().find(Reference("img@golden")).number == 1)
    #expect(try site.repair(from: ["copy"]).actions.isEmpty, "a second repair finds nothing to do")
  }

  @Test func `a source with another snapshot of that number restores no mark`() throws {
    let site = try Site()
    _ = try Workspace.test(site.directory, store: "other").snapshot("img", tags: ["golden"])
    try site.damage("truncate -s 0 tags/img/golden")
    #expect(try !site.repair(from: ["other"]).isClean)
    #expect(errorCode { _ = try site.forgetOld() } == .damaged)
  }

  @Test func `tag, untag and remove --force resolve a damaged tag`() throws {
    let site = try Site()
    try site.damage("truncate -s 0 tags/img/golden")
    _ = try site.open().tag("img@2", as: "golden")
    #expect(try site.open().find(Reference("img@golden")).number == 2)
    try site.damage("rm tags/img/golden; mkdir tags/img/golden")
    #expect(try site.open().untag("img@golden").number == 0)
    #expect(try site.open().damagedMarks(of: nil).isEmpty)
    #expect(try site.open().verify(deep: false).isClean)
    try site.damage("truncate -s 0 tags/img/t2")
    _ = try site.open().remove(["img@2"], force: true)
    #expect(try site.open().log("img").map(\.committed.number) == [3, 1])
  }

  @Test func `the tag of a damaged file with a wrong number is not removed with that snapshot`()
    throws
  {
    let site = try Site()
    try site.damage("sed -i '1s/1/2/' tags/img/golden")
    _ = try site.open().remove(["img@2"], force: true)
    #expect(try site.repair().isClean)
    #expect(try site.open().find(Reference("img@golden")).number == 1)
  }

  @Test func `swapped tags both return to their places`() throws {
    let site = try Site()
    try site.damage("cd tags/img; mv golden x; mv t2 golden; mv x t2")
    #expect(errorCode { _ = try site.open().find(Reference("img@golden")) } == .damaged)
    #expect(try site.repair().isClean)
    #expect(
      try site.open().tags(of: "img").map { "\($0.tag) \($0.snapshot.number)" }
        == ["golden 1", "t2 2", "t3 3"])
  }

  @Test(arguments: [
    "truncate -s 0 pins/img/0000000001", "rm pins/img/*; mkfifo pins/img/0000000001",
    "head -c 2000 /dev/zero >pins/img/0000000001",
  ])
  func `a damaged pin is named, protects, and comes back`(_ damage: String) throws {
    let site = try Site()
    _ = try site.open().untag("img@golden")
    try site.damage(damage)
    #expect(try site.open().damagedMarks(of: "img").map(\.reference) == ["img@1"])
    #expect(try !site.repair().isClean)
    #expect(try site.forgetOld().kept.map(\.snapshot.number).contains(1))
    #expect(try site.repair(from: ["copy"]).isClean)
    #expect(try site.open().pins(of: "img").map(\.reason) == ["audit"])
  }

  @Test func `marks that were lost with their folder come back from another store`() throws {
    let site = try Site()
    try site.damage("rm -r tags pins; touch tags pins")
    #expect(try site.repair(from: ["copy"]).isClean)
    #expect(try site.open().tags(of: "img").count == 3)
    #expect(try site.open().pins(of: "img").map(\.snapshot.number) == [1])
  }

  @Test func `damaged tags go with the last snapshot of an image`() throws {
    let site = try Site()
    try site.damage("truncate -s 0 tags/img/golden")
    _ = try site.open().forgetEntirely(["img"], force: true)
    #expect(try site.open().verify(deep: false).isClean)
  }
}
