// The store, and leftovers of a change, are never part of a tree.

import Apply
import Foundation
import Images
import Ingest
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct OwnStoreTests {
  private func tree(_ directory: TemporaryDirectory) -> String {
    directory.path("root/img/rootimg")
  }

  private func fill(_ directory: TemporaryDirectory) throws {
    try shell("mkdir -p \"$1/etc\"; echo a > \"$1/etc/a\"", tree(directory))
  }

  @Test(arguments: ["root/img/rootimg/.imgstore", "root/img/rootimg/var/lib/store"])
  func `a store inside a tree survives every revert`(_ location: String) throws {
    let directory = try TemporaryDirectory()
    try fill(directory)
    let workspace = try Workspace.test(directory, store: location)
    let first = try workspace.snapshot("img").committed.snapshot
    #expect(first.notes.map(\.kind) == [.ownFiles] && first.isComplete)
    try shell(
      "for i in $(seq 30); do echo $i > \"$1/etc/f$i\"; done; rm \"$1/etc/a\"", tree(directory))
    _ = try workspace.snapshot("img")
    var request = RevertRequest("img@1")
    request.method = .swap
    #expect(throws: ImageError.self) { _ = try workspace.revert(request) }
    #expect(try workspace.revert("img@1").isExact)
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: tree(directory) + "/etc") == ["a"])
    let after = try Workspace(
      WorkspaceOptions(store: directory.path(location), root: directory.path("root")),
      warn: { _ in })
    #expect(try after.log("img").count == 3)
    #expect(try after.verify(deep: true).isClean)
    // The directory that holds the store stays in the tree.
    #expect(try after.status("img").isClean)
  }

  @Test func `a store behind a link is recognized by its inode`() throws {
    let directory = try TemporaryDirectory()
    try fill(directory)
    try shell(
      "mkdir -p \"$1/root/img/rootimg/data\"; ln -s root/img/rootimg/data \"$1/store\"",
      directory.path
    )
    let workspace = try Workspace.test(directory)
    let first = try workspace.snapshot("img").committed.snapshot
    #expect(first.notes.map { printable($0.path) } == ["/img/rootimg/data"])
    #expect(try workspace.snapshot("img").sameAs == 1)
  }

  @Test func `a directory that contains the store is not removed with its parent`() throws {
    let directory = try TemporaryDirectory()
    try fill(directory)
    let workspace = try Workspace.test(directory, store: "root/img/rootimg/srv/new/store")
    try shell("mkdir \"$1/away\"; mv \"$1/root/img/rootimg/srv\" \"$1/away/\"", directory.path)
    let outside = try Workspace(
      WorkspaceOptions(store: directory.path("away/srv/new/store"), root: directory.path("root")),
      warn: { _ in })
    _ = try outside.snapshot("img")
    try shell(
      "mv \"$1/away/srv\" \"$1/root/img/rootimg/\"; echo x > \"$1/root/img/rootimg/srv/x\"",
      directory.path)
    // The snapshot does not have srv. A revert would remove it together with the store.
    let back = try workspace.revert("img@1")
    #expect(back.apply.skipped.contains { printable($0.path) == "/img/rootimg/srv/new/store" })
    #expect(!FileManager.default.fileExists(atPath: tree(directory) + "/srv/x"))
    #expect(try workspace.verify(deep: true).isClean)
  }

  @Test func `an old snapshot that contains a store does not overwrite the live store`() throws {
    let directory = try TemporaryDirectory()
    try fill(directory)
    let outside = try Workspace.test(directory)
    _ = try outside.snapshot("img")
    // For the external store, the copy in the tree is ordinary content, as in earlier versions.
    try shell("cp -a \"$1/store\" \"$1/root/img/rootimg/.imgstore\"", directory.path)
    #expect(try outside.snapshot("img").committed.snapshot.notes.isEmpty)
    try shell("echo b > \"$1/etc/b\"", tree(directory))
    _ = try outside.snapshot("img")
    try shell("cp -a \"$1/store/.\" \"$1/root/img/rootimg/.imgstore/\"", directory.path)
    let inside = try Workspace(
      WorkspaceOptions(
        store: directory.path("root/img/rootimg/.imgstore"), root: directory.path("root")),
      warn: { _ in })
    #expect(try inside.log("img").count == 3)
    let back = try inside.revert("img@2")
    #expect(back.apply.skipped.map { printable($0.path) } == ["/img/rootimg/.imgstore"])
    #expect(!FileManager.default.fileExists(atPath: tree(directory) + "/etc/b"))
    #expect(try inside.log("img").count >= 4)
    #expect(try inside.verify(deep: true).isClean)
  }

  @Test func `a tree that contains the store is not removed`() throws {
    let directory = try TemporaryDirectory()
    try shell(
      "mkdir -p \"$1/old/a/store\"; echo p > \"$1/old/a/store/p\"; echo x > \"$1/old/x\"",
      directory.path)
    let files = KernelFileSystem.shared
    let above = try files.openDirectory(at: files.workingDirectory, Array(directory.path.utf8))
    let store = try files.openDirectory(
      at: files.workingDirectory, Array(directory.path("old/a/store").utf8))
    #expect(throws: SystemError.self) {
      try TreeRemover(files, store: store).remove(at: above.raw, Array("old".utf8))
    }
    #expect(
      FileManager.default.fileExists(atPath: directory.path("old/x")), "nothing of it has gone")
  }

  @Test func `outputs and imports into the store are refused`() throws {
    let directory = try TemporaryDirectory()
    try fill(directory)
    let workspace = try Workspace.test(directory)
    _ = try workspace.snapshot("img")
    try shell("ln -s \"$1/store/packs\" \"$1/linked\"", directory.path)
    var inside = PackRequest("img")
    inside.output = tree(directory) + "/etc/packed"
    #expect(throws: ImageError.self) { _ = try workspace.pack(inside) }
    for location in ["store/out", "store/refs/img/out", "linked/out", "linked/deep/er/out"] {
      #expect(throws: ImageError.self, "\(location)") {
        _ = try workspace.restore("img", to: directory.path(location))
      }
      var pack = PackRequest("img")
      pack.output = directory.path(location)
      #expect(throws: (any Error).self, "\(location)") { _ = try workspace.pack(pack) }
    }
    #expect(!FileManager.default.fileExists(atPath: directory.path("store/packs/deep")))
    #expect(try workspace.verify(deep: true).isClean)
  }

  @Test func `an output inside its own image is refused`() throws {
    let directory = try TemporaryDirectory()
    try fill(directory)
    let workspace = try Workspace.test(directory)
    try shell(
      """
      cd "$1"; for f in kernel initrd-stateless.gz rootimg.cpio.gz; do echo $f > img/$f; done
      ln -s img/rootimg/etc linked; ln img/kernel name; ln -s img/kernel link; mkdir bound; echo p > list
      """, directory.path("root"))
    _ = try workspace.define("img", ["pkglist=/list"])
    if isRoot { try shell("mount --bind \"$1/img/rootimg\" \"$1/bound\"", directory.path("root")) }
    defer { _ = try? run("umount", directory.path("root/bound")) }
    for location in [
      "img/rootimg/out.tgz", "linked/out.tgz", "img/kernel", "name", "link",
      isRoot ? "bound/etc/out.tgz" : "img/rootimg/etc",
    ] {
      var export = ExportRequest("img")
      export.destination = .file(directory.path("root/" + location))
      #expect(throws: ImageError.self, "\(location)") { _ = try workspace.export(export) }
      var pack = PackRequest("img")
      pack.output = directory.path("root/" + location)
      #expect(throws: (any Error).self, "\(location)") { _ = try workspace.pack(pack) }
    }
    #expect(
      try shell("cd \"$1\"; cat kernel; ls -A rootimg/etc", directory.path("root/img")).output
        == "kernel\na\n")
    var outside = ExportRequest("img")
    outside.destination = .file(directory.path("root/img/out.tgz"))
    _ = try workspace.export(outside)
    #expect(try workspace.status("img").isClean)
  }

  @Test func `an image with files in the store is refused`() throws {
    let directory = try TemporaryDirectory()
    try fill(directory)
    let workspace = try Workspace.test(directory, store: "root/store")
    _ = try workspace.snapshot("img")
    for location in ["/store/tmp", "/store"] {
      _ = try workspace.define(
        "other",
        ["provmethod=netboot", "rootimgdir=\(location)", "osvers=r", "osarch=x", "profile=o"])
      try shell(
        "mkdir -p \"$1/rootimg\"; echo k > \"$1/kernel\"", directory.path("root" + location))
      #expect(throws: StoreError.self, "\(location)") { _ = try workspace.snapshot("other") }
    }
    #expect(try workspace.log("img").count == 1)
  }

  @Test
  func `leftovers of an unfinished change are not recorded, and files that resemble them are`()
    throws
  {
    let directory = try TemporaryDirectory()
    try fill(directory)
    let workspace = try Workspace.test(directory)
    let token = "8f0e1d2c3b4a5968"
    try shell(
      """
      cd "$1"; echo t > .imgstore-\(token)-7; echo mine > .imgstore-mine; mkdir .imgstore-\(token)d
      echo p > .b.tgz.\(token).imgstore-part
      """,
      tree(directory))
    let snapshot = try workspace.snapshot("img").committed
    #expect(snapshot.snapshot.notes.map(\.kind) == [.ownFiles, .ownFiles, .ownFiles])
    let reader = try workspace.reader(of: snapshot)
    let names = try reader.children(of: try reader.require("/img/rootimg")).map(\.path.last)
    #expect(names.count == 2, "etc and .imgstore-mine")
  }
}
