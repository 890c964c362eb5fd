// Edits of a live root tree by a command that is not part of imgstore (TouchCommand.swift). The command has no line about
// interruptions: these tests show that it can be killed anywhere, resumed, rolled back and undone.

import Foundation
import Images
import Platform
import TestSupport
import Testing

@Suite struct EditTests {
  private static let files = ["etc/motd": "one\n", "etc/keep": "kept\n", "var/a": "a\n"]
  private static let touched = ["etc/motd", "var/a"]
  private static let time = Timestamp(seconds: 1_000_000_000, nanoseconds: 5)

  private func times(_ node: TestNode) throws -> [String: Date] {
    try Self.files.keys.reduce(into: [:]) { times, name in
      let attributes = try FileManager.default.attributesOfItem(atPath: "\(node.tree)/\(name)")
      times[name] = attributes[.modificationDate] as? Date
    }
  }

  private func expect(_ node: TestNode, touched isTouched: Bool, _ what: String) throws {
    let old = Date(timeIntervalSince1970: 1_000_000_000)
    for (name, date) in try times(node) {
      let isOld = abs(date.timeIntervalSince(old)) < 1
      #expect(isOld == (isTouched && Self.touched.contains(name)), "\(what): \(name) \(date)")
      #expect(node.content("img/rootimg/\(name)") == Self.files[name], "\(what): \(name)")
    }
    let leftovers = try FileManager.default.subpathsOfDirectory(atPath: node.path("")).filter {
      $0.contains(".imgstore-")
    }
    #expect(leftovers.isEmpty, "\(what)")
  }

  private func node() throws -> TestNode {
    let node = try TestNode(image: "img", tree: Self.files)
    _ = try node.workspace.snapshot("img")
    return node
  }

  @Test func `an edit is recorded, and an undo takes it back`() throws {
    let node = try node()
    let snapshot = try #require(
      try node.workspace.touch(Self.touched, of: "img", time: Self.time))
    #expect(snapshot.snapshot.message == "touch of etc/motd, var/a")
    try expect(node, touched: true, "after the edit")
    #expect(try node.workspace.status("img").isClean)
    #expect(try node.workspace.touch(Self.touched, of: "img", time: Self.time) == nil)
    _ = try node.workspace.undo("img")
    try expect(node, touched: false, "after the undo")
  }

  @Test func `an edit that fails before it begins changes nothing`() throws {
    let node = try node()
    #expect(throws: TouchError.self) { try node.workspace.touch(["etc/none"], of: "img") }
    #expect(try node.workspace.unfinished().isEmpty)
    #expect(try node.workspace.log("img").count == 1)
  }

  @Test(arguments: [ResumeDirection.forward, .back])
  func `an edit that ends at any operation can be resumed or rolled back`(
    _ direction: ResumeDirection
  ) throws {
    var resumed = 0
    for n in Sweep(every: 29) {
      let node = try node()
      let files = FaultyFileSystem(failing: n, .forGood)
      _ = try? node.open(fileSystem: files).touch(Self.touched, of: "img", time: Self.time)
      let after = try node.open()
      #expect(try after.verify(deep: true).isClean, "operation \(n)")
      if try after.unfinished().isEmpty {
        // It has not begun, or has ended.
        try expect(node, touched: try after.log("img").count == 2, "operation \(n)")
      } else {
        resumed += 1
        // Before its target is recorded, a change has not touched the image, and the journal is just removed.
        let hasTarget = try after.log("img").count == 2
        _ = try after.resume("img", direction)
        try expect(node, touched: direction == .forward && hasTarget, "operation \(n), resumed")
      }
      if !files.isHit { break }
      try #require(n < 5000, "the sweep does not end")
    }
    #expect(resumed > 0)
  }
}
