// References in the forms that people write.

import Images
import Platform
import TestSupport
import Testing

@Suite struct ReferenceTests {
  @Test func `every documented form of a reference is parsed`() throws {
    #expect(try Reference("c").selector == .latest)
    #expect(try Reference("c@12").selector == .number(12))
    #expect(try Reference("c@~3").selector == .back(3))
    #expect(try Reference("c@golden").selector == .tag("golden"))
    #expect(try Reference("@1").image == "")
    #expect(try Reference("c@live").selector == .live)
    #expect(try Reference("c@15604adab51d").selector == .idPrefix("15604adab51d"))
    #expect(
      try Reference("c@2026-11-08 12:30").selector == Reference("c@2026-11-08T12:30").selector)
    #expect(try PathReference("c@1:/etc/a:b").path == "/etc/a:b")
    #expect(try PathReference("c@2026-11-08T12:30").path == nil)
    #expect(try PathReference("c@2026-11-08T12:30:/etc").path == "/etc")
    #expect(try PathReference("c@2026-11-08 12:30:/etc").path == "/etc")
    #expect(try PathReference("c", path: "/etc") == PathReference("c:/etc"))
    for bad in ["", "c@", "c@~", "c@~x", "c@2026-13-01", "c@2026-11-08T25:00", "c@12x"] {
      #expect(throws: ImageError.self, "\(bad)") { try Reference(bad) }
    }
  }

  @Test func `a path in a reference is never ignored`() throws {
    for text in ["c:/etc", "c@1:etc", "c@golden:/etc/hosts", "c@2026-11-08T12:30:/etc", "c@1:"] {
      let error = #expect(throws: ImageError.self, "\(text)") { try Reference(text) }
      #expect(error?.errorCode.category == .usage)
    }
    #expect(throws: ImageError.self) { try PathReference("c:/etc", path: "/usr") }
  }

  @Test func `weekdays and dates select the snapshot of that day`() throws {
    guard case .asOf(let now) = try Reference("c@today").selector,
      case .asOf(let then) = try Reference("c@yesterday").selector
    else {
      Issue.record("no times")
      return
    }
    // Yesterday ended at most a day ago (25 hours if the clock was set back).
    #expect(then < now && now - then <= 25 * 3600)
  }

  @Test(.usesTools) func `a profile or a part of a name suffices if it is unambiguous`() throws {
    let directory = try TemporaryDirectory()
    let messages = Monitor<[String]>([])
    let workspace = try Workspace.test(directory) { line in messages.withLock { $0.append(line) } }
    let long = "rhels8.5.0-x86_64-netboot-compute"
    for (name, profile) in [(long, "compute"), ("rhels8.5.0-x86_64-netboot-login", "login")] {
      _ = try workspace.define(
        name, ["provmethod=netboot", "profile=\(profile)", "rootimgdir=/img"])
    }
    try shell("echo x >\"$1\"", directory.path("root/img/rootimg/f"))
    for text in ["compute", "netboot-compute", long] {
      #expect(try workspace.snapshot(text).committed.snapshot.image == long)
    }
    #expect(messages.withLock { $0.filter { $0 == "'compute' is image \(long)" }.count } == 1)
    #expect(try workspace.find(Reference("compute@2")).number == 2)
    #expect(try workspace.log("compute").count == 3)
    for (text, code) in [
      ("netboot", ErrorCategory.notFound), ("rhels8.5.0-x86_64-netboot-compote", .notFound),
      ("nothing-like-it", .notFound), ("compute@1", .usage), ("compute@1:/etc", .usage),
      ("", .usage),
    ] {
      let error = #expect(throws: ImageError.self, "\(text)") { try workspace.snapshot(text) }
      #expect(error?.errorCode.category == code, "\(text)")
    }
    // The hint is to define an image only if no name is similar. Commands that remove snapshots never
    // guess.
    func hint(_ text: String) -> String {
      do { _ = try workspace.snapshot(text) } catch let error as ImageError {
        return error.hint
      } catch {}
      return ""
    }
    #expect(!hint("rhels8.5.0-x86_64-netboot-compote").contains("imgstore add"))
    #expect(hint("nothing-like-it").contains("imgstore add"))
    #expect(throws: ImageError.self) { try workspace.remove(["compute"], force: true) }
    #expect(try workspace.log(long).count == 3)
  }

  @Test(.usesTools) func `references select the expected snapshots`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    for i in 1...3 {
      try shell("echo \(i) >\"$1\"", directory.path("root/img/rootimg/f"))
      _ = try workspace.snapshot("img", tags: i == 2 ? ["golden"] : [])
    }
    func number(_ text: String) throws -> Int { try workspace.find(try Reference(text)).number }
    #expect(try number("img") == 3)
    #expect(try number("@1") == 1)
    #expect(try number("img@~1") == 2)
    #expect(try number("img@golden") == 2)
    #expect(try number("img@2100-01-01") == 3)
    let id = try workspace.find(try Reference("img@2")).id.hex
    #expect(try number(id) == 2)
    #expect(try number(String(id.prefix(8))) == 2)
    #expect(try number("img@" + id.prefix(8)) == 2)
    #expect(try number("img@today") == 3)
    for absent in ["img@9", "img@~3", "img@none", "img@1999-01-01", "other", "ffffff"] {
      #expect(throws: ImageError.self, "\(absent)") { try number(absent) }
    }
    #expect(throws: (any Error).self, "a taken tag") {
      try workspace.snapshot("img", tags: ["golden"])
    }
    #expect(try workspace.log("img").count == 3)
  }
}
