// Push, pull and clone between stores of this machine, through the library.

import Configuration
import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct RemoteTests {
  /// A node with a directory image, and a path for another store.
  private func site() throws -> (node: TestNode, other: String) {
    let node = try TestNode.directory(tree: ["etc/motd": "one\n", "bin/tool": "x"])
    _ = try node.open().snapshot("/srv/compute".withRoot(node))
    return (node, node.directory.path("other"))
  }

  private func otherWorkspace(_ node: TestNode, _ path: String) throws -> Workspace {
    var options = WorkspaceOptions(store: path, root: node.workspace.options.root)
    options.environment = node.workspace.options.environment
    return try Workspace(options) { _ in }
  }

  @Test func aRemoteIsRememberedAndForgotten() throws {
    let (node, other) = try site()
    let workspace = try node.open()
    let remote = try workspace.addRemote(
      RemoteSettings("backup", url: Setting(other, .option("url"))))
    #expect(remote.isOwn)
    #expect(try node.open().remotes().map(\.name) == ["backup"])
    #expect(
      errorCode {
        _ = try workspace.addRemote(RemoteSettings("backup", url: Setting(other, .builtIn)))
      } == .alreadyExists)
    #expect(
      errorCode { _ = try workspace.addRemote(RemoteSettings("-x", url: Setting(other, .builtIn))) }
        == .usage)
    #expect(errorCode { _ = try workspace.push(PushRequest("bakcup", ["compute"])) } == .notFound)
    try workspace.removeRemote("backup")
    #expect(try node.open().remotes().isEmpty)
    #expect(errorCode { try workspace.removeRemote("backup") } == .notFound)
  }

  @Test func pushAndPullKeepIDsTagsAndOrigins() throws {
    let (node, other) = try site()
    let image = try #require(try node.open().store().refs.images().first)
    try node.write("two\n", to: "srv/compute/etc/motd")
    _ = try node.open().snapshot(image.text)
    _ = try node.open().tag("\(image)@1", as: "golden")
    var push = PushRequest(other, ["\(image)@1"])
    push.sendsTags = true
    push.isDryRun = true
    #expect(errorCode { _ = try node.open().push(push) } == .storeNotFound)
    push.isDryRun = false
    let pushed = try node.open().push(push)
    #expect(pushed.items.count == 1 && pushed.items[0].isNew)
    #expect(pushed.newTags.map(\.tag) == ["golden"])
    var planned = PushRequest(other, ["\(image)"])
    planned.isDryRun = true
    let plan = try node.open().push(planned)
    planned.isDryRun = false
    let second = try node.open().push(planned)
    #expect(second.items[0].remote?.number == 2)
    #expect(plan.amount == second.amount && plan.amount.bytes > 0)
    #expect(try node.open().push(planned).amount.bytes == 0)

    // Another machine.
    let third = node.directory.path("third")
    let workspace = try otherWorkspace(node, third)
    var pull = PullRequest(other, ["\(image)@golden"])
    let pulled = try workspace.pull(pull)
    #expect(pulled.items[0].local == SnapshotName(image: image, number: 1))
    let mine = try node.open().store().refs.read(image, 1)
    let theirs = try workspace.store().refs.read(image, 1)
    #expect(mine.id == theirs.id)
    #expect(try workspace.store().refs.tags(of: image) == ["golden": 1])
    let origin = try #require(
      try workspace.store().origins.read(SnapshotName(image: image, number: 1)))
    #expect(origin.url == other && origin.snapshot?.number == 1 && origin.id == mine.id)
    pull.references = ["\(image)@2"]
    #expect(try workspace.pull(pull).items[0].local?.number == 2)
    #expect(try workspace.pull(pull).items[0].isNew == false)
    #expect(try workspace.verify(deep: true).problems.isEmpty)
  }

  @Test func aTagThatNamesAnotherSnapshotIsNotMoved() throws {
    let (node, other) = try site()
    let image = try #require(try node.open().store().refs.images().first)
    try node.write("two\n", to: "srv/compute/etc/motd")
    _ = try node.open().snapshot(image.text)
    _ = try node.open().tag("\(image)@1", as: "golden")
    var push = PushRequest(other, ["\(image)@1..2"])
    push.sendsTags = true
    _ = try node.open().push(push)
    _ = try node.open().tag("\(image)@2", as: "golden", moving: true)
    let outcome = try node.open().push(push)
    #expect(outcome.conflicts.map(\.number) == [1] && outcome.conflicts.map(\.otherNumber) == [2])
    #expect(
      try otherWorkspace(node, other).store().refs.tags(of: image) == ["golden": 1])
  }

  @Test func aCloneHasEverything() throws {
    let (node, other) = try site()
    let image = try #require(try node.open().store().refs.images().first)
    for text in ["two\n", "three\n"] {
      try node.write(text, to: "srv/compute/etc/motd")
      _ = try node.open().snapshot(image.text)
    }
    _ = try node.open().tag("\(image)@2", as: "golden")
    _ = try node.open().pin("\(image)@1", reason: "why")
    let workspace = try otherWorkspace(node, other)
    let url = node.workspace.options.store
    let outcome = try workspace.clone(url)
    #expect(outcome.items.count == 3)
    let refs = try workspace.store().refs
    #expect(try refs.ids(of: image).map(\.id) == node.open().store().refs.ids(of: image).map(\.id))
    #expect(try refs.tags(of: image) == ["golden": 2] && refs.pins(of: image) == [1: "why"])
    #expect(try workspace.remotes().map(\.name) == ["origin"])
    #expect(try workspace.verify(deep: true).problems.isEmpty)
    // A repetition continues; another place is refused.
    #expect(try workspace.clone(url).items.allSatisfy { !$0.isNew })
    let third = node.directory.path("third")
    _ = try node.open().push(PushRequest(third, ["\(image)"]))
    #expect(errorCode { _ = try workspace.clone(third) } == .alreadyExists)
  }

  @Test func aPulledSnapshotCanBeApplied() throws {
    let (node, other) = try site()
    let image = try #require(try node.open().store().refs.images().first)
    _ = try node.open().push(PushRequest(other, ["\(image)@1"]))
    try node.write("broken\n", to: "srv/compute/etc/motd")
    _ = try node.open().snapshot(image.text)
    var pull = PullRequest(other, ["\(image)@1"])
    pull.applies = true
    let outcome = try node.open().pull(pull)
    #expect(outcome.applied?.remaining?.isEmpty == true)
    #expect(node.content("srv/compute/etc/motd") == "one\n")
  }
}

extension String {
  /// The path of a node's directory image on this machine.
  fileprivate func withRoot(_ node: TestNode) -> String { node.path(self) }
}
