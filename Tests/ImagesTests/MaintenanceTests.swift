// imgstore maintain: schedules and retention over simulated months, an image disk that is away, and other
// processes at work.

import Foundation
import Images
import Platform
import Settings
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct MaintenanceTests {
  private static let day: Int64 = 86_400
  private static let light = "[maintain]\noptimize-time = 0\nverify-time = 0\n"

  private func directoryNode() throws -> ClockedNode {
    let site = try ClockedNode(TestNode.directory("srv/compute", tree: ["etc/motd": "0\n"]))
    _ = try site.node.open().initializeStore(group: nil)
    _ = try site.node.open().addDirectory("compute", at: site.node.tree)
    return site
  }

  // MARK: The policy

  /// A second implementation of the rules, by the calendar of Foundation.
  private static func expected(
    _ history: [(number: Int, created: Int64)], last: Int, daily: Int, weekly: Int, monthly: Int
  ) -> [Int] {
    var calendar = Calendar(identifier: .iso8601)
    calendar.timeZone = .current
    var kept = Set(history.suffix(max(1, last)).map(\.number))
    let periods: [(Int, Set<Calendar.Component>)] = [
      (daily, [.year, .month, .day]), (weekly, [.yearForWeekOfYear, .weekOfYear]),
      (monthly, [.year, .month]),
    ]
    for (limit, components) in periods {
      let groups = Dictionary(grouping: history) {
        calendar.dateComponents(components, from: Date(timeIntervalSince1970: Double($0.created)))
      }
      let latest = groups.values.compactMap { $0.max { $0.created < $1.created } }
      kept.formUnion(latest.sorted { $0.created > $1.created }.prefix(limit).map(\.number))
    }
    return kept.sorted()
  }

  @Test func `a simulated quarter of nightly runs keeps exactly what the policy says`() throws {
    let site = try directoryNode()
    let configuration =
      Self.light + """
        [image."*".retention]
        keep-last = 2
        keep-daily = 7
        keep-weekly = 4
        keep-monthly = 3
        """
    var random = SplitMix64(seeds[0])
    var history: [(number: Int, created: Int64)] = []
    var changes = 0
    let start = site.now
    for night in 1...92 {
      // The timer has a random delay of up to an hour.
      let time = start + Int64(night) * Self.day + Int64.random(in: 0..<3600, using: &random)
      site.advance(time - site.now)
      let isChanged = night % 4 != 0
      if isChanged {
        changes += 1
        try site.node.write("\(night)\n", to: "srv/compute/etc/motd")
      }
      let outcome = try site.open(configuration).maintain()
      #expect(outcome.result == .ok, "night \(night): \(outcome.problems)")
      let image = try #require(outcome.images.first)
      #expect(image.action == (isChanged ? .recorded : .unchanged), "night \(night)")
      if isChanged { history.append((changes, site.now)) }
      let kept = Self.expected(history, last: 2, daily: 7, weekly: 4, monthly: 3)
      #expect(try site.history("compute").map(\.number) == kept, "night \(night)")
      let removed = history.map(\.number).filter { !kept.contains($0) }
      #expect(image.forgotten.map(\.number) == removed, "night \(night)")
      history.removeAll { !kept.contains($0.number) }
    }
    #expect(changes == 69 && history.count < 20 && history.count > 7)
    #expect(try site.open().verify(deep: true).isClean)
  }

  @Test func `without a retention rule nothing is removed, and an image is checked once a day`()
    throws
  {
    let site = try directoryNode()
    for hour in 0..<72 {
      try site.node.write("\(hour)\n", to: "srv/compute/etc/motd")
      _ = try site.open(Self.light).maintain()
      site.advance(3600)
    }
    // Noon of the first day to noon of the fourth one: parts of four days.
    #expect(try site.history("compute").map(\.number) == [1, 2, 3, 4])
  }

  @Test(arguments: [
    ("hourly", 3600, 24, 24), ("daily", 3600, 48, 3), ("weekly", 86_400, 28, 5),
    ("monthly", 86_400, 59, 2), ("6h", 3600, 24, 4), ("never", 86_400, 5, 0),
  ])
  func `a schedule decides when an image is due`(
    schedule: String, step: Int, runs: Int, snapshots: Int
  ) throws {
    let site = try directoryNode()
    let configuration = Self.light + "[image.compute]\nschedule = \"\(schedule)\"\n"
    for run in 0..<runs {
      try site.node.write("\(run)\n", to: "srv/compute/etc/motd")
      let outcome = try site.open(configuration).maintain()
      #expect(outcome.result == .ok)
      site.advance(Int64(step))
    }
    #expect(try site.history("compute").count == snapshots)
  }

  @Test func `a clock that was ahead does not stop snapshots`() throws {
    let site = try directoryNode()
    site.advance(400 * Self.day)
    _ = try site.open(Self.light).maintain()
    site.advance(-400 * Self.day)
    try site.node.write("x\n", to: "srv/compute/etc/motd")
    #expect(try site.open(Self.light).maintain().images.first?.action == .recorded)
  }

  // MARK: A disk that is away

  private static let strict =
    light + """
      [image."*".retention]
      keep-last = 1
      keep-daily = 3
      keep-auto = 0
      """

  @Test(arguments: [
    "mv TREE TREE.away", "mv TREE TREE.away; mkdir TREE", "mv TREE TREE.away; touch TREE",
  ])
  func `after ten nights with the image disk away nothing good is lost`(_ script: String) throws {
    let site = try directoryNode()
    let tree = site.node.tree
    for night in 1...4 {
      try site.node.write("\(night)\n", to: "srv/compute/etc/motd")
      #expect(try site.open(Self.strict).maintain().result == .ok)
      site.advance(Self.day)
    }
    let before = try site.history("compute").map(\.number)
    #expect(before == [2, 3, 4])
    try shell(script.replacingOccurrences(of: "TREE", with: "\"$1\""), tree)
    for _ in 1...10 {
      let outcome = try site.open(Self.strict).maintain()
      #expect(outcome.result == .problems)
      #expect(outcome.images.first?.action == .failed && outcome.images.first?.error != nil)
      site.advance(Self.day)
    }
    #expect(try site.history("compute").map(\.number) == before)
    #expect(try site.open().verify(deep: true).isClean)
    try shell("rm -rf \"$1\"; mv \"$1.away\" \"$1\"", tree)
    try site.node.write("back\n", to: "srv/compute/etc/motd")
    let outcome = try site.open(Self.strict).maintain()
    #expect(outcome.result == .ok && outcome.images.first?.snapshot == "compute@5")
    #expect(try site.history("compute").map(\.number) == [3, 4, 5])
  }

  @Test func `an osimage whose tree is away keeps its snapshots for ten nights`() throws {
    let site = try ClockedNode(TestNode(image: "img"))
    _ = try site.open(Self.strict).snapshot("img")
    try shell("mv \"$1\" \"$1.away\"", site.node.path("/img"))
    for _ in 1...10 {
      site.advance(Self.day)
      #expect(try site.open(Self.strict).maintain().result == .problems)
    }
    #expect(try site.history("img").map(\.number) == [1])
  }

  @Test func `images that no table defines any more keep all snapshots`() throws {
    let site = try ClockedNode(TestNode(image: "img"))
    for i in 1...3 {
      try site.node.write("\(i)\n", to: "/img/rootimg/etc/motd")
      _ = try site.open().snapshot("img")
      site.advance(Self.day)
    }
    try shell("cd \"$1/xcat\"; rm -f *", site.node.directory.path("store"))
    let outcome = try site.open(Self.strict).maintain()
    #expect(outcome.images.map(\.action) == [.undefined])
    #expect(outcome.result == .problems, "all images are undefined: the tables are away")
    #expect(try site.history("img").map(\.number) == [1, 2, 3])
  }

  @Test func `a store that is away is not created`() throws {
    let site = try directoryNode()
    let store = site.node.directory.path("store")
    try shell("mv \"$1\" \"$1.away\"", store)
    #expect(errorCode { _ = try site.open().maintain() } == .storeNotFound)
    #expect(!FileManager.default.fileExists(atPath: store))
  }

  // MARK: Others at work

  private func hold(_ name: String, of site: ClockedNode) throws -> FileLock {
    let files = KernelFileSystem.shared
    let locks = try files.openDirectory(
      at: files.workingDirectory, Array(site.node.directory.path("store/locks").utf8))
    return try #require(
      try FileLock.acquireIfFree(files, at: locks.raw, Array(name.utf8), exclusive: true))
  }

  @Test func `a second maintain ends at once with its own code`() throws {
    let site = try directoryNode()
    let lock = try site.open().store().lockMaintenance()
    let start = monotonicSeconds()
    #expect(errorCode { _ = try site.open().maintain() } == .maintenanceRunning)
    #expect(monotonicSeconds() - start < 5)
    #expect(try site.open().maintain(.dryRun).isDryRun, "a dry run needs no lock")
    withExtendedLifetime(lock) {}
  }

  @Test func `an image that another process uses is skipped, and the others are maintained`() throws
  {
    let site = try directoryNode()
    let other = site.node.path("srv/login")
    try shell("mkdir -p \"$1\"; echo x >\"$1/f\"", other)
    _ = try site.node.open().addDirectory("login", at: other)
    _ = try site.open(Self.light).maintain()
    site.advance(Self.day)
    try site.node.write("new\n", to: "srv/compute/etc/motd")
    try site.node.write("new\n", to: "srv/login/f")
    do {
      let lock = try hold("image-compute", of: site)
      let outcome = try site.open(Self.light).maintain()
      #expect(outcome.images.map(\.action) == [.busy, .recorded])
      #expect(outcome.result == .busy)
      withExtendedLifetime(lock) {}
    }
    // It is still due.
    let again = try site.open(Self.light).maintain()
    #expect(again.images.map(\.action) == [.recorded, .notDue] && again.result == .ok)
  }

  @Test func `an osimage that xCAT works on is skipped`() throws {
    let site = try ClockedNode(TestNode(image: "img"))
    _ = try site.open().snapshot("img")
    let lock = try TreeLock(of: "/img/rootimg", below: site.node.path(""))
    site.advance(Self.day)
    try site.node.write("x", to: "/img/rootimg/etc/motd")
    let outcome = try site.open(Self.light).maintain()
    #expect(outcome.images.map(\.action) == [.busy] && outcome.result == .busy)
    #expect(try site.history("img").map(\.number) == [1])
    withExtendedLifetime(lock) {}
  }

  @Test func `a collection at work is reported as busy`() throws {
    let site = try directoryNode()
    let lock = try hold("gc", of: site)
    let outcome = try site.open().maintain()
    #expect(outcome.collection == nil && outcome.result == .busy)
    #expect(outcome.images.map(\.action) == [.recorded] && outcome.verification != nil)
    withExtendedLifetime(lock) {}
  }

  @Test func `an image with an unfinished change is left alone`() throws {
    let site = try ClockedNode(
      TestNode(image: "img", tree: ["f1": "a", "f2": "a", "f3": "a", "f4": "a"]))
    _ = try site.open().snapshot("img")
    for i in 1...4 { try site.node.write("b", to: "/img/rootimg/f\(i)") }
    _ = try site.open().snapshot("img")
    var request = RevertRequest("img@1")
    request.method = .inPlace
    let failing = try site.open(
      fileSystem: FaultyFileSystem(.nth(2, "exchange", .noSpace)))
    #expect(throws: (any Error).self) { try failing.revert(request) }
    let before = try site.history("img").map(\.number)
    site.advance(10 * Self.day)
    let outcome = try site.open(Self.strict).maintain()
    #expect(outcome.images.map(\.action) == [.unfinished] && outcome.result == .unfinished)
    #expect(try site.history("img").map(\.number) == before)
  }

  @Test func `damage is the worst result`() throws {
    let site = try directoryNode()
    try shell("head -c 200000 /dev/urandom >\"$1/large\"", site.node.tree)
    _ = try site.open().snapshot("compute")
    try shell(
      "cd \"$1/packs\"; for f in *; do chmod u+w $f; printf X | dd of=$f bs=1 seek=100000 conv=notrunc status=none; break; done",
      site.node.directory.path("store"))
    let outcome = try site.open("[maintain]\noptimize-time = 0\n").maintain()
    #expect(outcome.result == .damaged)
    #expect(try site.open().store().maintenanceRecord.problems ?? 0 > 0)
  }

  // MARK: Hooks, excludes, dry runs

  @Test func `hooks run around each snapshot, and a failure before it prevents it`() throws {
    let site = try directoryNode()
    let log = site.node.directory.path("log")
    let script = site.node.directory.path("hook")
    try shell(
      "printf '#!/bin/sh\\necho \"$1 $IMGSTORE_IMAGE $IMGSTORE_SNAPSHOT\" >>\"%s\"\\nexit ${2:-0}\\n' \"$2\" >\"$1\"; chmod 755 \"$1\"",
      script, log)
    func configuration(_ status: Int) -> String {
      Self.light + "[image.compute]\npre-snapshot = [\"\(script)\", \"pre\", \"\(status)\"]\n"
        + "post-snapshot = [\"\(script)\", \"post; x\"]\n"
    }
    #expect(try site.open(configuration(0)).maintain().result == .ok)
    #expect(
      try String(contentsOfFile: log, encoding: .utf8)
        == "pre compute \npost; x compute compute@1\n")
    site.advance(Self.day)
    try site.node.write("x\n", to: "srv/compute/etc/motd")
    let outcome = try site.open(configuration(3)).maintain()
    #expect(outcome.images.first?.error?.errorCode == .hookFailed && outcome.result == .problems)
    #expect(errorCode { _ = try site.open(configuration(3)).snapshot("compute") } == .hookFailed)
    #expect(try site.history("compute").count == 1)
  }

  @Test func `configured excludes are left out of snapshots and stay in a revert`() throws {
    let site = try directoryNode()
    let configuration = Self.light + "[image.compute]\nexcludes = [\"*.log\"]\n"
    try site.node.write("log\n", to: "srv/compute/x.log")
    let workspace = try site.open(configuration)
    _ = try workspace.snapshot("compute")
    #expect(try workspace.status("compute").isClean)
    try site.node.write("other\n", to: "srv/compute/x.log")
    try site.node.write("new\n", to: "srv/compute/etc/motd")
    _ = try site.open(configuration).revert(RevertRequest("compute@1"))
    #expect(try site.node.text("srv/compute/x.log") == "other\n")
    #expect(try site.node.text("srv/compute/etc/motd") == "0\n")
  }

  @Test func `a dry run changes nothing and names what it would do`() throws {
    let site = try directoryNode()
    for i in 1...3 {
      try site.node.write("\(i)\n", to: "srv/compute/etc/motd")
      _ = try site.open(Self.light).maintain()
      site.advance(Self.day)
    }
    try site.node.write("4\n", to: "srv/compute/etc/motd")
    let before = try shell(
      "cd \"$1\"; find . -type f -path './[rpdt]*' | xargs sha256sum | sort",
      site.node.directory.path("store"))
    let configuration = Self.light + "[image.compute.retention]\nkeep-last = 1\n"
    let outcome = try site.open(configuration).maintain(.dryRun)
    #expect(outcome.images.map(\.action) == [.wouldRecord])
    #expect(outcome.images.first?.forgotten.map(\.number) == [1, 2])
    let after = try shell(
      "cd \"$1\"; find . -type f -path './[rpdt]*' | xargs sha256sum | sort",
      site.node.directory.path("store"))
    #expect(before.output == after.output)
    #expect(try site.history("compute").map(\.number) == [1, 2, 3])
  }
}

extension MaintenanceRequest {
  fileprivate static var dryRun: MaintenanceRequest {
    var request = MaintenanceRequest()
    request.isDryRun = true
    return request
  }
}
