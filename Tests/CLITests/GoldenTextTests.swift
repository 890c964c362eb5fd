// Golden texts: the help and the output of a typical day (Tests/Golden).

import Foundation
import TestSupport
import Testing

/// Complete texts, so that a review sees a change as a whole. `make golden` rewrites them.
@Suite struct GoldenTextTests {
  private static let directory =
    URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().path + "/Golden"

  @Test(.enabled(if: geteuid() == 0)) func `the output of a typical day equals the golden text`()
    throws
  {
    let directory = try TemporaryDirectory()
    try expect("day", [binary, directory.path("day")])
  }

  @Test func `the help texts equal the golden text`() throws { try expect("help", [binary]) }

  private func expect(_ name: String, _ arguments: [String]) throws {
    let result = try run("\(Self.directory)/\(name).sh", arguments: arguments)
    #expect(result.status == 0, "\(result.errors)")
    let directory = try TemporaryDirectory()
    try result.output.write(toFile: directory.path("now"), atomically: false, encoding: .utf8)
    let difference = try run(
      "diff", arguments: ["-u", "\(Self.directory)/\(name).txt", directory.path("now")])
    #expect(difference.output == "")
  }
}
