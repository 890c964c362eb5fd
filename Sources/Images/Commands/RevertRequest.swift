// The parameters and the outcome of `imgstore revert`, and the form in which `revert`, `undo` and parts of
// both ask for a change of the live image.

import Apply
import Platform
import Store

/// The parameters of a revert.
public struct RevertRequest: Sendable {
  /// The snapshot to restore, and optionally a path in it.
  public var reference: String
  /// The parts of the image to revert; empty for the whole image. A path in `reference` is added to them.
  public var parts = ImageParts()
  public var method = ApplyStrategy.automatic
  /// Whether unsaved changes are snapshotted first.
  public var keepsSafety = true
  /// Whether the revert is only planned.
  public var isDryRun = false
  /// Files and directories outside the image's own directories that may be changed, too.
  public var allowed: [String] = []
  /// Whether all files that the image's attributes name may be changed, regardless of their location.
  public var allowsOutside = false
  /// The exceptions for a snapshot that came from a remote.
  public var trust = PulledSnapshotTrust()
  /// Whether the exclude patterns of the definition are restored, too: the change to undo had set them.
  var restoresExcludes = false
  /// Whether the path of the image's directory is restored, too, for the same reason.
  var restoresLocation = false
  /// Creates the parameters of a plain revert to a snapshot.
  public init(_ reference: String) { self.reference = reference }
}

/// The outcome of a revert, or of its dry run.
public struct RevertOutcome: Sendable {
  /// The snapshot that was restored.
  public let target: CommittedSnapshot
  /// The reverted parts of the image; empty for the whole image.
  public var parts = ImageParts()
  public let isDryRun: Bool
  public let apply: ApplyOutcome
  /// The new snapshot of the state before; nil if a snapshot held that state already, or none was requested.
  public let safety: CommittedSnapshot?
  /// The snapshot that records the revert; nil in a dry run, and if there was nothing to do.
  public let recorded: CommittedSnapshot?
  /// The differences that remain after the revert: empty if the result is verified; nil in a dry run, and if
  /// there was nothing to do.
  public let remaining: ImageDiff?
  /// The entries with attributes that the file system cannot hold.
  public let limits: [ApplyProblem]
  /// The entries that could not be compared because they cannot be read.
  public let uncompared: [Snapshot.Note]
  public let seconds: Double
  /// The error that the change would end with, in a dry run; nil if it would not be refused.
  public var refusal: (any ExplainedError)?
  /// The snapshot of the change that was undone; nil unless this is an undo.
  public var undone: CommittedSnapshot?
  /// Whether the restored state has a definition of the image.
  public var isDefined: Bool { !target.snapshot.definition.isEmpty }
  /// Whether the live image matches the target in every respect.
  public var isExact: Bool { remaining?.isEmpty ?? true && limits.isEmpty }
}

/// A command's request to change the live image to the state of a snapshot.
struct ChangeRequest {
  let image: ImageName
  let target: CommittedSnapshot
  let request: RevertRequest
  /// The parts of the image; empty for the whole image.
  var parts = ImageParts()
  /// The command, and the message of the snapshot that records the change.
  let label: SnapshotLabel
  /// The facts of that snapshot, if the image is not reverted as a whole; nil for those of the latest one.
  var facts: [Snapshot.Fact]?
}
