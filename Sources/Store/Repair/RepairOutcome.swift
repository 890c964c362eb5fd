// The parameters and results of a repair.

import Platform

/// The parameters of a repair.
public struct RepairRequest: Sendable {
  /// True to change nothing and report the planned actions.
  public var isDryRun = false
  /// How long to wait for a collection, another repair, or a command that uses an image.
  public var waiting = LockWait.forever
  /// Creates the parameters of a real repair.
  public init() {}
}

/// A source that may contain lost data.
public enum RepairSource: Sendable {
  /// Another store.
  case store(ObjectStore, name: String)
  /// Files: `offer` adds all available content to a session, which stores only the lost objects.
  case content(name: String, offer: @Sendable (WriteSession) throws -> Void)

  var name: String {
    switch self {
    case .store(_, let name), .content(let name, _): name
    }
  }
}

/// The result of a repair.
public struct RepairOutcome: Sendable {
  /// A change of the store, or in a dry run one that would be made.
  public struct Action: Sendable {
    /// The subject, such as "pack 3fa9…", "ref compute@3" or "chunks".
    public let object: String
    /// The action, as a clause about the subject.
    public let what: String

    /// Creates an action, or a problem with a subject.
    public init(object: String, what: String) { (self.object, self.what) = (object, what) }
  }
  public internal(set) var actions: [Action] = []
  /// The sources that could not be read completely, with the reasons.
  public internal(set) var sourceProblems: [Action] = []
  public internal(set) var healedObjects = 0
  public internal(set) var healedBytes: UInt64 = 0
  /// The files that were moved to quarantine/, by their names there.
  public internal(set) var quarantined: [String] = []
  /// The number of paths that could not be restored before the repair.
  public internal(set) var damagedPathCount = 0
  /// The same by kind, in a dry run.
  public internal(set) var damage = LossCounts()
  /// The losses that remain, or would remain in a dry run, by snapshot and path.
  public internal(set) var losses = Losses()
  /// The problems that `verify` still finds, except the losses. A dry run only looks for journals.
  public var problems: [VerifyReport.Problem] = []
  public internal(set) var isDryRun = false
  public internal(set) var seconds: Double = 0

  /// Returns true if nothing is lost and no problem remains.
  public var isClean: Bool { losses.isEmpty && problems.isEmpty }
}

/// The objects that a repair session may store. All others are ignored.
final class AllowedObjects: Sendable {
  let names: Set<ObjectName>
  /// True to accept directories, times, attribute sets and hole maps that the store lacks, lost or not: the
  /// needed objects below a lost directory are unknown.
  let acceptsMetadata: Bool
  /// Collects the objects that a dry run would store; nil in a real repair.
  let found: RecoverableObjects?

  init(_ losses: Losses, found: RecoverableObjects?) {
    names = losses.objects
    acceptsMetadata = !losses.directories.isEmpty
    self.found = found
  }

  func accepts(_ kind: ObjectKind) -> Bool {
    guard acceptsMetadata else { return false }
    switch kind {
    case .tree, .times, .xattrs, .holes: return true
    case .chunk, .recipe: return false
    }
  }
}
