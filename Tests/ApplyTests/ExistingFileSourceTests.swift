// The file that a step replaces supplies content for its successor, and each chunk of it is
// verified.
//
// The store of these tests is falsified: it has other bytes under the ids of the chunks in
// question. A correct result therefore does not come from the store.

import Apply
import Codec
import Foundation
import Ingest
import Platform
import Store
import TestSupport
import Testing

@Suite struct ExistingFileSourceTests {
  private let site: ExecutorFixture
  private var directory: TemporaryDirectory { site.directory }
  private var kernel: KernelFileSystem { site.kernel }
  private var root: Descriptor { site.root }
  private var store: ObjectStore { site.store }

  init() throws { site = try ExecutorFixture() }

  private var file: URL { URL(fileURLWithPath: directory.path("tree/f")) }

  private func entry(_ bytes: [UInt8]) -> Entry {
    Entry(
      name: Array("f".utf8),
      content: .file(blob: SHA256.digest(of: bytes), sizeBytes: UInt64(bytes.count)), mode: 0o644,
      uid: getuid(), gid: getgid(), modified: Timestamp(seconds: 1_000_000_000, nanoseconds: 5))
  }

  /// Adds the blob to the store, with false content for its chunks if `isLying`.
  private func keep(_ bytes: [UInt8], isLying: Bool) throws {
    if isLying {
      let session = try store.beginSession()
      try session.withWorker { worker in
        var rest = bytes[...]
        while !rest.isEmpty {
          let length = rest.withUnsafeBytes {
            bytes.count <= Chunker.wholeFileBytes ? $0.count : Chunker.firstCut($0)
          }
          let lie = [UInt8](repeating: 0x21, count: length)
          try lie.withUnsafeBytes {
            try worker.add(.chunk, SHA256.digest(of: Array(rest.prefix(length))), $0)
          }
          rest = rest.dropFirst(length)
        }
      }
      try session.finish()
    }
    // The capture keeps the recipe and does not store chunks that seem to be present.
    try Data(bytes).write(to: file)
    let session = try store.beginSession()
    _ = try Capture(PathResolver(kernel, root: root), progress: Progress()).run(
      [CaptureRoot(role: .rootTree, path: try #require(AbsolutePath(Array("/tree".utf8))))],
      cache: nil, into: .store(session))
    try session.finish()
  }

  /// Replaces tree/f by `expected`. The plan was made when the file was `old`.
  private func replace(_ old: [UInt8], by expected: [UInt8]) throws -> ApplyReport {
    var plan = Plan()
    plan.files = [
      Step(action: .write, path: "f", entry: entry(expected), old: entry(old))
    ]
    return try Executor(
      kernel, store, site.target, ExecutionOptions(.overwrite), progress: Progress()
    )
    .run(plan)
  }

  /// Below one chunk; several chunks; written by all processors.
  static let sizes = [3_000, 3_000_000, 20_000_000]

  @Test(arguments: sizes) func `a file that grew is truncated without reading the store`(
    _ size: Int
  ) throws {
    var random = SplitMix64(UInt64(size))
    let expected = random.bytes(size)
    try keep(expected, isLying: true)
    let grown = expected + random.bytes(100)
    try Data(grown).write(to: file)
    let report = try replace(grown, by: expected)
    #expect(report.problems.isEmpty && report.writtenFiles == 1)
    #expect(try Data(contentsOf: file) == Data(expected))
  }

  @Test(arguments: sizes) func `chunks that differ at their offset are read from the store`(
    _ size: Int
  ) throws {
    var random = SplitMix64(UInt64(size))
    let expected = random.bytes(size)
    try keep(expected, isLying: false)
    for changed in [0..<1, size / 2..<size / 2 + 1, 0..<size] {
      var old = expected
      old.replaceSubrange(changed, with: changed.map { old[$0] ^ 0x55 })
      try Data(old).write(to: file)
      let report = try replace(old, by: expected)
      #expect(report.problems.isEmpty)
      #expect(try Data(contentsOf: file) == Data(expected), "changed at \(changed)")
    }
  }

  @Test func `a new file is assembled from the old file and the store`() throws {
    var random = SplitMix64(7)
    let expected = random.bytes(3_000_000)
    try keep(expected, isLying: true)
    var old = expected
    old[1_500_000] ^= 1
    try Data(old).write(to: file)
    // The store's chunk is a lie: the whole is noticed, and the file stays as it was.
    let report = try replace(old, by: expected)
    #expect(report.problems.count == 1 && report.problems[0].what.contains("SHA-256"))
    #expect(try Data(contentsOf: file) == Data(old))
  }

  @Test(
    .usesTools,
    arguments: [
      "rm \"$1\"", "truncate -s 10 \"$1\"", "rm \"$1\"; mkfifo \"$1\"",
      "mv \"$1\" \"$1.away\"; ln -s f.away \"$1\"",
    ]) func `an old file that became a fifo or a link is neither opened nor followed`(
      _ change: String
    ) throws
  {
    var random = SplitMix64(3)
    let expected = random.bytes(200_000)
    try keep(expected, isLying: false)
    let grown = expected + [1]
    try Data(grown).write(to: file)
    try shell(change, file.path)
    let report = try replace(grown, by: expected)
    #expect(report.problems.isEmpty)
    #expect(try kernel.stat(at: root.raw, Array("tree/f".utf8), followLink: false).kind == .file)
    #expect(try Data(contentsOf: file) == Data(expected))
  }
}
