// Results about space, which take a second or more to compute.
//
// 1. A result is kept under a key that changes with everything that it depends on.
// 2. The number of results is bounded. One result is computed at a time, and others wait for it.

import Images

/// Keeps results about space.
final class SpaceCache: Sendable {
  private static let maxTrees = 16
  private struct State {
    var overview: (key: String, value: SpaceOverview)?
    var trees: [(id: String, value: TreeSpace)] = []
  }
  private let state = Monitor(State())

  /// Returns the use of space of the store.
  func overview(_ workspace: Workspace) throws -> SpaceOverview {
    let statistics = try workspace.statistics()
    let key =
      try workspace.images().map { "\($0.name) \($0.snapshots) \($0.latest?.id.hex ?? "")" }
      .joined(separator: "\n") + "\n\(statistics.contents.packBytes) \(statistics.snapshots)"
    return try state.withLock { state in
      if let known = state.overview, known.key == key { return known.value }
      let value = try workspace.spaceOverview()
      state.overview = (key, value)
      return value
    }
  }

  /// Returns the space of a snapshot's root tree; nil if it has none.
  func tree(_ workspace: Workspace, _ snapshot: CommittedSnapshot) throws -> TreeSpace? {
    try state.withLock { state in
      if let known = state.trees.first(where: { $0.id == snapshot.id.hex }) { return known.value }
      guard let value = try workspace.reader(of: snapshot).space(depth: 2) else { return nil }
      state.trees.insert((snapshot.id.hex, value), at: 0)
      state.trees = Array(state.trees.prefix(Self.maxTrees))
      return value
    }
  }
}
