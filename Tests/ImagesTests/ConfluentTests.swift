// Squashfs images and Confluent profiles that come in: each equals what unsquashfs gives.

import Foundation
import Images
import Platform
import TestSupport
import Testing

@Suite(.usesTools, .enabled(if: isRoot, "needs root"))
struct ConfluentTests {
  private func importing(
    _ source: String, as name: String, _ node: TestNode,
    _ edit: (inout ImportRequest) -> Void = { _ in }
  ) throws -> ImportOutcome {
    var request = ImportRequest(node.directory.path(source))
    request.directory = node.directory.path("srv/\(name)")
    request.allowsPrivileged = true
    edit(&request)
    return try node.workspace.importBundle(request)
  }

  /// A node with a tree, and a squashfs image of it.
  private func node(_ options: String = "-comp xz", wide: Int = 100) throws -> TestNode {
    let node = try TestNode(isStaged: false, tree: "tree")
    try makeNastyTree(node.tree, wide: wide)
    try shell(
      // No archive has sockets.
      "cd \"$1\"; mkdir srv; rm -f tree/socket; mksquashfs tree image.sfs -noappend -quiet -no-progress \(options); "
        + "unsquashfs -quiet -no-progress -d oracle image.sfs >/dev/null",
      node.directory.path)
    return node
  }

  private func compare(_ node: TestNode, _ name: String) throws {
    let found = try differences(
      node.directory.path("oracle"), node.directory.path("srv/\(name)"), seconds: true)
    #expect(found == "", "\(found)")
  }

  @Test(
    .timeLimit(.minutes(5)),
    arguments: [
      "-comp xz", "-comp gzip -b 4096", "-comp zstd -no-fragments", "-noI -noD -noF -noX",
    ])
  func `an image comes in equal to what unsquashfs gives`(_ options: String) throws {
    let node = try node(options)
    let outcome = try importing("image.sfs", as: "plain", node)
    #expect(outcome.images.first?.name == "plain")
    #expect(outcome.images.first?.remaining?.isEmpty == true)
    try compare(node, "plain")
  }

  @Test func `an encrypted profile is read with the key where imgutil writes it`() throws {
    let node = try node(wide: 20)
    try shell(
      "cd \"$1\"; mkdir -p public/os/prof private/os/prof/pending; \"$2\" encrypt image.sfs "
        + "public/os/prof/rootimg.sfs private/os/prof/pending/rootimg.key",
      node.directory.path, fixture("scripts/oci/make-confluent-profile.py"))
    _ = try importing("public/os/prof", as: "found", node)
    try compare(node, "found")
    try shell("cd \"$1\"; mv private/os/prof/pending/rootimg.key key", node.directory.path)
    let missing = #expect(throws: ImageError.self) {
      try importing("public/os/prof", as: "none", node)
    }
    #expect(missing?.errorCode == .keyNotFound)
    _ = try importing("public/os/prof/rootimg.sfs", as: "named", node) {
      $0.imageKey = node.directory.path("key")
    }
    try compare(node, "named")
    for text in [
      "aes-xts-plain64\n" + String(repeating: "0f", count: 32) + "\n", "x\n", "",
      "aes-xts-plain64\nzz\n",
    ] {
      try Data(text.utf8).write(to: URL(fileURLWithPath: node.directory.path("wrong")))
      let wrong = #expect(throws: ImageError.self) {
        try importing("public/os/prof", as: "none", node) {
          $0.imageKey = node.directory.path("wrong")
        }
      }
      #expect(wrong?.errorCode == .keyNotFound)
    }
    #expect(!FileManager.default.fileExists(atPath: node.directory.path("srv/none")))
  }

  @Test func `the file systems of a captured image become one tree`() throws {
    let node = try TestNode(isStaged: false)
    try shell(
      """
      cd "$1"; mkdir -p srv a/boot a/var b/efi c/x; echo a >a/f; echo .wh.f >a/.wh.f; echo b >b/kernel; echo c >c/x/y
      chmod 700 b; for i in a b c; do mksquashfs $i $i.sfs -noappend -quiet -no-progress -comp gzip; done
      "$2" capture image.sfs /boot/efi=c.sfs /=a.sfs /boot=b.sfs
      """, node.directory.path, fixture("scripts/oci/make-confluent-profile.py"))
    _ = try importing("image.sfs", as: "one", node)
    try shell(
      """
      cd "$1"; cp -a a o; rm -r o/boot; cp -a b o/boot; rm -r o/boot/efi; cp -a c o/boot/efi
      touch -r b o/boot; touch -r a o
      """,
      node.directory.path)
    #expect(
      try differences(node.directory.path("o"), node.directory.path("srv/one"), seconds: true) == ""
    )
  }

  @Test(.sweep, arguments: seeds)
  func `a damaged image is refused, or equals the undamaged one`(_ seed: UInt64) throws {
    let node = try TestNode(isStaged: false)
    try shell(
      "cd \"$1\"; mkdir -p srv t/d; echo x >t/d/x; ln t/d/x t/y; mkfifo t/f; "
        + "mksquashfs t good.sfs -noappend -quiet -no-progress -comp gzip",
      node.directory.path)
    let good = Array(try Data(contentsOf: URL(fileURLWithPath: node.directory.path("good.sfs"))))
    var random = SplitMix64(seed)
    for _ in 0..<60 {
      var bytes = good
      bytes[Int(random.next() % UInt64(min(bytes.count, 600)))] ^= UInt8(1 << (random.next() % 8))
      try Data(bytes).write(to: URL(fileURLWithPath: node.directory.path("bad.sfs")))
      do {
        _ = try importing("bad.sfs", as: "bad", node) { $0.isDryRun = true }
      } catch let error as any ExplainedError {
        #expect(!error.message.isEmpty)
      }
    }
    #expect(try shell("ls -A \"$1\"/srv", node.directory.path).output == "")
  }
}
