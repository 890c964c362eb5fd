// Which way a change was resumed, and what that did.

import Apply

/// Which way to go on.
public enum ResumeDirection: Sendable {
  /// To where the change led.
  case forward
  /// To the state before.
  case back
  /// Nowhere: what is live stays as it is, and the journal goes.
  case abandon
}

/// What resuming did.
public struct ResumeOutcome: Sendable {
  public let change: UnfinishedChange
  public let direction: ResumeDirection
  /// What was done to the live image; nil where it had not been touched, or was abandoned.
  public let revert: RevertOutcome?
  /// What the change made for a time and could not be removed.
  public var leftovers: [ApplyProblem] = []
}
