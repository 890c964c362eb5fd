// Golden texts: the help and the output of a typical day (Tests/Golden).

import Foundation
import TestSupport
import Testing

/// Complete texts, so that a review sees a change as a whole. `make golden` rewrites them.
@Suite struct GoldenTextTests {
  private static let folder =
    URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().path + "/Golden"

  @Test(.enabled(if: geteuid() == 0)) func `the output of a typical day equals the golden text`()
    throws
  {
    let folder = try TemporaryFolder()
    try expect("day", [binary, folder.path("day")])
  }

  @Test func `the help texts equal the golden text`() throws { try expect("help", [binary]) }

  private func expect(_ name: String, _ arguments: [String]) throws {
    let result = try run("\(Self.folder)/\(name).sh", arguments: arguments)
    #expect(result.status == 0, "\(result.errors)")
    let folder = try TemporaryFolder()
    try result.output.write(toFile: folder.path("now"), atomically: false, encoding: .utf8)
    let difference = try run(
      "diff", arguments: ["-u", "\(Self.folder)/\(name).txt", folder.path("now")])
    #expect(difference.output == "")
  }
}
