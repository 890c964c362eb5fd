// What a collection of a depot may do, and what it has done.

import Glibc
import Platform

/// The limits of a collection.
public struct CollectionOptions: Sendable {
  /// A pack is rewritten if less than this share of it is needed.
  public var minNeededShare = 0.5
  /// The most bytes of packs to rewrite in one collection.
  public var maxRewriteBytes: UInt64 = 16 << 30
  /// Small packs are merged when there are so many of them.
  public var minSmallPacks = 16
  /// Reports what would be done and changes nothing.
  public var isDryRun = false
  /// Called while writers are registered that the collection has to wait for, with their ids; false ends the wait.
  public var wait: @Sendable (Set<WriterID>) -> Bool

  /// Creates options that wait a while for writers.
  public init(waitSeconds: Double = 60) {
    let start = monotonicSeconds()
    wait = { _ in
      guard monotonicSeconds() - start < waitSeconds else { return false }
      usleep(500_000)
      return true
    }
  }
}

/// What a collection has done.
public struct CollectionReport: Sendable {
  /// The packs that were deleted, and their bytes.
  public var deletedPacks = 0
  public var deletedBytes: UInt64 = 0
  /// The bytes of new packs, with what was still needed of the deleted ones.
  public var copiedBytes: UInt64 = 0
  /// The marked packs that could not be deleted yet, because writers are running; after a dry run, the packs that a
  /// collection would delete or rewrite.
  public var waitingPacks = 0
  /// The writers that the collection waits for. Repeat it after they have ended.
  public var waitingFor: [RegisteredWriter] = []
  /// The registrations of dead processes of this host, which the collection has removed.
  public var removedWriters: [RegisteredWriter] = []
  /// Packs that stay because something needed in them is damaged: the reasons.
  public var damaged: [String] = []

  public init() {}
}
