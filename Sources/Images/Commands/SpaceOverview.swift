// The use of space of the whole store at a glance: by image, by snapshot, and over time.

import Platform
import Store

/// The use of space of a store.
public struct SpaceOverview: Sendable {
  /// What the store needed at a time: the objects of all snapshots that exist now and were taken until then.
  public struct Point: Sendable {
    public let time: Timestamp
    public let bytes: UInt64
  }

  /// The outcome of `du`.
  public let images: DiskUseOutcome
  /// A line for each snapshot, like those of `du --snapshots`, without the bytes that would be freed.
  public let snapshots: [SnapshotShare]
  /// The need over time, oldest first.
  public let growth: [Point]

  /// The space of a snapshot.
  public struct SnapshotShare: Sendable {
    public let name: SnapshotName
    public let reachedBytes: UInt64
    /// How much the objects grew with it: what no older snapshot of any image needs.
    public let addedBytes: UInt64
  }
}

extension Workspace {
  /// Returns the use of space of the store.
  /// - Parameter maxPoints: the largest number of points in time. Others are left out evenly.
  public func spaceOverview(maxPoints: Int = 200) throws -> SpaceOverview {
    try SpaceReporter(context).overview(maxPoints: maxPoints)
  }
}

extension SpaceReporter {
  fileprivate func overview(maxPoints: Int) throws -> SpaceOverview {
    let store = try context.store()
    let diskUse = try store.diskUse(isTolerant: true, progress: context.progress)
    var times: [(name: SnapshotName, time: Timestamp)] = []
    for name in diskUse.snapshots {
      guard let committed = try store.refs.readIfPresent(name.image, name.number) else { continue }
      times.append((name, committed.snapshot.created))
    }
    times.sort { ($0.time, $0.name.number) < ($1.time, $1.name.number) }
    var growth: [SpaceOverview.Point] = []
    var shares: [SpaceOverview.SnapshotShare] = []
    let stride = max(1, times.count / max(1, maxPoints))
    var last: UInt64 = 0
    for (index, item) in times.enumerated() {
      guard (times.count - 1 - index) % stride == 0 else { continue }
      let bytes = diskUse.reachedBytes(of: times[...index].map(\.name))
      growth.append(.init(time: item.time, bytes: bytes))
      shares.append(
        .init(
          name: item.name, reachedBytes: diskUse.reachedBytes(of: [item.name]),
          addedBytes: bytes - min(bytes, last)))
      last = bytes
    }
    return SpaceOverview(
      images: try outcome(of: diskUse, [], bySnapshot: false), snapshots: shares, growth: growth)
  }
}
