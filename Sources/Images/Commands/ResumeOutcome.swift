// The direction and the outcome of `imgstore resume`.

import Apply

/// The direction in which a change is resumed.
public enum ResumeDirection: Sendable {
  /// Completes the change.
  case forward
  /// Rolls the change back to the state before it.
  case back
  /// Leaves the live image as it is and removes the journal.
  case abandon
}

/// The outcome of `resume`.
public struct ResumeOutcome: Sendable {
  /// The change that was resumed.
  public let change: UnfinishedChange
  public let direction: ResumeDirection
  /// The change of the live image; nil if the change had not modified it, or was abandoned.
  public let revert: RevertOutcome?
  /// The temporary files of the change that could not be removed.
  public var leftovers: [ApplyProblem] = []
  /// Whether nothing was changed.
  public var isDryRun = false
}
