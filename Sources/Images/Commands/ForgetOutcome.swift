// What `forget` and `remove` did.

import Store

/// A snapshot that goes.
public struct ForgottenSnapshot: Sendable {
  public let name: SnapshotName
  /// Nil where its ref cannot be read.
  public let snapshot: CommittedSnapshot?
  public let tags: [String]
}

/// A snapshot that stays.
public struct KeptSnapshot: Sendable {
  public let snapshot: CommittedSnapshot
  public let reasons: [KeepReason]
}

/// What `forget` or `remove` did, or would do.
public struct ForgetOutcome: Sendable {
  public let forgotten: [ForgottenSnapshot]
  public let kept: [KeptSnapshot]
  /// Snapshots that cannot be read: no policy can judge them, so they stay.
  public let unreadable: [SnapshotName]
  /// Images that were left alone because another process is at work on them.
  public let busy: [BusyImage]
  /// Bytes that the next `gc` frees because of it; nil where nobody asked.
  public let freedBytes: UInt64?
  /// Bytes that the next `gc` frees anyway.
  public let collectableBytes: UInt64?
  public let isDryRun: Bool
}

/// An image that another process is at work on.
public struct BusyImage: Sendable {
  public let image: String
  public let error: StoreError
}
