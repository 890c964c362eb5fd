// The outcome of `imgstore maintain`.

import Platform
import Store

/// What `maintain` did with an image.
public enum MaintainedAction: String, Sendable, CaseIterable {
  /// It recorded a snapshot.
  case recorded
  /// The image matches its latest snapshot.
  case unchanged
  /// A dry run: the image differs from its latest snapshot.
  case wouldRecord = "would-record"
  /// The image was checked in this period of its schedule already.
  case notDue = "not-due"
  /// The schedule of the image is "never".
  case never
  /// Another process uses the image.
  case busy
  /// The image has an unfinished change.
  case unfinished
  /// No table defines the image: only its history exists, which stays.
  case undefined
  case failed
}

/// What `maintain` did with an image, and why it did no more.
public struct MaintainedImage: Sendable {
  public let name: String
  public internal(set) var action: MaintainedAction
  /// The recorded snapshot, or the latest one if the image matches it.
  public internal(set) var snapshot: String?
  /// The number of entries of which the snapshot lacks content or attributes.
  public internal(set) var gaps = 0
  /// Whether the live image differs from its latest snapshot now; nil if that is unknown.
  public internal(set) var isChanged: Bool?
  /// The snapshots that retention removed or, in a dry run, would remove.
  public internal(set) var forgotten: [SnapshotName] = []
  /// The snapshots whose standby trees were made or, in a dry run, would be.
  public internal(set) var standby: [String] = []
  /// The reason why the snapshot or the retention did not happen.
  public internal(set) var error: (any ExplainedError)?
}

/// A push of an image's history to a remote.
public struct MaintainedPush: Sendable {
  public let image: String
  public let remote: String
  /// The number of snapshots that the remote lacked.
  public let snapshots: Int
  /// The bytes that were sent or, in a dry run, would be.
  public let bytes: UInt64
}

/// The severity of a run, from the least to the worst.
public enum MaintenanceResult: String, Sendable, CaseIterable, Comparable {
  case ok
  /// Something was skipped because other processes are at work.
  case busy
  /// Something failed, or a snapshot is incomplete.
  case problems
  /// An image has an unfinished change.
  case unfinished
  /// Stored data is damaged.
  case damaged

  public static func < (a: MaintenanceResult, b: MaintenanceResult) -> Bool {
    a.rank < b.rank
  }

  private var rank: Int { MaintenanceResult.allCases.firstIndex(of: self) ?? 0 }

  /// The severity of an error.
  init(_ code: ErrorCode) {
    switch code.category {
    case .busy, .alreadyRunning: self = .busy
    case .damaged: self = .damaged
    case .unfinished: self = .unfinished
    case .failed, .usage, .notFound, .interrupted: self = .problems
    }
  }
}

/// Something that needs attention after a run.
public struct MaintenanceProblem: Sendable {
  public let severity: MaintenanceResult
  /// The image; nil for the store.
  public let image: String?
  public let code: ErrorCode
  /// One line.
  public let message: String
}

/// The outcome of `maintain`.
public struct MaintenanceOutcome: Sendable {
  public internal(set) var isDryRun = false
  public internal(set) var images: [MaintainedImage] = []
  /// The pushes that succeeded.
  public internal(set) var pushes: [MaintainedPush] = []
  /// The collection of garbage; nil if it failed or was skipped.
  public internal(set) var collection: CollectionOutcome?
  /// The recompression; nil if it failed or is switched off.
  public internal(set) var optimization: CollectionOutcome?
  /// The verification; nil if it failed.
  public internal(set) var verification: VerifyReport?
  /// In a dry run, the bytes that a collection would free without the removals of this run.
  public internal(set) var collectableBytes: UInt64?
  /// The file that the metrics were written to.
  public internal(set) var metrics: String?
  public internal(set) var problems: [MaintenanceProblem] = []
  public internal(set) var seconds = 0.0

  /// The worst problem.
  public var result: MaintenanceResult { problems.map(\.severity).max() ?? .ok }

  mutating func add(_ error: any ExplainedError, image: String? = nil) {
    problems.append(
      MaintenanceProblem(
        severity: MaintenanceResult(error.errorCode), image: image, code: error.errorCode,
        message: error.message))
  }
}
