// What a capture leaves out of a tree, and the time of the directories that it leaves something out of.
//
// A file that comes or goes changes the time of its directory. Where the file is excluded, that would make the
// tree look changed whenever it is compared: such a directory keeps the time that the latest snapshot has of it.

import Platform
import Store

/// The excludes of one tree.
public struct TreeExcludes: Sendable {
  public let patterns: ExcludeLists
  /// The tree, as `CaptureRoot` names it.
  private let role: String
  private let path: AbsolutePath
  /// The tree in the latest snapshot, and where its objects are.
  private let recorded: (top: Entry, source: any ObjectSource)?

  /// - Parameters:
  ///   - role: of the tree.
  ///   - path: of the tree, which may be a link to it.
  ///   - recorded: the tree as the latest snapshot has it; nil where none has it.
  public init(
    _ patterns: ExcludeLists, role: String, path: AbsolutePath,
    recorded: (top: Entry, source: any ObjectSource)?
  ) {
    self.patterns = patterns
    self.role = role
    self.path = path
    self.recorded = recorded
  }

  /// Returns the patterns where they are about a piece.
  func patterns(for request: CaptureRoot) -> ExcludeLists? {
    let roles = [role, CaptureRoot.targetRole(of: path.bytes)]
    return roles.contains(request.role) ? patterns : nil
  }

  /// Returns the time of a directory in the latest snapshot; nil where it has no such directory.
  /// - Parameter directory: its path below the tree.
  func recordedTime(_ directory: [UInt8]) throws -> Timestamp? {
    guard let recorded else { return nil }
    var entry = recorded.top
    for name in directory.split(separator: 0x2f).map({ Array($0) }) {
      guard let ids = entry.ids,
        let child = try Tree.entries(ids, from: recorded.source).first(where: { $0.name == name })
      else { return nil }
      entry = child
    }
    return entry.kind == .directory ? entry.modified : nil
  }
}
