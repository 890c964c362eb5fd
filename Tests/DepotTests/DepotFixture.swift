// Depots and stores for tests.

import Codec
import Depot
import DepotTestSupport
import Foundation
import ObjectStorage
import Platform
import Store
import Transfer

/// One universe for all tests: making it takes a while.
enum Shared {
  static let universe = Result { try Universe() }
}

/// A directory that is removed at the end.
final class Scratch {
  let path: String
  init() throws {
    path = FileManager.default.temporaryDirectory.path + "/depot-test-\(randomName())"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }
  deinit { try? FileManager.default.removeItem(atPath: path) }

  func store(_ name: String) throws -> ObjectStore {
    try ObjectStore(
      KernelFileSystem.shared, path: Array("\(path)/\(name)".utf8), create: true, report: { _ in })
  }
}

/// A bucket, with pushes and pulls.
struct DepotFixture {
  let universe: Universe
  let bucket: any ObjectStorage
  var options = DepotOptions()

  init(_ bucket: any ObjectStorage = MemoryObjectStorage()) throws {
    universe = try Shared.universe.get()
    self.bucket = bucket
    options.requestCount = 4
    options.packBytes = 600
    options.localStore = universe.store
  }

  func open() throws -> Depot { try Depot(creatingIn: bucket, options) }

  /// Pushes a snapshot as the command does.
  @discardableResult
  func push(
    _ index: Int, to depot: Depot? = nil
  ) throws -> (number: Int, amount: TransferredAmount) {
    let depot = try depot ?? open()
    let snapshot = universe.snapshots[index]
    let session = try DepotSink(depot).begin()
    defer { session.end() }
    let history = try DepotSink(depot).history(of: snapshot.image)
    let bases = try session.usableBases(history.snapshots.map(\.id))
    let baseSnapshots = universe.snapshots.filter { bases.contains($0.id) }.map(\.snapshot)
    let transfer = SnapshotTransfer(
      from: LocalSource(universe.store, name: "here"), to: session, baseStore: universe.store,
      progress: Progress())
    let amount = try transfer.send(try transfer.missing(snapshot.snapshot, bases: baseSnapshots))
    let number = try session.commit(try TransferredSnapshot(snapshot.bytes), bases: bases)
    return (number, amount)
  }

  /// Pulls a snapshot into a store, which verifies everything.
  func pull(_ image: ImageName, _ number: Int, from depot: Depot, into store: ObjectStore) throws
    -> Digest
  {
    let source = DepotSource(depot)
    let sink = LocalSink(store, name: "there", origin: depot.name, lockWait: .forever)
    let snapshot = try source.snapshot(image, number)
    let session = try sink.begin()
    defer { session.end() }
    let transfer = SnapshotTransfer(
      from: source, to: session, baseStore: nil, progress: Progress())
    _ = try transfer.send(try transfer.missing(snapshot.snapshot, bases: []))
    _ = try session.commit(snapshot, bases: [])
    return snapshot.id
  }
}
