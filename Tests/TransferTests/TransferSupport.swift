// Two stores with captured trees, for transfers between them.

import Codec
import Foundation
import Platform
import Recipes
import Store
import TestSupport
import Testing
import Transfer

/// A place for two stores.
final class TransferSite {
  let directory: TemporaryDirectory
  let trees: TreeStore

  init() throws {
    directory = try TemporaryDirectory()
    trees = try TreeStore(directory)
  }

  /// The store that snapshots come from.
  var store: ObjectStore { trees.store }

  /// Opens another store of the site.
  func open(_ name: String) throws -> ObjectStore {
    try ObjectStore(
      KernelFileSystem.shared, path: Array(directory.path(name).utf8), create: true,
      reconstructor: PlanReconstructor(), report: { _ in })
  }

  /// Captures the tree at `path` as the next snapshot of an image.
  func snapshot(_ path: String, of image: String = "img") throws -> CommittedSnapshot {
    let entry = try trees.capture(path)
    let parent = try store.refs.latest(of: ImageName(image))?.id
    return try store.refs.append(
      Snapshot(
        image: image, created: Timestamp(seconds: 1_700_000_000, nanoseconds: 0), parent: parent,
        message: "", provenance: [], tables: [],
        components: [.init(role: .rootTree, path: Array("/srv/img".utf8), entry: entry)], notes: [],
        facts: [], entryCount: 1, contentBytes: 1))
  }

  /// Makes a directory with files.
  func tree(_ name: String, _ files: [String: [UInt8]]) throws -> String {
    let path = directory.path(name)
    for (file, bytes) in files {
      let url = URL(fileURLWithPath: path + "/" + file)
      try FileManager.default.createDirectory(
        at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(bytes).write(to: url)
    }
    return path
  }
}

/// Carries a snapshot from one store to another, with the bases that both have.
@discardableResult
func carry(
  _ snapshot: CommittedSnapshot, from store: ObjectStore, to other: ObjectStore,
  bases: [CommittedSnapshot] = []
) throws -> (amount: TransferredAmount, number: Int) {
  let source = LocalSource(store, name: "the source")
  let sink = LocalSink(other, name: "the sink", origin: "the source", lockWait: .forever)
  let session = try sink.begin()
  defer { session.end() }
  let transfer = SnapshotTransfer(
    from: source, to: session, baseStore: store, progress: Progress())
  let missing = try transfer.missing(snapshot.snapshot, bases: bases.map(\.snapshot))
  let amount = try transfer.send(missing)
  let number = try session.commit(
    try source.snapshot(ImageName(snapshot.snapshot.image), snapshot.number),
    bases: bases.map(\.id))
  return (amount, number)
}

/// Requires that a store has no damage, by reading all of it.
func expectWhole(_ store: ObjectStore, sourceLocation: SourceLocation = #_sourceLocation) throws {
  let report = try store.verify(deep: true, progress: Progress())
  #expect(report.problems.isEmpty, "\(report.problems)", sourceLocation: sourceLocation)
}
