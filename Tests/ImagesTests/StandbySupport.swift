// A node whose image has standby trees, on a file system with reflinks.

import Foundation
import Images
import Platform
import Settings
import Store
import TestSupport
import Testing

/// A node whose image is on a file system with reflinks; its store is elsewhere.
final class StandbyNode: Sendable {
  let disk: LoopMount
  let directory: TemporaryDirectory
  let workspace: Workspace
  let warnings = Monitor<[String]>([])
  var tree: String { disk.path("root/img/rootimg") }

  init(_ kind: String) throws {
    disk = try LoopMount(kind)
    directory = try TemporaryDirectory()
    try shell("mkdir -p \"$1\"", disk.path("root/img/rootimg"))
    let warnings = warnings
    workspace = try Workspace(
      WorkspaceOptions(store: directory.path("store"), root: disk.path("root"))
    ) { line in warnings.withLock { $0.append(line) } }
    _ = try workspace.define(
      "img",
      ["provmethod=netboot", "rootimgdir=/img", "osvers=x", "osarch=x86_64", "profile=p"])
  }

  /// Opens another workspace of the node.
  func open(_ fileSystem: any FileSystem, _ configuration: String = "") throws -> Workspace {
    var options = workspace.options
    let (values, errors) = ConfigurationReader.read(Array(configuration.utf8), path: "test.toml")
    if let first = errors.first { throw first }
    options.configuration = values
    let warnings = warnings
    return try Workspace(options, fileSystem: fileSystem) { line in
      warnings.withLock { $0.append(line) }
    }
  }

  /// A copy of the live tree, outside the node. Another file system would write access lists in another form.
  func copy(_ name: String) throws -> String {
    let path = disk.path(name)
    try copyTree(tree, path)
    return path
  }

  /// The standby trees, as directories.
  func standbyTrees() throws -> [String] {
    try run(
      "bash", "-c", "ls -d \"$1\"/root/img/.imgstore-*-standby/* | grep -v '[.]stat$'", "list",
      disk.path
    ).output.split(separator: "\n").map(String.init)
  }

  /// Two states: the second is live, and the first has a standby tree.
  static func withTwoStates(_ kind: String) throws -> StandbyNode {
    let node = try StandbyNode(kind)
    try shell(
      "cd \"$1\"; mkdir etc; echo old >etc/z; echo one >etc/f; ln etc/f etc/g; head -c 300000 /dev/urandom >large",
      node.tree)
    _ = try node.workspace.snapshot("img", tags: ["production"])
    try shell("cd \"$1\"; echo new >etc/z; echo two >etc/f; rm large; echo more >more", node.tree)
    _ = try node.workspace.snapshot("img")
    let first = try node.workspace.makeStandby(["img@production"])
    #expect(first.trees.map(\.isNew) == [true] && first.trees[0].isIntact)
    return node
  }
}
