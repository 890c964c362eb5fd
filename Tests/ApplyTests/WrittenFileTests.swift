// A file that was just written is not read again as long as it is unchanged.

import Apply
import Codec
import Foundation
import Ingest
import Platform
import Store
import TestSupport
import Testing

@Suite struct WrittenFileTests {
  private let site: ExecutorFixture
  private var directory: TemporaryDirectory { site.directory }
  private var kernel: KernelFileSystem { site.kernel }
  private var root: Descriptor { site.root }
  private var store: ObjectStore { site.store }

  init() throws { site = try ExecutorFixture() }

  private var file: String { directory.path("tree/f") }

  /// Writes tree/f from a blob that the store has under this id.
  private func write(_ id: Digest, sizeBytes: Int) throws -> ApplyReport {
    let entry = Entry(
      name: Array("f".utf8), content: .file(blob: id, sizeBytes: UInt64(sizeBytes)), mode: 0o644,
      uid: getuid(), gid: getgid(), modified: Timestamp(seconds: 1_000_000_000, nanoseconds: 5))
    var plan = Plan()
    plan.files = [Step(action: .write, path: "f", entry: entry)]
    return try Executor(
      kernel, store, site.target, ExecutionOptions(.overwrite), progress: Progress()
    )
    .run(plan)
  }

  private func add(_ text: String, as id: Digest? = nil) throws -> Digest {
    let session = try store.beginSession()
    let bytes = Array(text.utf8)
    let id = id ?? SHA256.digest(of: bytes)
    try session.withWorker { worker in
      try bytes.withUnsafeBytes { try worker.add(.chunk, id, $0) }
    }
    try session.finish()
    return id
  }

  @Test func `an object stored under a wrong id replaces no file`() throws {
    try Data("old".utf8).write(to: URL(fileURLWithPath: file))
    let wrong = try add("damage", as: SHA256.digest(of: Array("right!".utf8)))
    let report = try write(wrong, sizeBytes: 6)
    #expect(report.problems.count == 1 && report.problems[0].what.contains("SHA-256"))
    #expect(report.writtenFileStates.isEmpty && report.writtenFiles == 0)
    #expect(try Data(contentsOf: URL(fileURLWithPath: file)) == Data("old".utf8))
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path("tree")) == ["f"])
  }

  @Test(.usesTools)
  func `a written file counts as verified only while its stat data are unchanged`()
    throws
  {
    let report = try write(try add("content"), sizeBytes: 7)
    let written = try #require(report.writtenFileStates.first)
    #expect(written.path == ImagePath(component: Array("/tree".utf8), path: "f"))
    // A lie, to see whether it was believed or the file read.
    let lie = SHA256.digest(of: Array("a lie".utf8))
    func captured() throws -> Digest? {
      let memory = MemoryObjects(over: store)
      let result = try Capture(PathResolver(kernel, root: root), progress: Progress()).run(
        [CaptureRoot(role: .rootTree, path: try #require(AbsolutePath(Array("/tree".utf8))))],
        cache: nil,
        verifiedFiles: VerifiedFiles([
          (written.path, VerifiedFile(stat: written.stat, flags: written.flags, blob: lie))
        ]),
        into: .memory(memory))
      let ids = try #require(result.components.first?.entry.ids)
      return try Tree.entries(ids, from: memory).first?.blob
    }
    #expect(try captured() == lie)
    // Another content of the same size, with the old time put back.
    try shell("printf CONTENT >\"$1\"; touch -d @1000000000.000000005 \"$1\"", file)
    #expect(
      try kernel.stat(at: root.raw, Array("tree/f".utf8), followLink: false).modified
        == written.stat.modified)
    #expect(try captured() == SHA256.digest(of: Array("CONTENT".utf8)))
  }
}
