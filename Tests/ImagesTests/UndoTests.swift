// Undo, resume, and the choice between a swap and an in-place change.

import Apply
import Codec
import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct UndoTests {
  private func tree(_ directory: TemporaryDirectory) -> String {
    directory.path("root/img/rootimg")
  }

  /// Creates an image with two snapshots. The second one is live.
  private func twoStates(_ directory: TemporaryDirectory) throws -> Workspace {
    let workspace = try Workspace.test(directory)
    try shell(
      "cd \"$1\"; echo one >f; echo same >g; mkdir d; echo x >d/x; ln g d/h", tree(directory))
    _ = try workspace.snapshot("img")
    try shell("cd \"$1\"; echo two >f; rm -r d; echo new >n", tree(directory))
    _ = try workspace.snapshot("img")
    return workspace
  }

  private func refusal(_ body: () throws -> Void) -> String {
    do { try body() } catch { return (error as? any ExplainedError)?.messageWithHint ?? "\(error)" }
    return ""
  }

  @Test func `an undo undoes a revert, and a second undo redoes it`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try twoStates(directory)
    try copyTree(tree(directory), directory.path("two"))
    _ = try workspace.restore("img@1", to: directory.path("one"))
    #expect(try workspace.revert("img@1").isExact)
    for round in 0..<4 {
      #expect(try workspace.undo("img").isExact)
      let end = directory.path(round % 2 == 0 ? "two" : "one")
      #expect(try differences(end, tree(directory)) == "", "round \(round)")
      // A snapshot of the same state in between makes no difference.
      if round == 1 { _ = try workspace.snapshot("img", message: "nightly") }
    }
    // Later changes by others are kept, not lost.
    try shell("echo mine >\"$1/mine\"", tree(directory))
    let undone = try workspace.undo("img")
    #expect(try differences(directory.path("two"), tree(directory)) == "")
    #expect(try workspace.findEntry("mine", in: #require(undone.safety)).entry.sizeBytes == 5)
  }

  @Test func `an undo is recognised by its command, not by its message`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try twoStates(directory)
    let edit = try workspace.edit(
      "img", message: "undo of nothing", command: RecordedCommand("touch")
    ) { tree in
      let entry = try #require(try tree.find("g"))
      try tree.change {
        $0.put("g", .touched(entry, Timestamp(seconds: 5, nanoseconds: 0)))
      }
    }
    let number = try #require(edit).number
    let undo = try #require(try workspace.undo("img").recorded)
    #expect(undo.snapshot.message == "undo of @\(number) (undo of nothing)")
    let redo = try #require(try workspace.undo("img").recorded)
    #expect(redo.snapshot.message == "undo of @\(undo.number)")
  }

  @Test func `an undo after a snapshot is refused`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try twoStates(directory)
    #expect(refusal { _ = try workspace.undo("img") }.contains("has nothing to undo"))
    _ = try workspace.revert("img@1")
    try shell("echo three >\"$1/f\"", tree(directory))
    _ = try workspace.snapshot("img")
    #expect(refusal { _ = try workspace.undo("img") }.contains("has nothing to undo"))
  }

  @Test func `an undo without a safety snapshot is refused with a reason`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try twoStates(directory)
    try shell("echo unkept >\"$1/f\"", tree(directory))
    var request = RevertRequest("img@1")
    request.keepsSafety = false
    let outcome = try workspace.revert(request)
    #expect(outcome.isExact && outcome.safety == nil)
    #expect(try workspace.log("img").count == 3)
    #expect(refusal { _ = try workspace.undo("img") }.contains("--no-safety"))
  }

  /// Leaves an interrupted revert to img@1.
  private func interrupt(_ directory: TemporaryDirectory, _ method: ApplyStrategy) throws
    -> Workspace
  {
    let options = WorkspaceOptions(store: directory.path("store"), root: directory.path("root"))
    let whole = try Workspace(options) { _ in }
    // The journal gets its name by a rename.
    for n in 0..<100 {
      let files = FaultyFileSystem(.crash(after: n, "rename", {}))
      var request = RevertRequest("img@1")
      request.method = method
      do {
        _ = try Workspace(options, fileSystem: files) { _ in }.revert(request)
      } catch {
        if try !whole.unfinished().isEmpty { return whole }
        continue
      }
      // The revert ended before its fault, so the image returns to its first state.
      _ = try whole.revert("img@2")
    }
    throw TestFailure("no revert was interrupted")
  }

  @Test func `files added during an unfinished change are kept`() throws {
    let directory = try TemporaryDirectory()
    _ = try twoStates(directory)
    let workspace = try interrupt(directory, .inPlace)
    try shell("echo precious >\"$1/precious\"", tree(directory))
    for verb: () throws -> Void in [
      { _ = try workspace.snapshot("img") }, { _ = try workspace.revert("img@2") },
      { _ = try workspace.undo("img") }, { _ = try workspace.define("img", ["profile=x"]) },
    ] {
      #expect(refusal(verb).contains("'imgstore resume img' completes it"))
    }
    let change = try #require(workspace.unfinished().first)
    for name in [change.target, change.before] {
      let name = try #require(name)
      #expect(refusal { _ = try workspace.remove([name], force: true) }.contains("is needed by"))
    }
    #expect(try workspace.status("img").unfinished?.target == "img@1")
    let revert = try #require(try workspace.resume("img", .forward).revert)
    #expect(revert.isExact)
    let kept = try workspace.findEntry("precious", in: #require(revert.safety))
    #expect(kept.entry.sizeBytes == 9)
    #expect(try workspace.unfinished().isEmpty)
    #expect(
      refusal { _ = try workspace.resume(nil, .forward) }.contains("has no unfinished change"))
  }

  @Test func `a damaged journal is an error, and can be abandoned`() throws {
    let directory = try TemporaryDirectory()
    _ = try twoStates(directory)
    let workspace = try interrupt(directory, .swap)
    try shell(
      "printf XXXX | dd of=\"$1\" bs=1 seek=40 conv=notrunc 2>&1",
      directory.path("store/journal/img"))
    for direction in [ResumeDirection.forward, .back] {
      #expect(
        refusal { _ = try workspace.resume("img", direction) }.contains(
          "imgstore resume img --abandon"))
    }
    #expect(
      refusal { _ = try workspace.remove(["img@1"], force: true) }.contains("journal of img"))
    _ = try workspace.resume("img", .abandon)
    #expect(try workspace.revert("img@1").isExact)
  }

  private func name(_ digit: String) throws -> Digest {
    try #require(Digest(hex: String(repeating: digit, count: 64)))
  }

  @Test func `a journal decodes as encoded, and every flipped byte is detected`() throws {
    var journal = Journal(
      operation: .importing, image: "img", started: now(), method: .swap,
      target: try name("a"), before: try name("b"), command: "import", message: "m",
      options: [.init("allow", "/opt"), .init("orig", "")])
    #expect(try Journal.decode(journal.encode()) == journal)
    journal.before = nil
    let bytes = journal.encode()
    #expect(try Journal.decode(bytes) == journal)
    for i in bytes.indices {
      var damaged = bytes
      damaged[i] ^= 1
      #expect(throws: (any Error).self) { try Journal.decode(damaged) }
    }
    for end in bytes.indices {
      #expect(throws: (any Error).self) { try Journal.decode(Array(bytes[..<end])) }
    }
  }

  @Test func `unusual entries survive swaps`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    let live = tree(directory)
    try makeNastyTree(live)
    _ = try workspace.snapshot("img")
    try copyTree(live, directory.path("one"))
    try shell(
      """
      cd "$1"; echo changed >size-4096; rm random; chmod 600 size-1; mv web/g1-0 moved; rm -r web2
      touch -d 2002-02-02 size-65536; rm symlink; ln -s other symlink; ln size-65537 another
      """, live)
    _ = try workspace.snapshot("img")
    try copyTree(live, directory.path("two"))
    for (reference, end) in [("img@1", "one"), ("img@2", "two")] {
      var request = RevertRequest(reference)
      request.method = .swap
      let outcome = try workspace.revert(request)
      #expect(outcome.isExact && outcome.apply.methods.first?.isSwap == true)
      #expect(outcome.apply.report.problems.isEmpty && outcome.apply.report.reusedFiles > 1_000)
      #expect(try differences(directory.path(end), live) == "", "\(reference)")
    }
  }

  @Test func `a tree in use is changed in place, and the reason is reported`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try twoStates(directory)
    func method() throws -> TreeStrategy {
      try #require(workspace.revert("img@1", dryRun: true).apply.methods.first)
    }
    #expect(try method().isSwap)
    try shell(
      "mkdir -p \"$1/etc\"; echo '/img *(rw)' >\"$1/etc/exports\"", directory.path("root"))
    #expect(try method().isSwap, "an export of a parent directory does not use the tree")
    try shell("echo '\"/img/rootimg\" node1(ro)' >>\"$1/etc/exports\"", directory.path("root"))
    #expect(try !method().isSwap && method().reason.contains("exported by NFS"))
    try shell("rm \"$1/etc/exports\"", directory.path("root"))
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/sleep")
    process.arguments = ["60"]
    process.currentDirectoryURL = URL(fileURLWithPath: tree(directory))
    try process.run()
    #expect(try !method().isSwap && method().reason.contains("working directory"))
    // A shell may make this process ignore SIGTERM, and the child inherits that.
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
    #expect(try method().isSwap)
    // A second tree is not worthwhile for few changes among many entries.
    try shell("cd \"$1\"; mkdir many; cd many; seq 3000 | xargs touch", tree(directory))
    let many = try workspace.snapshot("img").committed
    try shell("rm \"$1/many/7\"", tree(directory))
    let few = try #require(try workspace.revert(many.name).apply.methods.first)
    #expect(!few.isSwap && few.reason.contains("entries change"))
  }

  @Test func `without reflinks no file is copied only to set its time`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try twoStates(directory)
    let parent = try KernelFileSystem.shared.openDirectory(
      at: KernelFileSystem.shared.workingDirectory, Array(directory.path("root").utf8))
    guard !KernelFileSystem.shared.canClone(in: parent.raw) else { return }
    try shell("head -c 8000000 /dev/urandom >\"$1/large\"", tree(directory))
    let large = try workspace.snapshot("img").committed
    try shell("touch -d 2002-02-02 \"$1/large\"", tree(directory))
    let method = try #require(try workspace.revert(large.name, dryRun: true).apply.methods.first)
    #expect(!method.isSwap && method.reason.contains("would copy 8000000 bytes"), "\(method)")
  }

  @Test func `a tree with a mount in it is not swapped`() throws {
    guard isRoot else { return }
    let directory = try TemporaryDirectory()
    let workspace = try twoStates(directory)
    try shell("mkdir \"$1/m\"", tree(directory))
    guard try run("mount", "-t", "tmpfs", "none", tree(directory) + "/m").didSucceed else { return }
    defer { _ = try? run("umount", tree(directory) + "/m") }
    var request = RevertRequest("img@1")
    request.method = .swap
    #expect(refusal { _ = try workspace.revert(request) }.contains("cannot be swapped"))
    #expect(try workspace.unfinished().isEmpty)
    // The captured objects are complete and in the index, although nothing needs them now.
    let remarks = Monitor<[String]>([])
    let after = try Workspace(
      WorkspaceOptions(store: directory.path("store"), root: directory.path("root"))
    ) { remark in remarks.withLock { $0.append(remark) } }
    #expect(try after.verify(deep: true).isClean)
    #expect(remarks.withLock { $0 } == [])
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path("store/tmp")) == [])
    #expect(try workspace.revert("img@1").apply.methods.first?.isSwap == false)
  }

  @Test func `a copy has its own directory, lists and rows, and an undo removes it`() throws {
    let node = try TestNode.real()
    let image = try #require(
      try node.workspace.images().map(\.name).first { $0.contains("netboot") })
    let before = try node.state()
    let first = try node.workspace.snapshot(image).committed
    var dry = CopyRequest(image, to: "second")
    dry.isDryRun = true
    let planned = try node.workspace.copy(dry)
    #expect(planned.copied == nil && planned.apply.plannedSteps > 0)
    #expect(try node.state().withoutTableFiles == before.withoutTableFiles)
    #expect(try node.workspace.images().contains { $0.name == "second" } == false)
    let copied = try node.workspace.copy(CopyRequest(image, to: "second"))
    #expect(copied.remaining?.isEmpty == true && copied.source.id == first.id)
    #expect(copied.apply.plannedBytes == planned.apply.plannedBytes)
    #expect(try node.workspace.status("second").isClean)
    #expect(try node.workspace.status(image).isClean)
    #expect(copied.directory.text.hasSuffix("/second"))
    let paths = try #require(copied.copied).snapshot.components.map { printable($0.path) }
    #expect(paths.contains { $0.hasPrefix(copied.directory.text) })
    #expect(
      refusal { _ = try node.workspace.copy(CopyRequest(image, to: "second")) }.contains(
        "is defined already"))
    _ = try node.workspace.undo("second")
    #expect(try node.state().withoutTableFiles == before.withoutTableFiles)
  }

  @Test(arguments: ["xfs", "btrfs"])
  func `on file systems with reflinks a swap and a copy write only the differences`(
    _ kind: String
  ) throws {
    guard isRoot, try run("which", "mkfs.\(kind)").didSucceed else { return }
    let directory = try TemporaryDirectory()
    let disk = directory.path("disk")
    try shell("mkdir \"$1\"; truncate -s 400M \"$1.img\"; mkfs.\(kind) -q \"$1.img\"", disk)
    guard try run("mount", "-o", "loop", disk + ".img", disk).didSucceed else { return }
    defer { _ = try? run("umount", disk) }
    func usedBytes() throws -> Int {
      try shell("sync; df -B1 --output=used \"$1\" | tail -1", disk).output
        .split(whereSeparator: \.isWhitespace).first.flatMap { Int($0) } ?? 0
    }
    let tree = disk + "/root/img/rootimg"
    try shell(
      "mkdir -p \"$1/d\"; head -c 60000000 /dev/urandom >\"$1/d/large\"; seq 9 >\"$1/n\"", tree)
    let workspace = try Workspace(
      WorkspaceOptions(store: directory.path("store"), root: disk + "/root")
    ) { _ in }
    _ = try workspace.define(
      "img",
      ["provmethod=netboot", "rootimgdir=/img", "osvers=x", "osarch=x86_64", "profile=p"])
    _ = try workspace.snapshot("img")
    // Only the time of the large file differs: its blocks are shared, its inode cannot be.
    try shell("touch \"$1/d/large\"; seq 10 >\"$1/n\"", tree)
    _ = try workspace.snapshot("img")
    let before = try usedBytes()
    let reverted = try workspace.revert("img@1")
    #expect(reverted.isExact && reverted.apply.methods.first?.isSwap == true)
    #expect(reverted.apply.report.writtenBytes < 100)
    let copied = try workspace.copy(CopyRequest("img", to: "second"))
    #expect(copied.remaining?.isEmpty == true && copied.apply.report.writtenBytes < 100)
    #expect(try differences(tree, disk + "/root" + copied.directory.text + "/rootimg") == "")
    #expect(try usedBytes() < before + 20_000_000)
  }
}
