// Two stores and a server in front of one of them: what the tests of this module share.

import Codec
import Foundation
import Platform
import RemoteProtocol
import Store
import TestSupport
import Testing
import Transfer

/// A store with snapshots of trees that change.
struct SampleStore: @unchecked Sendable {  // `TreeStore` has constants only
  let directory: TemporaryDirectory
  let trees: TreeStore
  var store: ObjectStore { trees.store }

  init() throws {
    directory = try TemporaryDirectory()
    trees = try TreeStore(directory)
  }

  /// Another opening of the store, as another program would have.
  func reopened() throws -> ObjectStore { try SampleStore.open(directory) }

  static func open(_ directory: TemporaryDirectory) throws -> ObjectStore {
    try ObjectStore(
      KernelFileSystem.shared, path: Array(directory.path("store").utf8), create: false,
      report: { _ in })
  }

  /// Writes a tree: small files in directories, a file of several chunks, a wide directory, a link, a sparse file.
  func writeTree(seed: UInt64, files: Int = 40, wide: Int = 1100) throws {
    var random = SplitMix64(seed)
    let top = directory.path("tree")
    let manager = FileManager.default
    for index in 0..<files {
      let subdirectory = "\(top)/usr/d\(index % 7)"
      try manager.createDirectory(atPath: subdirectory, withIntermediateDirectories: true)
      let bytes = random.bytes(Int(random.next() % 3000) + 1)
      try Data(bytes).write(to: URL(fileURLWithPath: "\(subdirectory)/f\(index)"))
    }
    try manager.createDirectory(atPath: "\(top)/wide", withIntermediateDirectories: true)
    for index in 0..<wide {
      let path = "\(top)/wide/entry-\(index)"
      if !manager.fileExists(atPath: path) { try Data().write(to: URL(fileURLWithPath: path)) }
    }
    try Data(random.bytes(400_000)).write(to: URL(fileURLWithPath: "\(top)/large"))
    try? manager.createSymbolicLink(atPath: "\(top)/link", withDestinationPath: "usr/d1")
    try Data(random.bytes(5000)).write(to: URL(fileURLWithPath: "\(top)/sparse"))
    truncate("\(top)/sparse", 3_000_000)
  }

  /// Changes a few files of the tree.
  func changeTree(seed: UInt64, files: Int = 3) throws {
    var random = SplitMix64(seed)
    for index in 0..<files {
      let path = directory.path("tree/usr/d\(index % 7)/f\(index)")
      try Data(random.bytes(2000)).write(to: URL(fileURLWithPath: path))
    }
  }

  /// Adds a snapshot of the tree.
  @discardableResult
  func snapshot(image: String = "compute", message: String = "") throws -> CommittedSnapshot {
    let entry = try trees.capture(directory.path("tree"))
    let latest = try store.refs.latest(of: ImageName(image))
    return try store.refs.append(
      Snapshot(
        image: image, created: Platform.now(), parent: latest?.id, message: message,
        provenance: [.init("host", "test")], tables: [],
        components: [
          .init(role: .rootTree, path: Array("/install/\(image)".utf8), entry: entry)
        ], notes: [], facts: [], entryCount: 1, contentBytes: 1))
  }

  /// Expects that every snapshot can be read, to the last byte.
  func expectSound(_ location: SourceLocation = #_sourceLocation) throws {
    let report = try reopened().verify(deep: true, progress: Progress())
    #expect(report.isClean, "\(report)", sourceLocation: location)
  }

  func ids(_ image: String = "compute") throws -> [Digest] {
    try reopened().refs.ids(of: ImageName(image)).map(\.id)
  }
}

/// Short limits, so that a test that waits for a silent side takes a second.
var shortLimits: StreamLimits {
  var limits = StreamLimits()
  limits.silenceSeconds = 2
  limits.keepAliveSeconds = 0.3
  limits.messageSeconds = 20
  return limits
}

let testIdentity = ClientIdentity(url: "ssh://client/store", user: "root")
let testGreeting = Greeting(program: "imgstore test")

/// Returns a connection to a server of the store.
func connect(
  to sample: SampleStore, rights: RemoteRights = .full, limits: StreamLimits = StreamLimits()
) throws -> RemoteClient {
  let directory = sample.directory
  let options = ServerOptions(
    rights: rights, greeting: testGreeting, lockWait: .atMost(seconds: 5), limits: limits)
  return try .inProcess(name: "ssh://test", options: options, limits: limits) { _ in
    try SampleStore.open(directory)
  }
}

/// Brings a snapshot from one served to another, as `push` and `pull` do.
@discardableResult
func transfer(
  _ number: Int, of image: String = "compute", from source: any TransferSource,
  to sink: any TransferSink, baseStore: ObjectStore?
) throws -> (amount: TransferredAmount, number: Int) {
  let image = try ImageName(image)
  let theirs = Set(try sink.history(of: image).snapshots.map(\.id))
  let snapshot = try source.snapshot(image, number)
  let bases = try source.history(of: image).snapshots.filter { theirs.contains($0.id) }
  let baseSnapshots = try baseStore.map { store in
    try bases.suffix(4).compactMap { base in
      try store.refs.ids(of: image).first { $0.id == base.id }.map {
        try store.refs.read(image, $0.number).snapshot
      }
    }
  }
  let session = try sink.begin()
  defer { session.end() }
  let transfer = SnapshotTransfer(
    from: source, to: session, baseStore: baseStore, progress: Progress())
  let missing = try transfer.missing(snapshot.snapshot, bases: baseSnapshots ?? [])
  let amount = try transfer.send(missing)
  return (amount, try session.commit(snapshot, bases: bases.map(\.id)))
}
