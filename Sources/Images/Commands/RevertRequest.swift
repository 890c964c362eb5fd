// What to revert to, and what a revert did.

import Apply
import Store

/// What to revert to, and how.
public struct RevertRequest: Sendable {
  public var reference: String
  /// What of the image is reverted; empty for all of it. A path in the reference is one of them.
  public var parts = ImageParts()
  public var method = ApplyStrategy.automatic
  /// What would be lost is put into a snapshot first.
  public var keepsSafety = true
  public var isDryRun = false
  /// Files and folders outside of the image's own places that may be changed as well.
  public var allowed: [String] = []
  /// Whatever the image's attributes name may be changed, wherever it lies.
  public var allowsOutside = false
  /// What the definition excludes becomes what it was as well: the change that is undone had set it.
  var restoresExcludes = false
  /// The image's directory becomes what it was as well, for the same reason.
  var restoresPlace = false
  public init(_ reference: String) { self.reference = reference }
}

/// What a revert did, or (as a dry run) would do.
public struct RevertOutcome: Sendable {
  public let target: CommittedSnapshot
  /// What of the image was reverted; empty for all of it.
  public var parts = ImageParts()
  public let isDryRun: Bool
  public let apply: ApplyOutcome
  /// The snapshot that holds what was there before, where the store had it not.
  public let safety: CommittedSnapshot?
  /// The snapshot that records the revert.
  public let recorded: CommittedSnapshot?
  /// What still differs afterwards: empty is the proof.
  public let remaining: ImageDiff?
  /// Entries whose attributes differ because the file system cannot hold them.
  public let limits: [ApplyProblem]
  /// Entries that could not be compared, because they cannot be read.
  public let uncompared: [Snapshot.Note]
  public let seconds: Double
  public var isExact: Bool { remaining?.isEmpty ?? true && limits.isEmpty }
}

/// A change of the live image to a snapshot's state, as a verb asks for it.
struct ChangeRequest {
  let image: ImageName
  let target: CommittedSnapshot
  let request: RevertRequest
  /// What of the image; empty for all of it.
  var parts = ImageParts()
  /// The verb, and what the snapshot that records the change says.
  let command: String
  let message: String
}
