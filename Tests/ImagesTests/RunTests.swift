// `run`: what the command sees, what is recorded, and that nothing else is left in the tree or on this machine.

import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools, .enabled(if: canRunInTrees, "needs root and namespaces"))
struct RunTests {
  private func bytes(_ words: [String]) -> [[UInt8]] { words.map { Array($0.utf8) } }

  /// Runs a shell script in the tree, and returns the outcome and the output.
  @discardableResult
  private func run(
    _ script: String, on node: TestNode, _ change: (inout RunRequest) -> Void = { _ in }
  ) throws -> (outcome: RunOutcome, output: String) {
    let path = node.directory.path("output-\(randomName())")
    let file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    defer { close(file) }
    var request = RunRequest("img", bytes(["/bin/sh", "-c", script]))
    request.output = file
    change(&request)
    let outcome = try node.workspace.run(request)
    return (outcome, try String(contentsOfFile: path, encoding: .utf8))
  }

  @Test func `a run records both states, and an undo restores the first`() throws {
    let node = try TestNode.runnable()
    let (outcome, output) = try run("echo new >/etc/new; echo out", on: node)
    #expect(output == "out\n")
    #expect(outcome.end.status == .exited(0) && outcome.end.leftovers == 0)
    let (before, after) = (try #require(outcome.before), try #require(outcome.recorded))
    #expect(before.snapshot.origin == .safety)
    #expect(after.snapshot.origin == .manual)
    #expect(after.snapshot.message == "run: /bin/sh -c \"echo new >/etc/new; echo out\" (exit 0)")
    #expect(after.snapshot.provenance.contains { $0.key == "before" && $0.value == before.id.hex })
    let changes = try #require(outcome.comparison).diff.entries.filter { !isTimeOnly($0) }
    #expect(changes.map { printable($0.path) } == ["/img/rootimg/etc/new"])
    #expect(try node.workspace.status("img").isClean)
    _ = try node.workspace.undo("img")
    #expect(!node.exists("img/rootimg/etc/new"))
  }

  private func isTimeOnly(_ change: TreeChange) -> Bool {
    if case .changed(_, _, let fields) = change.kind { fields == .modified } else { false }
  }

  @Test func `a run that changes nothing records nothing`() throws {
    let node = try TestNode.runnable()
    _ = try node.workspace.snapshot("img")
    let (outcome, _) = try run("true", on: node)
    #expect(outcome.recorded == nil)
    #expect(outcome.before?.number == 1)
    #expect(try node.workspace.log("img").count == 1)
  }

  @Test func `the command sees mounts of its own, and nothing of them stays`() throws {
    let node = try TestNode.runnable()
    let listing = try node.listing()
    let (outcome, output) = try run(
      """
      set -e; cd /; test "$(echo proc/[0-9]*)" != 'proc/[0-9]*'; test -r sys/kernel
      head -c 4 /dev/zero >/dev/null; echo x >/dev/full 2>/dev/null && exit 3
      echo a >/run/a; echo b >/tmp/b; echo c >/dev/shm/c; echo d >/dev/d; test -L /dev/fd
      ls /dev/pts/ptmx >/dev/null; echo 1 2>/dev/null >/proc/sys/vm/drop_caches && exit 4
      touch /sys/x 2>/dev/null && exit 5
      cat /etc/resolv.conf; echo changed >/etc/resolv.conf; echo "$$"
      """, on: node)
    #expect(outcome.end.status == .exited(0))
    let resolver = try String(contentsOfFile: "/etc/resolv.conf", encoding: .utf8)
    #expect(output == resolver + "2\n", "the command is the second process of its namespace")
    #expect(outcome.recorded == nil, "nothing may reach the tree")
    #expect(try node.listing() == listing)
    #expect(node.content("img/rootimg/etc/resolv.conf") == "# of the tree\n")
    #expect(try String(contentsOfFile: "/etc/resolv.conf", encoding: .utf8) == resolver)
    #expect(try node.mounts().isEmpty)
  }

  @Test func `the environment is clean, with the variables that were requested`() throws {
    let node = try TestNode.runnable()
    setenv("IMGSTORE_TEST_SECRET", "hidden", 1)
    let (_, output) = try run(
      "echo $HOME $IMGSTORE_IMAGE $A ${IMGSTORE_TEST_SECRET:-none} $SYSTEMD_OFFLINE", on: node
    ) { $0.variables = ["A=b c", "HOME=/"] }
    #expect(output == "/ img b c none 1\n")
  }

  @Test func `the end of the command is distinguished from its failure to start`() throws {
    let node = try TestNode.runnable()
    #expect(try run("exit 7", on: node).outcome.end.status == .exited(7))
    #expect(try run("kill -9 $$", on: node).outcome.end.status == .signalled(9))
    func failure(_ words: [String]) throws -> CommandNotExecuted? {
      do {
        _ = try node.workspace.run(RunRequest("img", bytes(words)))
      } catch let error as CommandNotExecuted { return error }
      return nil
    }
    #expect(try failure(["no-such-program"])?.isAbsent == true)
    #expect(try failure(["/etc/motd"])?.isAbsent == false)
    #expect(try node.workspace.log("img").count == 1, "only the state before")
  }

  @Test func `processes that the command leaves running are ended`() throws {
    let node = try TestNode.runnable()
    let start = monotonicSeconds()
    let (outcome, _) = try run(
      "setsid sleep 1000 >/dev/null 2>&1 & sleep 1000 & sleep 0.1; exit 0", on: node)
    #expect(outcome.end.status == .exited(0) && outcome.end.leftovers == 2)
    #expect(monotonicSeconds() - start < 60)
  }

  @Test func `a failed command is rolled back on request, and its state is kept`() throws {
    let node = try TestNode.runnable()
    let listing = try node.listing()
    let (outcome, _) = try run("rm /etc/motd; echo bad >/etc/bad; exit 3", on: node) {
      $0.rollsBack = true
    }
    #expect(outcome.end.status == .exited(3))
    #expect(outcome.rollback?.isExact == true)
    #expect(try node.listing() == listing)
    let failed = try #require(outcome.recorded)
    #expect(failed.snapshot.message.hasSuffix("(exit 3)"))
    #expect(
      try node.workspace.diff("img@\(failed.number)", "img@\(outcome.before?.number ?? 0)").entries
        .contains { printable($0.path).hasSuffix("etc/bad") })
    #expect(try node.workspace.unfinished().isEmpty)
  }

