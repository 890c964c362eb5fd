// The direction and the outcome of `imgstore resume`.

import Apply
import Platform

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
  /// Whether the live image has unsaved changes, which the resume would snapshot first; only in a dry run.
  public var savesFirst = false
  /// The error that the resume would end with, in a dry run; nil if it would not be refused.
  public var refusal: (any ExplainedError)?
}
