// References, as people write them.

import Images
import TestSupport
import Testing

@Suite struct ReferenceTests {
  @Test func `forms`() throws {
    #expect(try Reference("c").selector == .latest)
    #expect(try Reference("c@12").selector == .number(12))
    #expect(try Reference("c@~3").selector == .back(3))
    #expect(try Reference("c@golden").selector == .tag("golden"))
    #expect(try Reference("@1").image == "")
    #expect(try Reference("c@1:/etc/a:b").path == "/etc/a:b")
    #expect(try Reference("c@2026-11-08T12:30").path == nil)
    #expect(try Reference("c@2026-11-08T12:30:/etc").path == "/etc")
    for bad in ["", "c@", "c@~", "c@~x", "c@2026-13-01", "c@2026-11-08T25:00", "c@12x"] {
      #expect(throws: ImageError.self, "\(bad)") { try Reference(bad) }
    }
  }

  @Test func `meaning`() throws {
    let folder = try TemporaryFolder()
    let workspace = try Workspace.test(folder)
    for i in 1...3 {
      try shell("echo \(i) >\"$1\"", folder.path("root/img/rootimg/f"))
      _ = try workspace.snapshot("img", tag: i == 2 ? "golden" : nil)
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
    for absent in ["img@9", "img@~3", "img@none", "img@1999-01-01", "other", "ffffff"] {
      #expect(throws: ImageError.self, "\(absent)") { try number(absent) }
    }
    #expect(throws: (any Error).self, "a taken tag") {
      try workspace.snapshot("img", tag: "golden")
    }
    #expect(try workspace.log("img").count == 3)
  }
}
