// The collection after `forget --prune`. The snapshots are removed already, so its failure is a part of the
// outcome and not the failure of the command.

import Platform
import Store

/// The outcome of a collection that follows a removal.
public struct PruneOutcome: Sendable {
  /// The collection; nil if it failed.
  public let collection: CollectionOutcome?
  /// The reason why it failed, such as another collection; nil if it did not.
  public let failure: (any ExplainedError)?
}

extension Workspace {
  /// Frees the space of removed snapshots.
  /// - Throws: errors without a code, and an interruption; a failure of `gc` is returned.
  public func prune() throws -> PruneOutcome {
    do {
      return PruneOutcome(collection: try SpaceReporter(context).collect(), failure: nil)
    } catch let error as any ExplainedError where error.errorCode != .interrupted {
      return PruneOutcome(collection: nil, failure: error)
    }
  }
}
