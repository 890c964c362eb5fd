// Carries one snapshot in either direction: the part that push, pull and clone share.

import Codec
import Platform
import Store
import Transfer

/// A snapshot that the receiving side has, with its id.
struct BaseSnapshot {
  let id: Digest
  let snapshot: Snapshot
}

/// Carries snapshots from a source into a session.
struct SnapshotCarrier {
  private let context: Context
  private let source: any TransferSource
  private let session: any TransferSession
  private let baseStore: ObjectStore

  /// - Parameter baseStore: the store of this machine, which has the bases.
  init(
    _ context: Context, source: any TransferSource, session: any TransferSession,
    baseStore: ObjectStore
  ) {
    self.context = context
    self.source = source
    self.session = session
    self.baseStore = baseStore
  }

  /// Returns the snapshots to compare with: the nearest older one and the latest one that both sides have.
  /// - Parameters:
  ///   - image: the image in this store.
  ///   - number: the position in its history.
  ///   - local: the history of this store.
  ///   - isThere: whether the receiving side has a snapshot.
  func bases(
    of image: ImageName, near number: Int, _ local: [(number: Int, id: Digest)],
    isThere: (Digest) -> Bool
  ) throws -> [BaseSnapshot] {
    let usable = Set(try session.usableBases(local.map(\.id).filter(isThere)))
    let common = local.filter { usable.contains($0.id) }
    let nearest = common.last { $0.number <= number } ?? common.first
    var bases: [BaseSnapshot] = []
    for item in [nearest, common.last].compactMap(\.self)
    where !bases.contains(where: { $0.id == item.id }) {
      guard let found = try? baseStore.refs.readIfPresent(image, item.number), found.id == item.id
      else { continue }
      bases.append(BaseSnapshot(id: found.id, snapshot: found.snapshot))
    }
    return bases
  }

  /// Sends everything that the receiving side lacks. The caller commits the snapshot.
  func carry(
    _ snapshot: TransferredSnapshot, bases: [BaseSnapshot], isDryRun: Bool
  ) throws -> TransferredAmount {
    let transfer = SnapshotTransfer(
      from: source, to: session, baseStore: baseStore, progress: context.progress)
    let missing = try transfer.missing(snapshot.snapshot, bases: bases.map(\.snapshot))
    guard isDryRun else { return try transfer.send(missing) }
    var amount = TransferredAmount()
    amount.objects = missing.count
    amount.bytes = try transfer.measure(missing)
    return amount
  }
}
