// imgstore doctor: broken set-ups, each found by its check.

import Foundation
import Images
import Platform
import Settings
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct DoctorTests {
  private let site: ClockedNode
  private var store: String { site.node.directory.path("store") }

  init() throws {
    site = try ClockedNode(TestNode(image: "img"))
    _ = try site.open().snapshot("img")
    _ = try site.open().maintain()
  }

  private func problems(_ configuration: String = "") throws -> [String] {
    try site.open(configuration).doctor().findings.filter(\.isProblem).map(\.check)
  }

  private func findings(_ configuration: String = "") throws -> [DoctorFinding] {
    try site.open(configuration).doctor().findings
  }

  @Test func `a healthy node has no finding`() throws {
    let report = try site.open().doctor()
    #expect(report.findings.map(\.reason) == [])
    #expect(!report.hasProblems && report.checks.count >= 12)
  }

  @Test func `errors of the configuration are findings`() throws {
    let errors = ConfigurationReader.read(Array("x = 1\n".utf8), path: "/f").errors
    let report = try site.open().doctor(configurationErrors: errors)
    #expect(report.findings.map(\.check) == ["config"] && report.hasProblems)
  }

  @Test func `a missing hook and one that cannot be run are found`() throws {
    #expect(try problems("[image.img]\npre-snapshot = [\"/nonexistent/hook\"]\n") == ["hooks"])
    #expect(try problems("[image.img]\npost-snapshot = [\"/etc/passwd\"]\n") == ["hooks"])
  }

  @Test func `a metrics file that no collector reads is found`() throws {
    #expect(try problems("[maintain]\nmetrics = \"/nonexistent/x.prom\"\n") == ["metrics"])
    #expect(
      try problems(
        "[maintain]\nmetrics = \"\(store)/../x.txt\"\n".replacingOccurrences(
          of: "/store/..", with: "")) == ["metrics"])
  }

  @Test func `a section that applies to no image is advice`() throws {
    let findings = try findings("[image.imh]\nschedule = \"daily\"\n")
    #expect(findings.map(\.check) == ["config-patterns"] && findings.first?.isProblem == false)
    #expect(findings.first?.hint.contains("img") == true)
  }

  @Test func `a missing store is found`() throws {
    try shell("mv \"$1\" \"$1.away\"", store)
    #expect(try problems() == ["store"])
  }

  @Test func `a store that others can write is found`() throws {
    try shell("chmod 777 \"$1\"", store)
    #expect(try problems().contains("store"))
  }

  @Test func `a store of a newer version is found`() throws {
    try shell(
      "chmod u+w \"$1/format\"; printf 'imgstore store\\nversion 99\\n' >\"$1/format\"", store)
    #expect(try problems().contains("store"))
  }

  @Test func `tables that cannot be read are found`() throws {
    try shell("for f in \"$1\"/*.sqlite; do echo garbage >$f; done", store + "/xcat")
    #expect(try problems().contains("tables"))
  }

  @Test(arguments: ["rm -r rootimg", "rm -r rootimg; mkdir rootimg"])
  func `a tree that is away is found`(_ script: String) throws {
    try shell("cd \"$1\"; \(script)", site.node.path("/img"))
    #expect(try problems() == ["images"])
  }

  @Test func `an image without a snapshot is found`() throws {
    _ = try site.open().define("new", ["provmethod=netboot", "rootimgdir=/new"])
    #expect(try problems() == ["images"])
  }

  @Test func `an unfinished change is found`() throws {
    for i in 1...4 { try site.node.write("a", to: "/img/rootimg/f\(i)") }
    _ = try site.open().snapshot("img")
    for i in 1...4 { try site.node.write("b", to: "/img/rootimg/f\(i)") }
    _ = try site.open().snapshot("img")
    var request = RevertRequest("img@2")
    request.method = .inPlace
    let failing = try site.open(fileSystem: FaultyFileSystem(.nth(2, "exchange", .noSpace)))
    #expect(throws: (any Error).self) { try failing.revert(request) }
    #expect(try problems() == ["images"])
  }

  @Test func `a clock that is wrong is found`() throws {
    site.advance(-3 * 86_400)
    #expect(try problems().contains("clock"))
    site.advance(-20 * 365 * 86_400)
    #expect(try problems().contains("clock"))
  }

  @Test func `a maintain that no longer runs is found`() throws {
    site.advance(3 * 86_400)
    #expect(try problems() == ["maintenance"])
    try shell(
      "mkdir -p \"$1/etc/systemd/system/timers.target.wants\"; ln -s /x \"$1/etc/systemd/system/timers.target.wants/imgstore-maintain.timer\"",
      site.node.path("/"))
    #expect(
      try findings().first { $0.check == "maintenance" }?.reason.contains("is enabled") == true)
  }

  @Test func `a store that was not verified for long is advice`() throws {
    site.advance(40 * 86_400)
    let finding = try findings().first { $0.check == "verification" }
    #expect(finding?.isProblem == false)
  }

  @Test func `damage is found`() throws {
    try shell(
      "cd \"$1/refs/img\"; f=$(ls | grep '^[0-9]' | tail -1); chmod u+w $f; echo x >$f", store)
    #expect(try problems().contains("damage"))
    _ = try? site.open().verify(deep: false)
    #expect(try problems().contains("verification"))
  }

  @Test func `a full file system is found`() throws {
    let report = try site.open(
      fileSystem: FaultyFileSystem(.always("freeBytes", .inputOutput))
    ).doctor()
    // A check that fails is a finding of that check, and all others ran.
    #expect(report.findings.map(\.check) == ["free-space"])
    #expect(report.checks.contains("images"))
  }

  @Test func `leftovers of killed commands are advice`() throws {
    try shell(
      "head -c 1000 /dev/zero >\"$1/tmp/0123\"; mkdir -p \"$1/quarantine\"; echo x >\"$1/quarantine/x\"",
      store)
    let findings = try findings()
    #expect(findings.map(\.check) == ["leftovers", "leftovers"])
    #expect(findings.count { $0.isProblem } == 0)
  }
}
