// Push, pull and clone between stores of this machine, through the library.

import Foundation
import Images
import Platform
import Settings
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

  /// Two management nodes with xCAT: one with an image, which it has pushed, and one without it.
  private func twoNodes(
    _ prepare: (TestNode) throws -> Void = { _ in }
  ) throws -> (sender: TestNode, receiver: TestNode) {
    let sender = try TestNode(image: "img", tree: ["etc/motd": "one\n", "bin/tool": "x"])
    try prepare(sender)
    _ = try sender.open().snapshot("img")
    let receiver = try TestNode(stage: { _ in })
    _ = try receiver.open().store(create: true)
    _ = try receiver.open().pull(PullRequest(sender.workspace.options.store, ["img"]))
    return (sender, receiver)
  }

  @Test func aPulledSnapshotDoesNotDecideWhereItIsWritten() throws {
    let (_, receiver) = try twoNodes { node in
      try node.run("mkdir -p root; echo mine >root/.profile")
      _ = try node.open().define("img", ["template=/root/.profile"])
    }
    // The tree is not below the install directory, and nobody here has chosen its place.
    _ = try? receiver.open().revert("img@1")
    #expect(!receiver.exists("img") && !receiver.exists("root"))
    var request = RevertRequest("img@1")
    request.allowed = ["/img"]
    _ = try? receiver.open().revert(request)
    #expect(receiver.content("img/rootimg/etc/motd") == "one\n")
    #expect(!receiver.exists("root/.profile"))
  }

  @Test func valuesForAShellAreRefusedInAPulledSnapshot() throws {
    let (_, receiver) = try twoNodes { node in
      let tables = node.workspace.options.store + "/xcat/linuximage.sqlite"
      let changed = try TestSupport.run(
        "sqlite3", tables, "update linuximage set exlist='/x;touch /tmp/y'")
      try #require(changed.didSucceed, "\(changed.errors)")
    }
    #expect(errorCode { _ = try receiver.open().revert("img@1") } == .bundleInvalid)
    #expect(
      errorCode { _ = try receiver.open().copy(CopyRequest("img@1", to: "b")) } == .bundleInvalid)
    #expect(!receiver.exists("img"))
    #expect(try !receiver.open().isDefined("img"))
  }

  @Test func privilegedFilesAreRefusedInAPulledSnapshot() throws {
    let (sender, receiver) = try twoNodes { try $0.run("chmod 4755 img/rootimg/bin/tool") }
    #expect(errorCode { _ = try receiver.open().revert("img@1") } == .bundleInvalid)
    #expect(!receiver.exists("img"))
    // A damaged record does not make the snapshot one of this machine.
    let record = receiver.workspace.options.store + "/origins/img/0000000001"
    for content in [Data(), Data(repeating: 0x78, count: 40_000)] {
      try content.write(to: URL(fileURLWithPath: record))
      #expect(errorCode { _ = try receiver.open().revert("img@1") } == .bundleInvalid)
    }
    var request = RevertRequest("img@1")
    request.allowed = ["/img"]
    request.trust.allowsPrivileged = true
    _ = try receiver.open().revert(request)
    #expect(receiver.content("img/rootimg/bin/tool") == "x")
    // The machine's own snapshot needs no exception.
    try sender.run("rm img/rootimg/bin/tool")
    _ = try sender.open().revert("img@1")
    #expect(sender.content("img/rootimg/bin/tool") == "x")
  }

  @Test func aRepairFromAnotherStoreRestoresTheOrigins() throws {
    let (_, receiver) = try twoNodes { try $0.run("chmod 4755 img/rootimg/bin/tool") }
    let store = receiver.workspace.options.store
    let copy = receiver.directory.path("copy")
    let name = SnapshotName(image: try ImageName("img"), number: 1)
    let uuid = try #require(ImageUUID("01234567-89ab-cdef-0123-456789abcdef"))
    let id = try receiver.open().store().refs.read(name.image, 1).id
    try receiver.open().store().builds.write(
      BuildRecord(
        uuid: uuid, snapshot: name, id: id, created: Timestamp(seconds: 1, nanoseconds: 0)))
    try shell("cp -a \"$1\" \"$2\"", store, copy)
    // Without its ref, and without its record only.
    for lost in [
      "rm -r \"$1/origins\" \"$1/refs/img/0000000001\"", "rm -r \"$1/origins\" \"$1/builds\"",
    ] {
      try shell(lost, store)
      var options = RepairOptions()
      options.sources = [copy]
      options.isDryRun = true
      #expect(try receiver.open().repair(options).actions.count > 0)
      #expect(try receiver.open().store().origins.read(name) == nil)
      options.isDryRun = false
      #expect(try receiver.open().repair(options).isClean)
      #expect(try receiver.open().store().origins.read(name)?.id == id)
      #expect(try receiver.open().store().builds.read(uuid)?.snapshot == name)
      #expect(errorCode { _ = try receiver.open().revert("img@1") } == .bundleInvalid)
      #expect(try receiver.open().repair(options).actions.isEmpty)
    }
  }

  @Test func aSnapshotOfThisMachineIsNotTakenForAPulledOne() throws {
    let (sender, receiver) = try twoNodes()
    let own = SnapshotName(image: try ImageName("img"), number: 1)
    #expect(try sender.open().store().origins.read(own) == nil)
    #expect(try receiver.open().store().origins.read(own) != nil)
  }

  @Test func snapshotsOfARemoteAreReadInPlace() throws {
    let (node, other) = try site()
    let image = try #require(try node.open().store().refs.images().first)
    var random = SplitMix64(21)
    let large = random.bytes(4_000_000)
    try Data(large).write(to: URL(fileURLWithPath: node.path("srv/compute/large")))
    try node.write("two\n", to: "srv/compute/etc/motd")
    _ = try node.open().snapshot(image.text)
    _ = try node.open().tag("\(image)@2", as: "golden")
    var push = PushRequest(other, [])
    push.sendsAll = true
    _ = try node.open().push(push)

    let third = node.directory.path("third")
    let workspace = try otherWorkspace(node, third)
    _ = try workspace.store(create: true)
    _ = try workspace.addRemote(RemoteSettings("mn1", url: Setting(other, .builtIn)))
    let reference = "mn1/\(image)@golden"
    #expect(try workspace.history(of: "mn1/\(image)").entries.map(\.committed.number) == [2, 1])
    let found = try workspace.find(Reference(reference))
    #expect(found.name == "mn1/\(image)@2")
    #expect(try workspace.tags(of: found) == ["golden"])
    let reader = try workspace.reader(of: found)
    var bytes: [UInt8] = []
    try reader.read(reader.require("large")) { bytes += $0 }
    #expect(bytes == large)
    var names: [String] = []
    try reader.walk(reader.require("")) { names.append(printable($0.path)) }
    #expect(names.count == 6)
    let diff = try workspace.diff("mn1/\(image)@1", reference)
    #expect(diff.entries.count == 3, "\(diff.entries)")
    let target = node.directory.path("restored")
    _ = try workspace.restore(reference, path: "large", to: target)
    #expect(try [UInt8](Data(contentsOf: URL(fileURLWithPath: target))) == large)
    // Nothing was stored, and what was fetched is in the cache.
    #expect(try workspace.store().totals().objects == 0)
    #expect(try workspace.store().refs.images().isEmpty)
    // A command that changes something needs the snapshot in the store.
    #expect(errorCode { _ = try workspace.revert(reference) } == .usage)
    #expect(errorCode { _ = try workspace.pack(PackRequest(reference)) } == .usage)
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
