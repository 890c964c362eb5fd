// What `push`, `pull` and `clone` did, or would do.

import Codec
import Platform
import Store
import Transfer

/// One snapshot of a transfer.
public struct TransferItem: Sendable {
  /// The snapshot in this store; nil if a dry run would pull it.
  public let local: SnapshotName?
  /// The snapshot at the remote; nil if a dry run would push it.
  public let remote: SnapshotName?
  public let id: Digest
  /// Whether the receiving side lacked the snapshot.
  public let isNew: Bool
  public let amount: TransferredAmount
  /// The bytes of all files of the snapshot.
  public let contentBytes: UInt64
}

/// A tag that the receiving side has for another snapshot.
public struct TagConflict: Sendable, Equatable {
  public let image: ImageName
  public let tag: String
  /// The number that the tag has at the receiving side.
  public let number: Int
  /// The number of the snapshot that has the tag at the other side.
  public let otherNumber: Int
}

/// The outcome of a transfer.
public struct TransferOutcome: Sendable {
  /// The direction of a transfer.
  public enum Direction: String, Sendable, CaseIterable {
    case push, pull, clone
  }

  public let direction: Direction
  public let remote: String
  public let url: String
  public internal(set) var items: [TransferItem] = []
  /// The tags that the receiving side has now and had not before.
  public internal(set) var newTags: [(snapshot: SnapshotName, tag: String)] = []
  public internal(set) var conflicts: [TagConflict] = []
  public let isDryRun: Bool
  public internal(set) var seconds: Double = 0
  /// The revert that `pull --apply` made.
  public internal(set) var applied: RevertOutcome?

  init(_ direction: Direction, _ remote: Remote, isDryRun: Bool) {
    self.direction = direction
    self.remote = remote.name
    self.url = "\(remote.url)"
    self.isDryRun = isDryRun
  }

  /// The objects and bytes of all snapshots together.
  public var amount: TransferredAmount {
    items.reduce(into: TransferredAmount()) { $0.add($1.amount) }
  }

  /// The bytes of all files of the snapshots that were new.
  public var contentBytes: UInt64 {
    items.filter(\.isNew).reduce(0) { $0 &+ $1.contentBytes }
  }
}
