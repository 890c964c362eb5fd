// Lists of a store that has lost a ref name the loss and are not presented as complete.

import Foundation
import Images
import Platform
import TestSupport
import Testing

@Suite(.usesTools) struct DamagedRefTests {
  private func site(_ damage: String) throws -> (TemporaryDirectory, Workspace) {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    for i in 1...3 {
      try shell("echo \(i) >\"$1/f\"", directory.path("root/img/rootimg"))
      _ = try workspace.snapshot("img")
    }
    try shell("cd \"$1/store/refs/img\"; \(damage)", directory.path)
    return (directory, workspace)
  }

  @Test(arguments: ["truncate -s 20 0000000002", "rm 0000000002"])
  func `log names a damaged or lost snapshot`(_ damage: String) throws {
    let (directory, workspace) = try site(damage)
    defer { withExtendedLifetime(directory) {} }
    let history = try workspace.history(of: "img")
    #expect(history.entries.map(\.committed.number) == [3, 1])
    #expect(history.unreadable.map { "\($0.name)" } == ["img@2"])
    #expect(try workspace.images().first?.unreadable.isEmpty == true, "the latest can be read")
  }

  @Test func `the list of images names a damaged latest snapshot`() throws {
    let (directory, workspace) = try site("truncate -s 20 0000000003")
    defer { withExtendedLifetime(directory) {} }
    let image = try #require(try workspace.images().first)
    #expect(image.latest?.number == 2 && image.snapshots == 3)
    #expect(image.unreadable.map { "\($0.name)" } == ["img@3"])
  }

  @Test func `a history without a readable snapshot is reported as damaged`() throws {
    let (directory, workspace) = try site("truncate -s 20 *")
    defer { withExtendedLifetime(directory) {} }
    #expect(try workspace.history(of: "img").unreadable.count == 3)
    do {
      _ = try workspace.log("img")
      Issue.record("it was listed")
    } catch let error as any ExplainedError {
      #expect(error.errorCode.category == .damaged)
    }
  }
}
