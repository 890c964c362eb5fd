// The boot files of a snapshot: their names, and that their bytes are those of `pack` and `export`.

import Foundation
import Images
import Platform
import Render
import TestSupport
import Testing

@Suite(.usesTools) struct BootFileListTests {
  /// Adds a kernel, a ramdisk and a package list to a node's image.
  private static let bootable = """
    echo kernel > img/kernel; echo ramdisk > img/initrd-stateless.gz
    mkdir -p install/custom; echo bash > install/custom/p.pkglist
    """

  private func rendered(
    _ name: String, _ node: TestNode, _ snapshot: CommittedSnapshot,
    _ workspace: Workspace? = nil, hashing: BootFileOutput.Hashing = .whileWriting
  ) throws -> Data {
    let workspace = try workspace ?? node.open()
    let path = node.directory.path("rendered-\(randomName())")
    let file = try KernelFileSystem.shared.openFile(
      at: KernelFileSystem.workingDirectory, Array(path.utf8), [.readWrite, .create, .exclusive])
    var counts: [UInt64] = []
    let output = BootFileOutput(file, on: KernelFileSystem.shared, hashing: hashing) {
      counts.append($0)
    }
    try workspace.render(
      try workspace.bootFiles(of: snapshot).file(name), of: snapshot, to: output, threads: 2)
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    #expect(UInt64(data.count) == output.writtenBytes)
    #expect(counts == counts.sorted() && counts.last == output.writtenBytes)
    let sum = try shell("sha256sum < \"$1\"", path).output.prefix(64)
    #expect(try output.digest().hex == String(sum))
    return data
  }

  @Test func everyFormHasTheBytesOfPack() throws {
    let node = try TestNode.toPack(BootFileListTests.bootable)
    try node.passwd("cluster1", "sha256")
    let snapshot = try node.workspace.snapshot("img").committed
    for name in [
      "rootimg.cpio.gz", "rootimg.cpio.xz", "rootimg.cpio.zst", "rootimg.tar.gz", "rootimg.tar.xz",
      "rootimg.tar.zst", "rootimg.sfs",
    ] {
      let path = node.directory.path(name)
      _ = try node.workspace.pack(PackRequest(snapshot.name, output: path))
      let packed = try Data(contentsOf: URL(fileURLWithPath: path))
      #expect(try rendered(name, node, snapshot) == packed, "\(name)")
      #expect(try rendered(name, node, snapshot, hashing: .onDemand) == packed, "\(name)")
    }
  }

  @Test func bundleAndManifestAreThoseOfExport() throws {
    let node = try TestNode.toPack(
      BootFileListTests.bootable + "\necho packed > img/rootimg.cpio.gz")
    _ = try node.workspace.define("img", ["pkglist=/install/custom/p.pkglist"])
    let snapshot = try node.workspace.snapshot("img").committed
    let path = node.directory.path("bundle.tgz")
    try node.workspace.exporting(snapshot.name, to: path)
    #expect(
      try rendered("bundle.tgz", node, snapshot) == Data(contentsOf: URL(fileURLWithPath: path)))
    let manifest = try shell("tar xzOf \"$1\" ./img/manifest.xml", path).output
    #expect(try rendered("manifest.xml", node, snapshot) == Data(manifest.utf8))
  }

  @Test func storedFilesComeFromTheSnapshotBitForBit() throws {
    let node = try TestNode.toPack(
      BootFileListTests.bootable + "\nhead -c 300000 /dev/urandom > img/rootimg.cpio.gz")
    let snapshot = try node.workspace.snapshot("img").committed
    let packed = try node.bytes("img/rootimg.cpio.gz")
    try node.write("another kernel", to: "img/kernel")
    try node.run("rm img/rootimg.cpio.gz")
    let list = try node.workspace.bootFiles(of: snapshot)
    #expect(list.rootImage == "rootimg.cpio.gz" && list.bootObstacle == nil)
    #expect(try list.file("rootimg.cpio.gz").sizeBytes == 300000)
    #expect(try rendered("rootimg.cpio.gz", node, snapshot) == packed)
    #expect(try rendered("kernel", node, snapshot) == Data("kernel\n".utf8))
    #expect(try rendered("initrd", node, snapshot) == Data("ramdisk\n".utf8))
    #expect(errorCode { _ = try list.file("rootimg.img") } == .pathNotFound)
  }

  @Test func readOnlyStoreGivesTheSameBytes() throws {
    let node = try TestNode.toPack(
      BootFileListTests.bootable + """

        mkdir -p etc/sync.d; seq 1 30000 > etc/sync.d/hosts; chmod 640 etc/sync.d/hosts
        touch -d @1000000000 etc/sync.d/hosts; echo '/etc/sync.d/hosts -> /etc/hosts' > img/p.synclist
        """)
    _ = try node.workspace.define("img", ["synclists=/img/p.synclist"])
    let snapshot = try node.workspace.snapshot("img").committed
    let path = node.directory.path("a.tar.gz")
    _ = try node.workspace.pack(PackRequest(snapshot.name, output: path))
    #expect(try shell("tar xzOf \"$1\" ./etc/hosts | wc -l", path).output.contains("30000"))
    let before = try shell("cd \"$1\"; find packs refs | sort", node.directory.path("store")).output
    let packed = try Data(contentsOf: URL(fileURLWithPath: path))
    // The files of the synclist are not stored.
    #expect(try rendered("rootimg.tar.gz", node, snapshot) == packed)
    #expect(
      try shell("cd \"$1\"; find packs refs | sort", node.directory.path("store")).output == before)
  }

  @Test func keyFollowsTheDataOfTheManagementNode() throws {
    let node = try TestNode.toPack(BootFileListTests.bootable)
    let snapshot = try node.workspace.snapshot("img").committed
    func keys() throws -> [RenderingKey] {
      let workspace = try node.open()
      let list = try workspace.bootFiles(of: snapshot)
      return try ["kernel", "rootimg.cpio.gz"].map {
        try workspace.renderingKey(of: list.file($0), in: snapshot)
      }
    }
    let first = try keys()
    #expect(first[0].isFixed && !first[1].isFixed)
    #expect(try keys() == first)
    try node.passwd("secret")
    let second = try keys()
    #expect(second[0] == first[0] && second[1] != first[1])
    try node.run("echo more >> install/postscripts/lib/x")
    #expect(try keys()[1] != second[1])
  }

  @Test func linkOutOfTheImagePublishesNothing() throws {
    let node = try TestNode.toPack("mkdir -p etc; echo secret > etc/key; ln -s /etc/key img/kernel")
    let snapshot = try node.workspace.snapshot("img").committed
    let list = try node.workspace.bootFiles(of: snapshot)
    #expect(!list.files.contains { $0.name == "kernel" })
    #expect(list.unavailable.contains { $0.name == "kernel" })
  }

  @Test func forgottenNumbersAreKnown() throws {
    let node = try TestNode.toPack(BootFileListTests.bootable)
    for round in 1...3 {
      try node.write("\(round)", to: "img/kernel")
      _ = try node.workspace.snapshot("img")
    }
    _ = try node.workspace.remove(["img@1"])
    #expect(try node.workspace.wasForgotten(Reference("img@1")))
    #expect(try !node.workspace.wasForgotten(Reference("img@2")))
    #expect(try !node.workspace.wasForgotten(Reference("img@9")))
    #expect(try !node.workspace.wasForgotten(Reference("other@1")))
  }
}
