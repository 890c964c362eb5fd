// Why a snapshot is there: whether a person took it, or a command for its own purposes. It follows from the
// snapshot's provenance, which says the command and, of a change, the state before it.

import Store

/// Why a snapshot was recorded.
public enum SnapshotOrigin: String, Sendable, CaseIterable, Codable {
  /// A person took it.
  case manual
  /// It came with a bundle.
  case imported
  /// It began the history of a copy.
  case copied
  /// It records that a command changed the live image: a revert, an undo, a resume.
  case change
  /// A command took it, of what it was about to change or to write out.
  case safety

  /// Whether a retention policy of its own is about it.
  public var isAutomatic: Bool { self == .change || self == .safety }
}

extension Snapshot {
  private static let commandKey = "command"

  /// Why the snapshot was recorded. One whose provenance does not say so counts as a person's.
  public var origin: SnapshotOrigin {
    let command = provenance.first { $0.key == Snapshot.commandKey }?.value ?? ""
    switch (command, before != nil || hasKeptNothing) {
    case ("", _), ("snapshot", _): return .manual
    case ("import", true): return .imported
    case ("copy", true): return .copied
    case (_, true): return .change
    case (_, false): return .safety
    }
  }
}
