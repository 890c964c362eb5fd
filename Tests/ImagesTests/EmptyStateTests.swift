// A missing, empty or unreadable live image is not recorded by mistake, and no policy lets such states
// replace the last good snapshot.

import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct EmptyStateTests {
  private func site() throws -> (directory: TemporaryDirectory, workspace: Workspace) {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    try shell(
      "cd \"$1\"; mkdir -p etc usr/bin; echo a >etc/a; for i in 1 2 3 4 5; do echo $i >usr/bin/$i; done",
      directory.path("root/img/rootimg"))
    return (directory, workspace)
  }

  private func numbers(_ workspace: Workspace) throws -> [Int] {
    try workspace.log("img").map(\.committed.number).sorted()
  }

  @Test(arguments: [
    "mv img away; mkdir img", "mv img away", "mv img/rootimg away",
    "mv img/rootimg away; mkdir img/rootimg",
    "rm -r img/rootimg; echo file >img/rootimg",
  ])
  func `a snapshot of a missing or empty tree is refused`(_ loss: String) throws {
    let (directory, workspace) = try site()
    try shell("echo k >\"$1/img/kernel\"", directory.path("root"))
    _ = try workspace.snapshot("img")
    try shell("cd \"$1\"; \(loss)", directory.path("root"))
    for _ in 1...3 {
      #expect(throws: ImageError.self) { try workspace.snapshot("img") }
      var policy = RetentionPolicy()
      policy.last = 1
      _ = try workspace.forget(["img"], policy)
    }
    #expect(try numbers(workspace) == [1])
    let asked = try workspace.snapshot("img", .allowsEmpty)
    #expect(asked.isNew && asked.committed.number == 2)
  }

  @Test(arguments: [
    "mv big away; mkdir big", "rm -r big/v1; ln -s nowhere big/v1",
    "rm img/rootimg; ln -s rootimg img/rootimg",
    "rm img/rootimg; mkfifo img/rootimg", "rm img/rootimg; ln -s /img/kernel img/rootimg",
    "find big/v1 ! -type d -delete", "rm -r big/v1/*; mkdir big/v1/lost+found",
  ])
  func `a snapshot behind a dangling link or of a tree without files is refused`(_ loss: String)
    throws
  {
    let (directory, workspace) = try site()
    let root = directory.path("root")
    try shell(
      "cd \"$1\"; mkdir big; mv img/rootimg big/v1; ln -s /big/v1 img/rootimg; echo k >img/kernel",
      root)
    #expect(try workspace.snapshot("img").committed.snapshot.isComplete)
    try shell("cd \"$1\"; \(loss); echo changed >>img/kernel", root)
    #expect(throws: ImageError.self, "\(loss)") { try workspace.snapshot("img") }
    #expect(try numbers(workspace) == [1])
  }

  @Test func `a tree that never had files may be recorded without files`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    try shell("mkdir \"$1/rootimg/etc\"; echo k >\"$1/kernel\"", directory.path("root/img"))
    _ = try workspace.snapshot("img")
    try shell("mkdir \"$1/rootimg/var\"", directory.path("root/img"))
    #expect(try workspace.snapshot("img").isNew)
  }

  @Test func `an image without any file is never recorded`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    try shell("rmdir \"$1\"", directory.path("root/img/rootimg"))
    #expect(throws: ImageError.self) { try workspace.snapshot("img") }
    #expect(try workspace.snapshot("img", .allowsEmpty).isNew)
  }

  @Test func `an incomplete state is recorded once and forgotten before complete ones`() throws {
    let (directory, workspace) = try site()
    _ = try workspace.snapshot("img")
    let root = directory.path("root/img")
    try shell("mv \"$1/rootimg\" \"$1/away\"", root)
    let first = try workspace.snapshot("img", .allowsEmpty)
    #expect(first.isNew && !first.committed.snapshot.isComplete)
    for _ in 1...3 {
      let again = try workspace.snapshot("img", .allowsEmpty)
      #expect(!again.isNew && again.committed.number == 2 && again.sameAs == 2)
    }
    #expect(try numbers(workspace) == [1, 2])
    var policy = RetentionPolicy()
    policy.last = 1
    let forgotten = try workspace.forget(["img"], policy)
    #expect(forgotten.forgotten.isEmpty)
    #expect(
      forgotten.kept.first { $0.snapshot.number == 1 }?.reasons.contains(.latestComplete) == true)
    #expect(throws: ImageError.self) { try workspace.remove(["img@1"]) }
    // The good state is restored and complete again, so the bad one is removed.
    try shell("mv \"$1/away\" \"$1/rootimg\"", root)
    _ = try workspace.snapshot("img")
    _ = try workspace.forget(["img"], policy)
    #expect(try numbers(workspace) == [3])
  }

  @Test func `an empty tree is not recorded even as the first snapshot`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    #expect(throws: ImageError.self) { try workspace.snapshot("img") }
    #expect(try workspace.snapshot("img", .allowsEmpty).isNew)
    // A state that was recorded on purpose is not reported as a loss later.
    #expect(try workspace.snapshot("img").isNew)
  }

  @Test func `a snapshot of a tree that lost nine tenths of its entries is refused`() throws {
    let (directory, workspace) = try site()
    let tree = directory.path("root/img/rootimg")
    try shell("cd \"$1\"; seq 300 | xargs touch", tree)
    _ = try workspace.snapshot("img")
    try shell("cd \"$1\"; seq 280 | xargs rm", tree)
    #expect(throws: ImageError.self) { try workspace.snapshot("img") }
    try shell("cd \"$1\"; seq 50 | xargs touch", tree)
    #expect(try workspace.snapshot("img").isNew)
  }

  @Test func `export and pack do not record an empty state`() throws {
    let (directory, workspace) = try site()
    _ = try workspace.snapshot("img")
    try shell("rm -r \"$1\"/*", directory.path("root/img/rootimg"))
    #expect(throws: (any Error).self) { try workspace.pack(PackRequest("img")) }
    #expect(try numbers(workspace) == [1])
  }

  @Test func `a complete state is recorded on every request`() throws {
    let (directory, workspace) = try site()
    defer { withExtendedLifetime(directory) {} }
    _ = try workspace.snapshot("img")
    let again = try workspace.snapshot("img", message: "before the update")
    #expect(again.isNew && again.sameAs == 1 && again.committed.number == 2)
  }
}
