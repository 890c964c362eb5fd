// The outcome of `imgstore forget` and `imgstore remove`.

import Platform
import Store

/// A snapshot that was removed or, in a dry run, would be.
public struct ForgottenSnapshot: Sendable {
  public let name: SnapshotName
  /// The snapshot; nil if its ref cannot be read.
  public let snapshot: CommittedSnapshot?
  public let tags: [String]
}

/// A snapshot that is kept, with the reasons.
public struct KeptSnapshot: Sendable {
  public let snapshot: CommittedSnapshot
  public let reasons: [KeepReason]
}

/// The outcome of `forget` or `remove`, or of its dry run.
public struct ForgetOutcome: Sendable {
  public let forgotten: [ForgottenSnapshot]
  public let kept: [KeptSnapshot]
  /// The snapshots that cannot be read. No policy can decide about them, so they are kept.
  public let unreadable: [SnapshotName]
  /// The images that were skipped because another process holds their locks.
  public let busy: [BusyImage]
  /// The bytes that the next `gc` would free in addition; nil unless this is a dry run.
  public let freedBytes: UInt64?
  /// The bytes that the next `gc` would free without this removal; nil unless this is a dry run.
  public let collectableBytes: UInt64?
  public let isDryRun: Bool
  /// The error that the removal would end with, in a dry run; nil if it would not be refused.
  public let refusal: (any ExplainedError)?
  /// The directories that are no longer images.
  public internal(set) var undefined: [UndefinedImage] = []
}

/// A directory that is no longer an image.
public struct UndefinedImage: Sendable {
  public let image: String
  public let path: String
  /// The patterns that were lost with the definition.
  public let excludes: [String]
}

/// An image that another process has locked.
public struct BusyImage: Sendable {
  public let image: String
  public let error: StoreError
}
