// Determines whether a person took a snapshot, or a command for its own purposes. The snapshot's provenance
// decides: it names the command and, for a change, the state before it.

import Store

/// The reason for which a snapshot was recorded.
public enum SnapshotOrigin: String, Sendable, CaseIterable, Codable {
  /// A person took it.
  case manual
  /// It came with a bundle.
  case imported
  /// It began the history of a copy.
  case copied
  /// It records that a command changed the live image: a revert, an undo, a resume.
  case change
  /// A command took it of the state that it was about to change or to write out.
  case safety

  /// Whether a command took the snapshot for its own purposes, so that a separate retention rule applies.
  public var isAutomatic: Bool { self == .change || self == .safety }
}

extension Snapshot {
  /// The origin of the snapshot. Without a command in its provenance, it counts as a person's.
  public var origin: SnapshotOrigin {
    switch (command ?? .snapshot, before != nil || hasKeptNothing) {
    // The result of a command that a person ran is a state that the person wanted.
    case (.snapshot, _), (.run, true): .manual
    case (.importing, true): .imported
    case (.copy, true): .copied
    case (_, true): .change
    case (_, false): .safety
    }
  }
}
