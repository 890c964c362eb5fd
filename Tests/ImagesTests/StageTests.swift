// imgstore stage: what it changes, what it refuses, and that it can be undone.

import Foundation
import Images
import TestSupport
import Testing
import XCAT

@Suite(.usesTools) struct StageTests {
  /// Creates a node with the image "img", two nodes, and one snapshot.
  private func node(_ attributes: [String] = []) throws -> TestNode {
    let node = try TestNode.toPack(
      "echo kernel > img/kernel; echo ramdisk > img/initrd-stateless.gz")
    let rows: [(TableSchema, [String: String], [String: String])] = [
      (.site, ["key": "master"], ["value": "10.0.0.1"]),
      (.nodelist, ["node": "n1"], ["groups": "canary,all"]),
      (.nodelist, ["node": "n2"], ["groups": "all"]),
      (.nodetype, ["node": "n1"], ["provmethod": "img", "os": "rhels9.4"]),
    ]
    try node.tables.apply(
      rows.map { RowChange(schema: $0, key: $1, columns: $2, keepsOtherColumns: false) })
    _ = try node.workspace.define("img", ["addkcmdline=quiet"] + attributes)
    _ = try node.workspace.snapshot("img")
    // The image goes on: the staged files are those of the snapshot.
    try node.write("newer kernel", to: "img/kernel")
    return node
  }

  private func request(_ change: (inout StageRequest) -> Void = { _ in }) -> StageRequest {
    var request = StageRequest("img@1")
    change(&request)
    return request
  }

  private static let directory = "/install/netboot/imgstore/img@1"

  @Test func planChangesNothing() throws {
    let node = try node()
    let before = try node.state()
    let plan = try node.open().stage(request { $0.nodes = "canary" })
    #expect(!plan.isApplied && plan.image == "img-1" && plan.nodes.map(\.name) == ["n1"])
    #expect(plan.url == "http://10.0.0.1:7070/boot/img@1")
    #expect(plan.command == "nodeset canary osimage=img-1")
    #expect(try node.state() == before)
    #expect(try node.open().isDefined("img-1") == false)
  }

