// What a repair did, found, and could not do.

import Codec
import Platform

/// What `repair` is asked for.
public struct RepairRequest: Sendable {
  /// Nothing is changed; the outcome says what would be.
  public var isDryRun = false
  /// How long a collection, or another repair, is waited for.
  public var waiting = LockWait.forever
  public init() {}
}

/// Something that may hold what a store has lost.
public enum RepairSource: Sendable {
  /// Another store.
  case store(ObjectStore, name: String)
  /// Files: `offer` puts everything that there is into a session, which keeps what is wanted.
  case content(name: String, offer: @Sendable (WriteSession) throws -> Void)

  var name: String {
    switch self {
    case .store(_, let name), .content(let name, _): name
    }
  }
}

/// What a repair did.
public struct RepairOutcome: Sendable {
  /// One change of the store, or, in a dry run, one that would be made.
  public struct Action: Sendable {
    /// "pack 3fa9…", "ref compute@3", "chunks".
    public let object: String
    public let what: String
  }
  public internal(set) var actions: [Action] = []
  /// Sources that could not be read to their end, and why.
  public internal(set) var sourceProblems: [Action] = []
  public internal(set) var healedObjects = 0
  public internal(set) var healedBytes: UInt64 = 0
  /// Files that were moved to quarantine/, by their names there.
  public internal(set) var quarantined: [String] = []
  /// How many paths could not be restored before the repair.
  public internal(set) var damagedPathCount = 0
  /// What remains lost, or in a dry run would, by snapshot and path.
  public internal(set) var losses = Losses()
  /// What `verify` still finds, losses aside. A dry run looks for journals only.
  public var problems: [VerifyReport.Problem] = []
  public internal(set) var isDryRun = false
  public internal(set) var seconds: Double = 0

  public var isClean: Bool { losses.isEmpty && problems.isEmpty }
}

/// What a session may store; everything else that it is offered is passed over.
final class WantedObjects: Sendable {
  let names: Set<ObjectName>
  /// Directories, times, attribute sets and hole maps that the store lacks, wanted or not: below a lost
  /// directory nobody knows what is wanted.
  let takesMetadata: Bool
  /// In a dry run nothing is stored, and what would be is noted here.
  let found: FoundObjects?

  init(_ losses: Losses, found: FoundObjects?) {
    names = losses.objects
    takesMetadata = !losses.directories.isEmpty
    self.found = found
  }

  func takes(_ kind: ObjectKind) -> Bool {
    guard takesMetadata else { return false }
    switch kind {
    case .tree, .times, .xattrs, .holes: return true
    case .chunk, .recipe: return false
    }
  }
}
