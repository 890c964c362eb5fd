// Imports of a new version of an image: its files are stored as deltas of the image's latest snapshot.

import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct ImportDeltaTests {
  enum Form: CaseIterable { case bundle, oci }

  private func write(_ bytes: [UInt8], _ name: String, _ node: TestNode) throws {
    try FileManager.default.createDirectory(
      at: URL(fileURLWithPath: node.tree + "/" + name).deletingLastPathComponent(),
      withIntermediateDirectories: true)
    try Data(bytes).write(to: URL(fileURLWithPath: node.tree + "/" + name))
  }

  private func export(_ node: TestNode, _ form: Form, _ name: String) throws -> String {
    let path = node.directory.path(name)
    switch form {
    case .bundle: return try node.bundle(name)
    case .oci:
      var request = OCIExportRequest(try node.workspace.snapshot(node.tree).committed.name)
      request.destination = .directory(path)
      _ = try node.workspace.exportOCI(request)
    }
    return path
  }

  @Test(arguments: Form.allCases)
  func `an import of a new version is stored as deltas`(_ form: Form) throws {
    let node = try TestNode.directory(tree: ["etc/hosts": "one\n"])
    var random = SplitMix64(11)
    // The bytes compress by a quarter.
    let names = ["big": 900_000, "lib/modules/6.1/a.ko": 40_000, "lib/modules/6.1/b/c.ko": 70_000]
    var contents: [(name: String, bytes: [UInt8])] = []
    for (name, count) in names.sorted(by: { $0.key < $1.key }) {
      contents.append((name, random.bytes(count).map { $0 & 0x3f }))
    }
    for (name, bytes) in contents { try write(bytes, name, node) }
    let first = try export(node, form, "first")
    // A new kernel has another directory.
    try shell("mv \"$1/lib/modules/6.1\" \"$1/lib/modules/6.2\"", node.tree)
    for (name, bytes) in contents {
      var bytes = bytes
      for _ in 0..<3 {
        let at = Int.random(in: 0..<bytes.count, using: &random)
        bytes.replaceSubrange(at..<at, with: random.bytes(20))
      }
      try write(bytes, name.replacingOccurrences(of: "6.1", with: "6.2"), node)
    }
    let second = try export(node, form, "second")

    let store = node.directory.path("other")
    let other = try Workspace(WorkspaceOptions(store: store)) { _ in }
    func importing(_ source: String) throws {
      _ = try other.importing(source) {
        $0.name = "compute"
        $0.directory = node.directory.path("there")
        $0.replaces = true
        $0.allowsPrivileged = true
      }
    }
    func packBytes() throws -> Int {
      try Int(run("du", "-sb", store + "/packs").output.prefix { $0 != "\t" }) ?? 0
    }
    try importing(first)
    let before = try packBytes()
    try importing(second)
    let grown = try packBytes() - before
    #expect(before > 700_000 && grown < before / 8, "\(before) bytes, then \(grown) more")
    #expect(try other.store().depthsOfFrames().contains(1))
    #expect(try differences(node.tree, node.directory.path("there")) == "")
    let report = try other.verify(deep: true)
    #expect(report.isClean, "\(report.problems)")
  }
}
