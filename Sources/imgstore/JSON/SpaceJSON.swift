// The JSON forms of `forget`, `gc`, `optimize`, `du` and `stats` (docs/json.md).

import Images
import Platform
import Store

struct ForgetJSON: JSONDocument {
  static let kind = "forget"
  struct Kept: Codable {
    let snapshot: String
    let created: String
    let reasons: [String]
  }
  struct Forgotten: Codable {
    let snapshot: String
    let created: String?
    let message: String?
    let tags: [String]
  }
  let dryRun: Bool
  let kept: [Kept]
  let forgotten: [Forgotten]
  let unreadable: [String]
  /// The images that were skipped because another process works on them.
  let busy: [String]
  /// The directories that are no longer images.
  struct Undefined: Codable {
    let image: String
    let path: String
    let excludes: [String]
  }
  let undefined: [Undefined]
  let freedBytes: UInt64?
  let collectableBytes: UInt64?
  /// The error that the removal would end with; only in a dry run.
  let refused: ErrorJSON.Details?
  /// The outcome of the collection of `--prune`; nil without it, or if it failed.
  let collection: CollectionJSON?
  /// The reason why the collection of `--prune` failed; nil if it did not.
  let collectionFailure: ErrorJSON.Details?

  init(_ outcome: ForgetOutcome, pruned: PruneOutcome? = nil) {
    collection = pruned?.collection.map(CollectionJSON.init)
    collectionFailure = pruned?.failure.map(ErrorJSON.Details.init)
    dryRun = outcome.isDryRun
    refused = outcome.refusal.map(ErrorJSON.Details.init)
    kept = outcome.kept.map {
      Kept(
        snapshot: $0.snapshot.name, created: isoText($0.snapshot.snapshot.created),
        reasons: $0.reasons.map(\.description))
    }
    forgotten = outcome.forgotten.map {
      Forgotten(
        snapshot: "\($0.name)", created: $0.snapshot.map { isoText($0.snapshot.created) },
        message: $0.snapshot?.snapshot.message, tags: $0.tags)
    }
    unreadable = outcome.unreadable.map(\.description)
    busy = outcome.busy.map(\.image)
    undefined = outcome.undefined.map {
      Undefined(image: $0.image, path: $0.path, excludes: $0.excludes)
    }
    freedBytes = outcome.freedBytes
    collectableBytes = outcome.collectableBytes
  }
}

struct CollectionJSON: JSONDocument {
  static let kind = "collection"
  struct Damage: Codable {
    let pack: String
    let finding: String
  }
  let freedBytes: Int64
  let removedPacks: Int
  let rewrittenPacks: Int
  let writtenBytes: UInt64
  let temporaryBytes: UInt64
  let leftBytes: UInt64
  let waitingBytes: UInt64
  let waitsFor: [String]
  let damaged: [Damage]
  let lackedSpace: Bool
  let seconds: Double

  init(_ outcome: CollectionOutcome) {
    freedBytes = outcome.freedBytes
    removedPacks = outcome.removedPacks
    rewrittenPacks = outcome.rewrittenPacks
    writtenBytes = outcome.writtenBytes
    temporaryBytes = outcome.temporaryBytes
    leftBytes = outcome.leftBytes
    waitingBytes = outcome.waitingBytes
    waitsFor = outcome.waitsFor
    damaged = outcome.damaged.map { Damage(pack: $0.pack, finding: $0.reason) }
    lackedSpace = outcome.lackedSpace
    seconds = outcome.seconds
  }
}

struct DiskUseJSON: JSONDocument {
  static let kind = "disk-use"
  struct Line: Codable {
    let name: String
    let snapshots: Int
    let reachedBytes: UInt64
    let uniqueBytes: UInt64
    let sharedBytes: UInt64
    let freedBytes: UInt64

    init(_ line: DiskUseRow) {
      name = line.name
      snapshots = line.snapshots
      reachedBytes = line.use.reachedBytes
      uniqueBytes = line.use.uniqueBytes
      sharedBytes = line.use.sharedBytes
      freedBytes = line.use.freedBytes
    }
  }
  let lines: [Line]
  let total: Line
  let packs: Int
  let packBytes: UInt64
  let refBytes: UInt64
  let deadBytes: UInt64
  let collectableBytes: UInt64
  let indexBytes: UInt64
  let cacheBytes: UInt64
  let unfinishedBytes: UInt64
  let unreadable: [UnreadableJSON]?

  init(_ outcome: DiskUseOutcome) {
    unfinishedBytes = outcome.unfinishedBytes
    unreadable = UnreadableJSON.list(outcome.unreadable)
    lines = outcome.lines.map(Line.init)
    total = Line(outcome.total)
    packs = outcome.packs
    packBytes = outcome.packBytes
    refBytes = outcome.refBytes
    deadBytes = outcome.deadBytes
    collectableBytes = outcome.collectableBytes
    indexBytes = outcome.indexBytes
    cacheBytes = outcome.cacheBytes
  }
}

struct StatisticsJSON: JSONDocument {
  static let kind = "statistics"
  struct Kind: Codable {
    let kind: String
    let count: Int
    let rawBytes: UInt64
  }
  let images: Int
  let snapshots: Int
  let entries: UInt64
  let contentBytes: UInt64
  let packs: Int
  let packBytes: UInt64
  let doomedPacks: Int
  let doomedBytes: UInt64
  let frames: Int
  let rawBytes: UInt64
  let objects: [Kind]
  let indexBytes: UInt64
  let cacheBytes: UInt64
  let unfinishedBytes: UInt64
  let unreadable: [UnreadableJSON]?

  init(_ stats: StoreStatistics) {
    unfinishedBytes = stats.unfinishedBytes
    unreadable = UnreadableJSON.list(stats.unreadable)
    images = stats.images
    snapshots = stats.snapshots
    entries = stats.entries
    contentBytes = stats.contentBytes
    packs = stats.contents.packs
    packBytes = stats.contents.packBytes
    doomedPacks = stats.contents.doomedPacks
    doomedBytes = stats.contents.doomedBytes
    frames = stats.contents.frames
    rawBytes = stats.contents.rawBytes
    objects = stats.contents.kinds.map {
      Kind(kind: "\($0.kind)", count: $0.count, rawBytes: $0.rawBytes)
    }
    indexBytes = stats.indexBytes
    cacheBytes = stats.cacheBytes
  }
}
