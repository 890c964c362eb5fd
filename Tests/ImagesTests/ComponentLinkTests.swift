// Components that are symbolic links: the links are captured as links, and their targets as content.

import Foundation
import Images
import Ingest
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct ComponentLinkTests {
  private func text(_ path: String) throws -> String {
    try String(contentsOfFile: path, encoding: .utf8)
  }

  private func link(_ path: String) throws -> String {
    try FileManager.default.destinationOfSymbolicLink(atPath: path)
  }

  @Test func `redirected links are restored, and their targets are not overwritten`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    let root = directory.path("root")
    try shell(
      """
      cd "$1"; rmdir img/rootimg; mkdir -p big/v1/etc big/v2/etc; echo one > big/v1/etc/r; echo two > big/v2/etc/r
      ln -s /big/v1 img/rootimg; echo K5 > img/vmlinuz-5; echo K6 > img/vmlinuz-6; ln -s vmlinuz-5 img/kernel
      """, root)
    let first = try workspace.snapshot("img").committed
    try shell("ln -sfn /big/v2 \"$1/img/rootimg\"; ln -sfn vmlinuz-6 \"$1/img/kernel\"", root)
    _ = try workspace.snapshot("img")
    #expect(try workspace.revert("img@1").isExact)
    #expect(try link(root + "/img/kernel") == "vmlinuz-5")
    #expect(try link(root + "/img/rootimg") == "/big/v1")
    #expect(try text(root + "/img/vmlinuz-6") == "K6\n")
    #expect(try text(root + "/big/v2/etc/r") == "two\n")
    // The target's content is restored at the target's path.
    try shell("echo changed > \"$1/big/v1/etc/r\"; rm \"$1/img/vmlinuz-5\"", root)
    #expect(try workspace.revert("img@1").isExact)
    #expect(try text(root + "/big/v1/etc/r") == "one\n")
    #expect(try text(root + "/img/vmlinuz-5") == "K5\n")
    // Every command uses the tree behind the link as the root tree.
    let reader = try workspace.reader(of: first)
    #expect(printable(try reader.require("etc/r").path) == "/big/v1/etc/r")
    #expect(printable(try reader.require("/img/rootimg/etc/r").path) == "/big/v1/etc/r")
    _ = try workspace.restore("img@1", to: directory.path("out"))
    #expect(try text(directory.path("out/etc/r")) == "one\n")
    #expect(try workspace.undo("img").isExact)
  }

  @Test func `chains of links and links in parent directories are followed`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    let root = directory.path("root")
    try shell(
      """
      cd "$1"; mkdir -p disk/store; mv img disk/img; ln -s disk/img img; echo K > disk/store/k
      ln -s ../store/k disk/img/k2; ln -s k2 disk/img/kernel
      """, root)
    let snapshot = try workspace.snapshot("img").committed.snapshot
    #expect(snapshot.isComplete)
    #expect(
      Set(snapshot.components.map { printable($0.path) })
        == ["/img/kernel", "/img/k2", "/disk/store/k", "/img/rootimg"])
    try shell("cd \"$1\"; ln -sfn ../store/other disk/img/k2; echo other > disk/store/other", root)
    #expect(try workspace.revert("img@1").isExact)
    #expect(try link(root + "/disk/img/k2") == "../store/k")
    #expect(try text(root + "/disk/store/other") == "other\n")
    #expect(try link(root + "/img") == "disk/img", "the administrator's own link stays")
  }

  @Test func `a dangling or circular link is recorded and reported`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    let root = directory.path("root")
    try shell("ln -s nowhere \"$1/img/kernel\"; ln -s initrd.gz \"$1/img/initrd.gz\"", root)
    let snapshot = try workspace.snapshot("img").committed.snapshot
    #expect(
      Set(snapshot.notes.filter { $0.kind == .absent }.map { printable($0.path) })
        == ["/img/kernel", "/img/initrd.gz"])
    try shell("ln -sfn elsewhere \"$1/img/kernel\"", root)
    #expect(try workspace.revert("img@1").isExact)
    #expect(try link(root + "/img/kernel") == "nowhere")
  }

  @Test func `a link replaced by its file is restored, and the other way round`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    let root = directory.path("root")
    try shell("cd \"$1/img\"; echo K5 > k5; ln -s k5 kernel", root)
    _ = try workspace.snapshot("img")
    try shell("cd \"$1/img\"; rm kernel; echo own > kernel", root)
    let second = try workspace.snapshot("img").committed
    #expect(try workspace.revert("img@1").isExact)
    #expect(try link(root + "/img/kernel") == "k5" && text(root + "/img/k5") == "K5\n")
    #expect(try workspace.revert(second.name).isExact)
    #expect(try text(root + "/img/kernel") == "own\n" && text(root + "/img/k5") == "K5\n")
  }

  @Test func `an export contains the target of a link`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    let root = directory.path("root")
    try shell(
      """
      cd "$1/img"; echo K5 > k5; ln -s k5 kernel; echo r > initrd-stateless.gz; echo p > rootimg.cpio.gz
      """, root)
    try shell(
      "mkdir -p \"$1/install/custom\"; echo bash > \"$1/install/custom/real\"; ln -s real \"$1/install/custom/p.pkglist\"",
      root)
    _ = try workspace.define("img", ["pkglist=/install/custom/p.pkglist"])
    var request = ExportRequest("img")
    request.destination = .file(directory.path("b.tgz"))
    _ = try workspace.export(request)
    let listing = try run("tar", "tvzf", directory.path("b.tgz")).output
    #expect(!listing.contains(" -> "), "\(listing)")
    try shell("mkdir \"$1/x\"; tar xzf \"$1/b.tgz\" -C \"$1/x\"", directory.path)
    #expect(try run("sh", "-c", "cat \(directory.path("x"))/*/kernel").output == "K5\n")
  }
}
