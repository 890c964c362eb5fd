// The paths that a capture excludes from a tree, and the times of directories with excluded entries.
//
// Creating or removing a file changes the time of its directory. For excluded files, this would make the tree
// look changed in every comparison. Such a directory therefore keeps its time in the latest snapshot.

import Platform
import Store

/// The excluded paths of one tree.
public struct TreeExcludes: Sendable {
  /// The patterns of excluded paths.
  public let patterns: ExcludeLists
  /// The role of the tree in its `CaptureRoot`.
  private let role: Role
  private let path: AbsolutePath
  /// The tree in the latest snapshot, and the source of its objects.
  private let recorded: (top: Entry, source: any ObjectSource)?

  /// Creates the excludes of a tree.
  /// - Parameters:
  ///   - patterns: the patterns of excluded paths.
  ///   - role: the tree's role.
  ///   - path: the tree's path, which may be a link to it.
  ///   - recorded: the tree in the latest snapshot; nil if no snapshot has it.
  public init(
    _ patterns: ExcludeLists, role: Role, path: AbsolutePath,
    recorded: (top: Entry, source: any ObjectSource)?
  ) {
    self.patterns = patterns
    self.role = role
    self.path = path
    self.recorded = recorded
  }

  /// Returns the patterns if they apply to a component.
  func patterns(for request: CaptureRoot) -> ExcludeLists? {
    let roles = [role, .target(of: path.bytes)]
    return roles.contains(request.role) ? patterns : nil
  }

  /// Returns the time of a directory in the latest snapshot, or nil if it has no such directory.
  func recordedTime(_ directory: RelativePath) throws -> Timestamp? {
    guard let recorded else { return nil }
    var entry = recorded.top
    for name in directory.components {
      guard let ids = entry.ids,
        let child = try Tree.entries(ids, from: recorded.source).first(where: { $0.name == name })
      else { return nil }
      entry = child
    }
    return entry.kind == .directory ? entry.modified : nil
  }
}
