// Somebody else writes at the worst moment of a change: what they wrote is kept, and listed.

import Apply
import Codec
import Foundation
import Images
import Ingest
import Platform
import Store
import TestSupport
import Testing
import XCAT

@Suite struct ConcurrentWriterTests {
  private let site: WritingSite
  private var folder: TemporaryFolder { site.folder }
  private var kernel: KernelFileSystem { site.kernel }

  init() throws { site = try WritingSite() }

  private func text(_ name: String) -> String? {
    try? String(contentsOfFile: folder.path(name), encoding: .utf8)
  }

  private func names() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder.path("tree")).sorted()
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
      files, site.store, base: site.root, surroundings: .asPlanned, threads: 1,
      progress: Progress()
    ).run(plan)
    #expect(files.isHit)
    return report
  }

  @Test(arguments: [true, false])
  func `content that is written just before the exchange is kept`(_ isSeen: Bool) throws {
    try Data("old".utf8).write(to: URL(fileURLWithPath: folder.path("tree/f")))
    var plan = Plan()
    plan.files = [
      Step(
        action: .write, path: Array("tree/f".utf8), entry: try entry("new content"),
        old: try live("tree/f"), seen: isSeen ? try stat("tree/f") : nil)
    ]
    let path = folder.path("tree/f")
    let report = try run(plan, before: "exchange") {
      _ = try? shell("echo precious >>\"$1\"", path)
    }
    #expect(report.problems.count == 1 && report.writtenFiles == 0)
    #expect(text("tree/f") == "oldprecious\n")
    #expect(try names() == ["f"])
  }

  @Test func `a change that puts the time back is seen by the inode's own time`() throws {
    try Data("old".utf8).write(to: URL(fileURLWithPath: folder.path("tree/f")))
    try shell("touch -d @1000000000 \"$1\"", folder.path("tree/f"))
    var plan = Plan()
    plan.files = [
      Step(
        action: .write, path: Array("tree/f".utf8), entry: try entry("new"),
        old: try live("tree/f"), seen: try stat("tree/f"))
    ]
    usleep(20_000)
    try shell("printf OLD >\"$1\"; touch -d @1000000000 \"$1\"", folder.path("tree/f"))
    let report = try Executor(
      kernel, site.store, base: site.root, surroundings: .asPlanned, progress: Progress()
    ).run(plan)
    #expect(report.problems.count == 1)
    #expect(text("tree/f") == "OLD")
  }

  @Test(arguments: ["rename", "open"])
  func `a file that appears where one is made is kept`(_ operation: String) throws {
    var plan = Plan()
    plan.files = [Step(action: .write, path: Array("tree/f".utf8), entry: try entry("new"))]
    let path = folder.path("tree/f")
    let report = try run(plan, before: operation, operation == "open" ? 1 : 0) {
      try? Data("theirs".utf8).write(to: URL(fileURLWithPath: path))
    }
    #expect(report.problems.count == 1)
    #expect(text("tree/f") == "theirs")
    #expect(try names() == ["f"])
  }

  @Test func `a folder that appears where one is made is kept as it is`() throws {
    var folderEntry = try entry("")
    folderEntry.content = .directory(tree: Tree.encode([]) { _ in }.tree)
    var plan = Plan()
    plan.directories = [
      Step(action: .makeDirectory, path: Array("tree/d".utf8), entry: folderEntry)
    ]
    plan.files = [Step(action: .write, path: Array("tree/d/f".utf8), entry: try entry("new"))]
    plan.finished = [
      Step(action: .setAttributes, path: Array("tree/d".utf8), entry: folderEntry)
    ]
    let path = folder.path("tree/d")
    let report = try run(plan, before: "makeDirectory") {
      _ = try? shell("mkdir \"$1\"; chmod 711 \"$1\"; echo theirs >\"$1/g\"", path)
    }
    #expect(report.problems.count >= 2)
    #expect(try stat("tree/d").mode == 0o711)
    #expect(try FileManager.default.contentsOfDirectory(atPath: path) == ["g"])
  }

  @Test(arguments: ["rename", "stat"])
  func `a file that changes before it is removed is kept`(_ operation: String) throws {
    try Data("old".utf8).write(to: URL(fileURLWithPath: folder.path("tree/f")))
    var plan = Plan()
    plan.removals = [
      Step(
        action: .remove(.file), path: Array("tree/f".utf8), entry: try live("tree/f"),
        old: try live("tree/f"), seen: try stat("tree/f"))
    ]
    let path = folder.path("tree/f")
    let report = try run(plan, before: operation) {
      _ = try? shell("echo precious >\"$1\"", path)
    }
    #expect(report.problems.count == 1 && report.removed == 0)
    #expect(text("tree/f") == "precious\n")
    #expect(try names() == ["f"])
  }

  @Test func `attributes reach only the inode that the plan saw`() throws {
    try shell("echo mine >\"$1/f\"; chmod 666 \"$1/f\"", folder.path("tree"))
    var wanted = try live("tree/f")
    wanted.mode = 0o644
    var plan = Plan()
    plan.attributes = [
      Step(
        action: .setAttributes, path: Array("tree/f".utf8), entry: wanted,
        old: try live("tree/f"), seen: try stat("tree/f"))
    ]
    let path = folder.path("tree/f")
    let report = try run(plan, before: "open", 1) {
      _ = try? shell("echo secret >\"$1.x\"; chmod 600 \"$1.x\"; mv \"$1.x\" \"$1\"", path)
    }
    #expect(report.problems.count == 1)
    #expect(try stat("tree/f").mode == 0o600)
  }

  @Test(arguments: ["before", nil])
  func `a packed file that changes while it is packed is kept`(_ old: String?) throws {
    let folder = try TemporaryFolder()
    let workspace = try Workspace.test(folder)
    try shell("echo a >\"$1/f\"", folder.path("root/img/rootimg"))
    let path = folder.path("packed.cpio.gz")
    if let old { try Data(old.utf8).write(to: URL(fileURLWithPath: path)) }
    let files = FaultyFileSystem(
      .before(0, old == nil ? "rename" : "exchange") {
        try? Data("theirs".utf8).write(to: URL(fileURLWithPath: path))
      })
    _ = try workspace.snapshot("img")
    var request = PackRequest("img")
    request.output = path
    let other = try Workspace(workspace.options, fileSystem: files) { _ in }
    #expect(throws: (any Error).self) { try other.pack(request) }
    #expect(files.isHit)
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "theirs")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
    #expect(!names.contains { $0.contains("imgstore-part") })
  }

  @Test func `a row that changes during a revert is kept, and the others are set`() throws {
    let folder = try TemporaryFolder()
    let workspace = try Workspace.test(folder)
    try shell("echo old >\"$1/img/rootimg/g\"", folder.path("root"))
    _ = try workspace.define("img", ["osdistroname=one", "pkgdir=/install/one"])
    _ = try workspace.snapshot("img")
    _ = try workspace.define("img", ["osdistroname=two", "pkgdir=/install/two"])
    try shell("echo new >\"$1/img/rootimg/f\"", folder.path("root"))
    let options = workspace.options
    let tables = SQLiteTableBackend(
      kernel, directory: Array(folder.path("store/xcat").utf8), mayCreate: false)
    let change = RowChange(
      schema: .osimage, key: ["imagename": "img"], columns: ["osdistroname": "precious"],
      keepsOtherColumns: true)
    let files = FaultyFileSystem(
      .before(0, "syncFileSystem") { _ = try? tables.apply([change]) })
    let outcome = try Workspace(options, fileSystem: files) { _ in }.revert("img@1")
    #expect(files.isHit && !outcome.isExact)
    #expect(
      outcome.apply.report.problems.map { String(decoding: $0.path, as: UTF8.self) }
        == ["osimage img"])
    let now = try #require(try tables.definition(of: "img"))
    #expect(now.osimage["osdistroname"] == "precious")
    #expect(now.linuximage["pkgdir"] == "/install/one")
  }
}
