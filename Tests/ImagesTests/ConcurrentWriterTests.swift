// Other processes write while `pack` and `revert` change an image: their changes are kept and reported. For
// writers during the steps of a plan, see Tests/ApplyTests/ConcurrentWriterTests.swift.

import Foundation
import Images
import Platform
import TestSupport
import Testing
import XCAT

@Suite(.usesTools) struct ConcurrentWriterTests {
  @Test(arguments: ["before", nil])
  func `a packed image that changes during a pack is kept`(_ old: String?) throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    try shell("echo a >\"$1/f\"", directory.path("root/img/rootimg"))
    let path = directory.path("packed.cpio.gz")
    if let old { try Data(old.utf8).write(to: URL(fileURLWithPath: path)) }
    let files = FaultyFileSystem(
      .before(0, old == nil ? "rename" : "exchange") {
        try? Data("theirs".utf8).write(to: URL(fileURLWithPath: path))
      })
    _ = try workspace.snapshot("img")
    var request = PackRequest("img")
    request.output = path
    let other = try Workspace(workspace.options, fileSystem: files) { _ in }
    #expect(throws: (any Error).self) { try other.pack(request) }
    #expect(files.isHit)
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "theirs")
    let names = try FileManager.default.contentsOfDirectory(atPath: directory.path)
    #expect(!names.contains { $0.contains("imgstore-part") })
  }

  @Test func `a table row that changes during a revert is kept, and the others are set`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    try shell("echo old >\"$1/img/rootimg/g\"", directory.path("root"))
    _ = try workspace.define("img", ["osdistroname=one", "pkgdir=/install/one"])
    _ = try workspace.snapshot("img")
    _ = try workspace.define("img", ["osdistroname=two", "pkgdir=/install/two"])
    try shell("echo new >\"$1/img/rootimg/f\"", directory.path("root"))
    let options = workspace.options
    let tables = SQLiteTableBackend(
      KernelFileSystem.shared, directory: Array(directory.path("store/xcat").utf8), mayCreate: false
    )
    let change = RowChange(
      schema: .osimage, key: ["imagename": "img"], columns: ["osdistroname": "precious"],
      keepsOtherColumns: true)
    let files = FaultyFileSystem(
      .before(0, "syncFileSystem") { _ = try? tables.apply([change]) })
    let outcome = try Workspace(options, fileSystem: files) { _ in }.revert("img@1")
    #expect(files.isHit && !outcome.isExact)
    #expect(
      outcome.apply.report.problems.map { String(decoding: $0.path, as: UTF8.self) }
        == ["osimage img"])
    let now = try #require(try tables.definition(of: "img"))
    #expect(now.osimage["osdistroname"] == "precious")
    #expect(now.linuximage["pkgdir"] == "/install/one")
  }
}
