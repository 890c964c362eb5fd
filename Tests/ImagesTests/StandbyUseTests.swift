// What other programs see of an image's directory while standby trees are exchanged
// (docs/xcat-contract.md#root-trees-during-an-exchange): NFS clients, genimage, and readers of the tree.

import Foundation
import Glibc
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools, .needsLoopMounts) struct StandbyUseTests {
  private func kind() -> String { LoopMount.kindsWithClones.randomElement() ?? "xfs" }

  @Test(arguments: [
    ("/img/rootimg *(ro)", "netboot", false), ("/img/rootimg/usr *(ro)", "netboot", false),
    // Stateless nodes load a packed image; nodes with their root in the tree have handles of its inodes.
    ("/img *(ro,no_root_squash)", "netboot", true), ("/img *(ro)", "statelite", false),
  ])
  func `a tree that NFS clients have open is not exchanged`(
    _ export: String, _ method: String, _ isExchanged: Bool
  ) throws {
    let node = try StandbyNode.withTwoStates(kind())
    _ = try node.workspace.define("img", ["provmethod=\(method)"])
    let root = node.disk.path("root")
    try shell("mkdir -p \"$1/etc\"; echo \"$2\" >\"$1/etc/exports\"", root, export)
    let reverted = try node.workspace.revert("img@1")
    #expect(reverted.apply.methods.map(\.isStandby) == [isExchanged], "\(export), \(method)")
    #expect(try String(contentsOfFile: node.tree + "/etc/z", encoding: .utf8) == "old\n")
    // The administrator may decide otherwise.
    var request = RevertRequest("img@2")
    request.method = .swap
    if isExchanged { #expect(try node.workspace.revert(request).apply.methods[0].isStandby) }
  }

  @Test func `a tree with a mount in it is not exchanged`() throws {
    let node = try StandbyNode.withTwoStates(kind())
    // As genimage mounts /proc and /sys for chroot.
    try shell("mount -t tmpfs none \"$1/etc\"", node.tree)
    defer { _ = try? run("umount", node.tree + "/etc") }
    let plan = try? node.workspace.revert("img@1", dryRun: true)
    #expect(plan?.apply.methods.contains { $0.isStandby } != true)
  }

  @Test func `a revert waits for genimage, and genimage for the exchange`() throws {
    let node = try StandbyNode.withTwoStates(kind())
    let root = node.disk.path("root")
    do {
      let lock = try TreeLock(of: "/img/rootimg", below: root)
      defer { withExtendedLifetime(lock) {} }
      #expect(errorCode { _ = try node.workspace.revert("img@1") } == .imageLocked)
      #expect(errorCode { _ = try node.workspace.makeStandby(["img@1"]) } == .imageLocked)
    }
    let isLocked = Monitor(false)
    let files = FaultyFileSystem(
      .before(0, "exchange") {
        let isRefused = (try? TreeLock(of: "/img/rootimg", below: root)) == nil
        isLocked.withLock { $0 = isRefused }
      })
    let reverted = try node.open(files).revert("img@1")
    #expect(reverted.apply.methods.map(\.isStandby) == [true])
    #expect(files.isHit && isLocked.withLock { $0 })
  }

  @Test func `the path of the tree always leads to a whole tree`() throws {
    let node = try StandbyNode.withTwoStates(kind())
    let isDone = Monitor(false)
    let states = Monitor<Set<String>>([])
    let reader = Thread {
      while !isDone.withLock({ $0 }) {
        // Both files through one open directory, as a program that has changed into the tree.
        let tree = open(node.tree, O_RDONLY | O_DIRECTORY)
        defer { close(tree) }
        func read(_ name: String) -> String {
          let file = openat(tree, name, O_RDONLY)
          guard file >= 0 else { return "-" }
          defer { close(file) }
          var bytes = [UInt8](repeating: 0, count: 16)
          let n = Glibc.read(file, &bytes, bytes.count)
          return String(decoding: bytes.prefix(max(0, n)).dropLast(), as: UTF8.self)
        }
        let state = tree < 0 ? "no tree" : read("etc/z") + " " + read("more")
        states.withLock { _ = $0.insert(state) }
        usleep(200)
      }
    }
    reader.start()
    for round in 0..<4 {
      // The reader is a user of the tree, which only an explicit choice overrides.
      var request = RevertRequest("img@\(1 + round % 2)")
      request.method = .swap
      #expect(try node.workspace.revert(request).apply.methods.map(\.isStandby) == [true])
    }
    isDone.withLock { $0 = true }
    usleep(50_000)
    #expect(states.withLock { $0.isSubset(of: ["old -", "new more"]) && !$0.isEmpty })
  }

  @Test func `nobody else can enter the directory of standby trees`() throws {
    let node = try StandbyNode.withTwoStates(kind())
    let directory = try run("bash", "-c", "ls -d \"$1\"/root/img/.imgstore-*", "l", node.disk.path)
    let path = directory.output.trimmingCharacters(in: .whitespacesAndNewlines)
    #expect(try shell("stat -c '%a %u' \"$1\"", path).output == "700 0\n")
    // A web server that has the directory of images as its root runs as another user.
    let other = try run("setpriv", "--reuid", "65534", "--clear-groups", "ls", path)
    #expect(!other.didSucceed)
    _ = try node.workspace.revert("img@1")
    #expect(try shell("stat -c '%a %u' \"$1\"", path).output == "700 0\n")
  }
}