  @Test func `a command that removes the tree's files is rolled back`() throws {
    let node = try TestNode.runnable()
    let listing = try node.listing()
    let (outcome, _) = try run("rm -rf /etc /usr /root /mnt /bin; exit 1", on: node) {
      $0.rollsBack = true
    }
    #expect(outcome.rollback?.isExact == true)
    #expect(try node.listing() == listing)
  }

  @Test(arguments: ["proc", "sys", "dev", "run", "tmp"])
  func `a mount point that is a link is refused`(_ name: String) throws {
    let node = try TestNode.runnable()
    let outside = node.directory.path("outside")
    try shell("mkdir -p \"$3\"; rmdir \"$1/$2\"; ln -s \"$3\" \"$1/$2\"", node.tree, name, outside)
    #expect(errorCode { try run("true", on: node) } == .unsupported)
    #expect(try FileManager.default.contentsOfDirectory(atPath: outside).isEmpty)
    #expect(try node.mounts().isEmpty)
  }

  @Test func `binds show files of this machine, and leave none in the tree`() throws {
    let node = try TestNode.runnable()
    let listing = try node.listing()
    let source = node.directory.path("source")
    try shell("mkdir \"$1\"; echo data >\"$1/file\"", source)
    let (outcome, output) = try run(
      """
      cat /run/deep/repo/file /mnt/file /run/one
      echo x 2>/dev/null >/mnt/file && exit 3; echo written >/run/deep/repo/new
      """, on: node
    ) {
      $0.binds = ["\(source):/run/deep/repo", "\(source):/mnt:ro", "\(source)/file:/run/one"]
    }
    #expect(outcome.end.status == .exited(0))
    #expect(output == "data\ndata\ndata\n")
    #expect(try node.listing() == listing)
    #expect(node.content("../source/new") == "written\n")
    for bind in ["\(source):/absent", "\(source):/etc/motd", "\(source)/none:/mnt"] {
      #expect(errorCode { try run("true", on: node) { $0.binds = [bind] } } == .pathNotFound)
    }
    #expect(errorCode { try run("true", on: node) { $0.binds = ["a:b:c:d"] } } == .usage)
  }

  @Test func `a run without network has no interface but its own loopback`() throws {
    let node = try TestNode.runnable()
    let (_, output) = try run("ls /sys/class/net", on: node) { $0.hasNetwork = false }
    #expect(output.split(separator: "\n").allSatisfy { ["lo", "sit0", "tunl0"].contains($0) })
  }

  @Test func `a run waits for no command of xCAT, and fails before it starts`() throws {
    let node = try TestNode.runnable()
    let lock = try TreeLock(of: "/img/rootimg", below: node.path(""))
    defer { withExtendedLifetime(lock) {} }
    #expect(errorCode { try run("touch /etc/x", on: node) } == .imageLocked)
    #expect(!node.exists("img/rootimg/etc/x"))
  }

  @Test func `a command of the management node runs between two snapshots`() throws {
    let node = try TestNode.runnable()
    _ = try node.workspace.snapshot("img")
    var request = RunRequest(
      "img", bytes(["sh", "-c", "echo host >\"$1\"", "sh", "\(node.tree)/etc/h"]))
    request.location = .host
    let outcome = try node.workspace.run(request)
    #expect(outcome.recorded?.number == 2)
    #expect(outcome.before?.number == 1)
    #expect(node.content("img/rootimg/etc/h") == "host\n")
  }

  @Test func `the command that makes the first tree of an image runs on the management node`()
    throws
  {
    let node = try TestNode(stage: { _ in })
    _ = try node.open().define("new", ["provmethod=netboot", "rootimgdir=/new"])
    let tree = node.path("/new/rootimg")
    var request = RunRequest(
      "new", bytes(["sh", "-c", "mkdir -p \"$1/etc\"; echo a >\"$1/etc/a\"", "sh", tree]))
    request.location = .host
    let outcome = try node.workspace.run(request)
    #expect(outcome.before == nil)
    #expect(outcome.recorded?.number == 1)
  }
}
