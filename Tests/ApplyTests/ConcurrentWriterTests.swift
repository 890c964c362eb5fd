// Another process writes during the steps of a plan: its changes are kept and reported.

import Apply
import Codec
import Foundation
import Platform
import Store
import TestSupport
import Testing

/// Writes into the file that is there, so that its inode stays.
private func write(_ text: String, to path: String) throws {
  if !FileManager.default.fileExists(atPath: path) {
    _ = FileManager.default.createFile(atPath: path, contents: nil)
  }
  let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
  try file.truncate(atOffset: 0)
  try file.write(contentsOf: Data(text.utf8))
  try file.close()
}

/// Sets the time back to that of the entries of these tests.
private func backdate(_ path: String) throws {
  try FileManager.default.setAttributes(
    [.modificationDate: Date(timeIntervalSince1970: 1_000_000_000)], ofItemAtPath: path)
}

@Suite struct ConcurrentWriterTests {
  private let site: ExecutorFixture
  private var directory: TemporaryDirectory { site.directory }
  private var kernel: KernelFileSystem { site.kernel }

  init() throws { site = try ExecutorFixture() }

  private func text(_ name: String) -> String? {
    try? String(contentsOfFile: directory.path(name), encoding: .utf8)
  }

  private func names() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: directory.path("tree")).sorted()
  }

  private func stored(_ text: String) throws -> Digest {
    let session = try site.store.beginSession()
    let bytes = Array(text.utf8)
    let id = SHA256.digest(of: bytes)
    try session.withWorker { worker in
      try bytes.withUnsafeBytes { try worker.add(.chunk, id, $0) }
    }
    try session.finish()
    return id
  }

  private func entry(_ text: String, mode: UInt16 = 0o644) throws -> Entry {
    Entry(
      name: Array("f".utf8),
      content: .file(blob: try stored(text), sizeBytes: UInt64(text.utf8.count)), mode: mode,
      uid: getuid(), gid: getgid(), modified: Timestamp(seconds: 1_000_000_000, nanoseconds: 5))
  }

  private func stat(_ name: String) throws -> FileStat {
    try kernel.stat(at: site.root.raw, Array(name.utf8), followLink: false)
  }

  /// The entry of a live file, as a snapshot would have it.
  private func live(_ name: String) throws -> Entry {
    let stat = try stat(name)
    return Entry(
      name: Array("f".utf8),
      content: .file(
        blob: SHA256.digest(of: Array((text(name) ?? "").utf8)), sizeBytes: stat.size),
      mode: stat.mode, uid: stat.uid, gid: stat.gid, modified: stat.modified)
  }

  private func run(
    _ plan: Plan, before operation: String, _ n: Int = 0, _ action: @escaping @Sendable () -> Void
  ) throws -> ApplyReport {
    let files = FaultyFileSystem(.before(n, operation, action))
    let report = try Executor(
      files, site.store, site.target, ExecutionOptions(.failIfChanged, threads: 1),
      progress: Progress()
    ).run(plan)
    #expect(files.isHit)
    return report
  }

  @Test(arguments: [true, false])
  func `content written just before the exchange is kept`(_ isSeen: Bool) throws {
    try Data("old".utf8).write(to: URL(fileURLWithPath: directory.path("tree/f")))
    var plan = Plan()
    plan.files = [
      Step(
        action: .write, path: "f", entry: try entry("new content"),
        old: try live("tree/f"), seen: isSeen ? try stat("tree/f") : nil)
    ]
    let path = directory.path("tree/f")
    let report = try run(plan, before: "exchange") {
      try? write("oldprecious\n", to: path)
    }
    #expect(report.problems.count == 1 && report.writtenFiles == 0)
    #expect(text("tree/f") == "oldprecious\n")
    #expect(try names() == ["f"])
  }

  @Test func `a write that restores the modification time is detected by the change time`() throws {
    try Data("old".utf8).write(to: URL(fileURLWithPath: directory.path("tree/f")))
    try backdate(directory.path("tree/f"))
    var plan = Plan()
    plan.files = [
      Step(
        action: .write, path: "f", entry: try entry("new"),
        old: try live("tree/f"), seen: try stat("tree/f"))
    ]
    usleep(20_000)
    try write("OLD", to: directory.path("tree/f"))
    try backdate(directory.path("tree/f"))
    let report = try Executor(
      kernel, site.store, site.target, ExecutionOptions(.failIfChanged), progress: Progress()
    ).run(plan)
    #expect(report.problems.count == 1)
    #expect(text("tree/f") == "OLD")
  }

  @Test(arguments: ["rename", "open"])
  func `a file that appears where the plan creates one is kept`(_ operation: String) throws {
    var plan = Plan()
    plan.files = [Step(action: .write, path: "f", entry: try entry("new"))]
    let path = directory.path("tree/f")
    let report = try run(plan, before: operation, operation == "open" ? 1 : 0) {
      try? Data("theirs".utf8).write(to: URL(fileURLWithPath: path))
    }
    #expect(report.problems.count == 1)
    #expect(text("tree/f") == "theirs")
    #expect(try names() == ["f"])
  }

  @Test func `a directory that appears where the plan creates one is kept unchanged`() throws {
    var directoryEntry = try entry("")
    directoryEntry.content = .directory(tree: Tree.encode([]) { _ in }.tree)
    var plan = Plan()
    plan.directories = [
      Step(action: .makeDirectory, path: "d", entry: directoryEntry)
    ]
    plan.files = [Step(action: .write, path: "d/f", entry: try entry("new"))]
    plan.finished = [
      Step(action: .setAttributes, path: "d", entry: directoryEntry)
    ]
    let path = directory.path("tree/d")
    let report = try run(plan, before: "makeDirectory") {
      mkdir(path, 0o711)
      chmod(path, 0o711)
      try? write("theirs\n", to: path + "/g")
    }
    #expect(report.problems.count >= 2)
    #expect(try stat("tree/d").mode == 0o711)
    #expect(try FileManager.default.contentsOfDirectory(atPath: path) == ["g"])
  }

  @Test(arguments: ["rename", "stat"])
  func `a file that changes just before its removal is kept`(_ operation: String) throws {
    try Data("old".utf8).write(to: URL(fileURLWithPath: directory.path("tree/f")))
    var plan = Plan()
    plan.removals = [
      Step(
        action: .remove(.file), path: "f", entry: try live("tree/f"),
        old: try live("tree/f"), seen: try stat("tree/f"))
    ]
    let path = directory.path("tree/f")
    let report = try run(plan, before: operation) {
      try? write("precious\n", to: path)
    }
    #expect(report.problems.count == 1 && report.removed == 0)
    #expect(text("tree/f") == "precious\n")
    #expect(try names() == ["f"])
  }

  @Test func `attributes are set only on the inode that the plan examined`() throws {
    try write("mine\n", to: directory.path("tree/f"))
    chmod(directory.path("tree/f"), 0o666)
    var expected = try live("tree/f")
    expected.mode = 0o644
    var plan = Plan()
    plan.attributes = [
      Step(
        action: .setAttributes, path: "f", entry: expected,
        old: try live("tree/f"), seen: try stat("tree/f"))
    ]
    let path = directory.path("tree/f")
    let report = try run(plan, before: "open", 1) {
      try? write("secret\n", to: path + ".x")
      chmod(path + ".x", 0o600)
      rename(path + ".x", path)
    }
    #expect(report.problems.count == 1)
    #expect(try stat("tree/f").mode == 0o600)
  }
}