  @Test func applyDefinesTheImageAndPointsTheNodes() throws {
    let node = try node()
    let outcome = try node.open().stage(
      request { request in
        request.nodes = "canary"
        request.server = "http://boot.cluster:80/"
        request.applies = true
      })
    let definition = try #require(try node.tables.definition(of: "img-1"))
    #expect(definition.linuximage["rootimgdir"] == StageTests.directory)
    #expect(
      definition.linuximage["addkcmdline"]
        == "quiet imgurl=http://boot.cluster:80/boot/img@1/rootimg.cpio.gz")
    #expect(definition.osimage == (try node.tables.definition(of: "img")?.osimage))
    #expect(try node.text("\(StageTests.directory)/kernel") == "kernel\n")
    #expect(try node.text("\(StageTests.directory)/initrd-stateless.gz") == "ramdisk\n")
    #expect(try node.text("\(StageTests.directory)/rootimg.cpio.gz").isEmpty)
    let n1 = try node.tables.rows("nodetype", where: ("node", "n1")).first
    #expect(n1 == ["node": "n1", "provmethod": "img-1", "os": "rhels9.4"])
    #expect(outcome.nodes.map(\.name) == ["n1"] && outcome.nodes.map(\.before) == ["img"])
    // Again, it finds everything as it shall be.
    let again = try node.open().stage(
      request { request in
        request.server = "http://boot.cluster:80"
        request.applies = true
      })
    #expect(again.isDefined)
  }

  @Test func aStagedSnapshotDoesNotMakeShortNamesAmbiguous() throws {
    let node = try node()
    _ = try node.open().stage(request { $0.applies = true })
    // Both have the profile "p".
    #expect(try node.open().status("p").snapshot.snapshot.image == "img")
    #expect(try node.open().isDefined("img-1"))
    _ = try node.open().unstage(StageRequest("p@1"))
    #expect(try node.open().isDefined("img-1") == false)
  }

  @Test func aStagedSnapshotIsNoImageOfItsOwn() throws {
    let node = try node()
    _ = try node.open().stage(request { $0.applies = true })
    let images = try node.open().images()
    #expect(images.map(\.name) == ["img"])
    #expect(images.map(\.staged) == [["img-1"]])
    #expect(try node.open().definedImages() == ["img"])
    // maintain takes snapshots of images that are due, and not of staged ones.
    try node.write("changed", to: "img/rootimg/etc/motd")
    // The node's own workspace holds a lease, which gc would wait for.
    var options = node.workspace.options
    options.lockWait = .atMost(seconds: 0)
    func maintained() throws -> [String] {
      try Workspace(options, warn: { _ in }).maintain(MaintenanceRequest()).images.map(\.name)
    }
    #expect(try maintained() == ["img"])
    // A snapshot that was taken of it stays in the list.
    _ = try node.open().snapshot("img-1")
    let both = try node.open().images()
    #expect(both.map(\.name) == ["img", "img-1"] && both.map(\.isStaged) == [false, true])
    #expect(try node.open().definedImages() == ["img"])
    #expect(try maintained() == ["img"])
    _ = try node.open().unstage(request())
    #expect(try node.open().images().map(\.staged) == [[], []])
  }

  @Test func unsafeRowsOfAPulledSnapshotAreRefused() throws {
    let node = try node()
    try node.sql("linuximage", "UPDATE linuximage SET postinstall='/x;touch /tmp/y'")
    _ = try node.open().snapshot("img")
    #expect(errorCode { _ = try node.open().stage(StageRequest("img@2")) } == nil)
    // A record that cannot be read counts as one from elsewhere.
    try shell(
      "mkdir -p \"$1/origins/img\"; : >\"$1/origins/img/0000000002\"",
      node.workspace.options.store)
    let before = try node.rows()
    var request = StageRequest("img@2")
    request.applies = true
    #expect(errorCode { _ = try node.open().stage(request) } == .bundleInvalid)
    #expect(try node.rows() == before)
    request.trust.allowsUnsafeValues = true
    request.trust.allowsPrivileged = true
    #expect(try node.open().stage(request).isApplied)
  }

  @Test func undoIsRefusedWhileNodesBootIt() throws {
    let node = try node()
    let before = try node.rows()
    _ = try node.open().stage(request { ($0.nodes, $0.applies) = ("n1,n2", true) })
    #expect(errorCode { _ = try node.open().unstage(request()) } == .imageInUse)
    #expect(try node.open().isDefined("img-1"))
    try node.sql("nodetype", "UPDATE nodetype SET provmethod='img'")
    let outcome = try node.open().unstage(request())
    #expect(outcome.files.count == 3)
    #expect(try node.rows() == before)
    #expect(!node.exists(StageTests.directory))
    #expect(errorCode { _ = try node.open().unstage(request()) } == .notFound)
  }

  @Test func refusalsChangeNothing() throws {
    let node = try node()
    let before = try node.state()
    for (change, code): ((inout StageRequest) -> Void, ErrorCode) in [
      ({ $0.nodes = "nobody" }, .notFound), ({ $0.server = "boot" }, .usage),
      ({ $0.server = "http://a b" }, .usage), ({ $0.server = "http://a/$(x)" }, .usage),
      ({ $0.name = "img" }, .alreadyExists), ({ $0.rootImage = "kernel" }, .usage),
      ({ $0.rootImage = "rootimg.cpio.zst" }, .usage),
      ({ ($0.server, $0.isProxied) = ("http://a", true) }, .usage),
    ] {
      var staged = request(change)
      staged.applies = true
      #expect(errorCode { _ = try node.open().stage(staged) } == code, "\(staged)")
    }
    #expect(try node.state().withoutTableFiles == before.withoutTableFiles)
  }

  @Test func imagesThatCannotBootThisWayAreRefused() throws {
    for attribute in ["provmethod=statelite", "osvers=sles11.4"] {
      let node = try node([attribute])
      #expect(errorCode { _ = try node.open().stage(request()) } == .definitionInvalid)
    }
  }

  @Test func proxiedImageHasNoURL() throws {
    let node = try node()
    let plan = try node.open().stage(request { $0.isProxied = true })
    #expect(plan.url == nil)
    #expect(plan.attributes.first { $0.name == "addkcmdline" }?.value == "quiet")
  }

  @Test func failedRowsLeaveNoFiles() throws {
    let node = try node()
    // A trigger that fails stands in for a database that does.
    try node.sql(
      "linuximage",
      "CREATE TRIGGER stop BEFORE INSERT ON linuximage BEGIN SELECT RAISE(ABORT, 'stop'); END")
    #expect(throws: (any Error).self) {
      try node.open().stage(request { $0.applies = true })
    }
    #expect(!node.exists(StageTests.directory))
    #expect(try node.open().isDefined("img-1") == false)
  }
}
