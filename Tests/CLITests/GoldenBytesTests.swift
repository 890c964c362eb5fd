// Bytes that must never change: packs and bundles from a store that an older program wrote, and the
// packs of a tree (Tests/Golden). Each format has its own store there. Files are added and never
// regenerated.

import Foundation
import TestSupport
import Testing

@Suite struct GoldenBytesTests {
  private static let directory =
    URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().path + "/Golden"

  /// Unpacks a store, and returns its path.
  private func store(_ version: String, in directory: TemporaryDirectory) throws -> String {
    try shell(
      "tar xzf \"$1\" -C \"$2\"", "\(Self.directory)/store-\(version).tar.gz", directory.path)
    return directory.path("store")
  }

  @Test(arguments: ["0.1"])
  func `packs and bundles of an old store are byte-identical to those of its time`(version: String)
    throws
  {
    let directory = try TemporaryDirectory()
    let result = try run(
      Self.directory + "/outputs.sh",
      arguments: [binary, try store(version, in: directory), directory.path("out")])
    #expect(result.status == 0, "\(result.errors)")
    let then = try String(
      contentsOfFile: Self.directory + "/outputs-\(version).txt", encoding: .utf8)
    func lines(_ text: String, _ isLibrary: Bool) -> [Substring] {
      text.split(separator: "\n").filter { $0.hasPrefix("#") == isLibrary }
    }
    // Other libraries compress to other bytes, of the same content.
    let isComparable = lines(then, true) == lines(result.output, true)
    func comparable(_ text: String) -> [Substring] {
      lines(text, false).filter { isComparable || !$0.contains("compressed") }
    }
    #expect(comparable(result.output) == comparable(then))
    #expect(comparable(then).count >= 20)
  }

  @Test(.enabled(if: geteuid() == 0), arguments: ["0.1"])
  func `an old store verifies, and its snapshots restore`(
    version: String
  ) throws {
    let directory = try TemporaryDirectory()
    let store = try store(version, in: directory)
    try shell("mkdir \"$1\"", directory.path("root"))
    let environment = [
      "IMGSTORE_STORE": store, "IMGSTORE_ROOT": directory.path("root"), "TZ": "UTC",
      "IMGSTORE_CONFIG_DIR": directory.path("config"),
    ]
    func imgstore(_ words: String...) throws -> ToolResult {
      try run(binary, arguments: words, environment: environment)
    }
    #expect(try imgstore("verify", "--deep").status == 0)
    #expect(try imgstore("revert", "compute@golden").status == 0)
    #expect(try imgstore("revert", "chroot").status == 0)
    // The script that made the first snapshot's node makes it again.
    try shell("\"$1/make-node.sh\" \"$2\"", Self.directory, directory.path("again"))
    let difference = try run(
      "rsync",
      arguments: [
        "-aHAXcni", "--delete",
        directory.path("again/root") + "/install/netboot/os1/x86_64/compute/rootimg/",
        directory.path("root/install/netboot/os1/x86_64/compute/rootimg") + "/",
      ])
    #expect(difference.status == 0 && difference.output == "", "\(difference.output)")
    #expect(try imgstore("status", "compute", "--exit-code").status == 0)
  }
}
