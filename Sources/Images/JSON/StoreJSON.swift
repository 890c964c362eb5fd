// The JSON forms of checks, repairs and the use of space (docs/json.md).

import Apply
import Platform
import Store

extension VerifyCoverage: JSONObject {
  public static let form = JSONForm<Self>("Verify.Coverage") { key in
    key("packs", \.packs)
    key("bytes", \.bytes)
    key("uncheckedPacks", \.uncheckedPacks)
    key("uncheckedBytes", \.uncheckedBytes)
    key("oldestCheck") { coverage in
      coverage.oldestCheck.map { isoText(Timestamp(seconds: $0, nanoseconds: 0)) }
    }
  }
}

extension VerifyReport.Problem: JSONObject {
  public static let form = JSONForm<Self>("Verify.Problem") { key in
    key("object", \.object)
    key("finding", \.reason)
    key("affects") { $0.affected.map { ApplyProblem(path: $0.path, what: $0.snapshot) } }
  }
}

extension RepairOutcome: JSONDocument {
  public static let form = JSONForm<Self>(kind: "repair") { key in
    key("dryRun", \.isDryRun)
    key("clean", \.isClean)
    key("actions", \.actions)
    key("quarantined", \.quarantined)
    key("healedObjects", \.healedObjects)
    key("healedBytes", \.healedBytes)
    key("sourceProblems", \.sourceProblems)
    key("damagedPaths") { $0.isDryRun ? $0.damagedPathCount : nil }
    key("lostPaths", \.losses.pathCount)
    key("lostSnapshots", \.losses.counts.snapshots)
    key("lostMarks", \.losses.counts.marks)
    key("lost", \.losses.paths)
    key("problems") { $0.problems.map { Action(object: $0.object, what: $0.reason) } }
    key("seconds", \.seconds)
  }
}

extension RepairOutcome.Action: JSONObject {
  public static let form = JSONForm<Self>("Repair.Action") { key in
    key("object", \.object)
    key("what", \.what)
  }
}

extension LostPath: JSONObject {
  public static let form = JSONForm<Self>("Repair.Lost") { key in
    key("snapshot", \.snapshot)
    key("path") { printable($0.path) }
    key("what", \.reason)
  }
}

extension CollectionOutcome: JSONDocument {
  public static let form = JSONForm<Self>("Collection", kind: "collection") { key in
    key("freedBytes", \.freedBytes)
    key("removedPacks", \.removedPacks)
    key("rewrittenPacks", \.rewrittenPacks)
    key("writtenBytes", \.writtenBytes)
    key("temporaryBytes", \.temporaryBytes)
    key("leftBytes", \.leftBytes)
    key("waitingBytes", \.waitingBytes)
    key("waitsFor", \.waitsFor)
    key("damaged") { $0.damaged.map(Damage.init) }
    key("lackedSpace", \.lackedSpace)
    key("newRecipes", \.newRecipes)
    key("seconds", \.seconds)
  }

  private struct Damage: JSONObject {
    let pack: String
    let reason: String

    static let form = JSONForm<Self>("Collection.Damage") { key in
      key("pack", \.pack)
      key("finding", \.reason)
    }
  }
}

/// The bytes that `gc` would free.
public struct CollectionEstimate: JSONDocument, Sendable {
  public let collectableBytes: UInt64
  /// The bytes of files that killed commands left, which gc frees in addition.
  public let unfinishedBytes: UInt64

  public static let form = JSONForm<Self>(kind: "collection-estimate") { key in
    key("collectableBytes", \.collectableBytes)
    key("unfinishedBytes", \.unfinishedBytes)
  }
}

/// The content of a rebuilt index.
public struct IndexTotals: JSONDocument, Sendable {
  public let packs: Int
  public let objects: Int
  /// The bytes of the packs.
  public let storedBytes: UInt64

  public static let form = JSONForm<Self>(kind: "reindex") { key in
    key("packs", \.packs)
    key("objects", \.objects)
    key("storedBytes", \.storedBytes)
  }
}

extension InitializedStore: JSONDocument {
  public static let form = JSONForm<Self>(kind: "init") { key in
    key("store", \.path)
    key("new", \.isNew)
  }
}

extension DiskUseOutcome: JSONDocument {
  public static let form = JSONForm<Self>(kind: "disk-use") { key in
    key("lines", \.lines)
    key("total", \.total)
    key("packs", \.packs)
    key("packBytes", \.packBytes)
    key("refBytes", \.refBytes)
    key("deadBytes", \.deadBytes)
    key("collectableBytes", \.collectableBytes)
    key("indexBytes", \.indexBytes)
    key("cacheBytes", \.cacheBytes)
    key("unfinishedBytes", \.unfinishedBytes)
    key("standby", \.standby)
    key("unreadable") { $0.unreadable.isEmpty ? nil : $0.unreadable }
  }
}

extension DiskUseRow: JSONObject {
  public static let form = JSONForm<Self>("DiskUse.Line") { key in
    key("name", \.name)
    key("snapshots", \.snapshots)
    key("reachedBytes", \.use.reachedBytes)
    key("uniqueBytes", \.use.uniqueBytes)
    key("sharedBytes", \.use.sharedBytes)
    key("freedBytes", \.use.freedBytes)
  }
}

extension StoreStatistics: JSONDocument {
  public static let form = JSONForm<Self>(kind: "statistics") { key in
    key("images", \.images)
    key("snapshots", \.snapshots)
    key("entries", \.entries)
    key("contentBytes", \.contentBytes)
    key("packs", \.contents.packs)
    key("packBytes", \.contents.packBytes)
    key("doomedPacks", \.contents.doomedPacks)
    key("doomedBytes", \.contents.doomedBytes)
    key("frames", \.contents.frames)
    key("rawBytes", \.contents.rawBytes)
    key("objects", \.contents.kinds)
    key("indexBytes", \.indexBytes)
    key("cacheBytes", \.cacheBytes)
    key("unfinishedBytes", \.unfinishedBytes)
    key("unreadable") { $0.unreadable.isEmpty ? nil : $0.unreadable }
  }
}

extension StoreContents.Kind: JSONObject {
  public static let form = JSONForm<Self>("Statistics.Kind") { key in
    key("kind") { "\($0.kind)" }
    key("count", \.count)
    key("rawBytes", \.rawBytes)
  }
}
