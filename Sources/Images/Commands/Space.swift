// imgstore gc, optimize, du, stats: reports and frees the disk space of the store.

import Platform
import Store

/// The disk usage of an image or a snapshot.
public struct DiskUseRow: Sendable {
  /// The name: "compute" or "compute@3".
  public let name: String
  public let snapshots: Int
  public let use: DiskUse.Use
}

/// The outcome of `du`.
public struct DiskUseOutcome: Sendable {
  public let lines: [DiskUseRow]
  /// The sum of all lines. Bytes that several lines share are counted once.
  public let total: DiskUseRow
  public let packs: Int
  public let packBytes: UInt64
  public let refBytes: UInt64
  /// The bytes of objects that no snapshot reaches.
  public let deadBytes: UInt64
  /// The bytes that `gc` would free now.
  public let collectableBytes: UInt64
  /// The size of the index, in bytes.
  public let indexBytes: UInt64
  /// The size of the caches, in bytes.
  public let cacheBytes: UInt64
  /// The bytes of files that killed commands left. `gc` frees them, too.
  public let unfinishedBytes: UInt64
  /// The snapshots that are left out because they cannot be read. Nothing can be freed while there are any.
  public let unreadable: [UnreadableSnapshot]
  /// The standby trees, which are outside the store.
  public var standby: [StandbyReport] = []

  /// The size of the whole store, in bytes.
  public var storeBytes: UInt64 {
    packBytes &+ refBytes &+ indexBytes &+ cacheBytes &+ unfinishedBytes
  }
}

/// The counts and sizes of a whole store.
public struct StoreStatistics: Sendable {
  public let images: Int
  public let snapshots: Int
  /// The entries of all snapshots: an entry counts once for each snapshot. `contentBytes` is the sum of their
  /// sizes.
  public let entries: UInt64
  public let contentBytes: UInt64
  public let contents: StoreContents
  public let indexBytes: UInt64
  public let cacheBytes: UInt64
  /// The bytes of files that killed commands left.
  public let unfinishedBytes: UInt64
  /// The snapshots that are left out because they cannot be read.
  public let unreadable: [UnreadableSnapshot]
}

extension Workspace {
  /// Deletes objects that no snapshot needs.
  /// - Parameter makesRecipes: whether packed files of all snapshots become recipes first, if that is
  ///   possible.
  /// - Throws: `StoreError`: see `ObjectStore.collect`.
  public func collect(
    _ request: CollectionRequest = CollectionRequest(), makesRecipes: Bool = false
  ) throws -> CollectionOutcome {
    try SpaceReporter(context).collect(request, makesRecipes: makesRecipes)
  }

  /// Returns the disk usage of images or snapshots.
  /// - Parameters:
  ///   - texts: images or references; empty for all images.
  ///   - bySnapshot: whether the result has a line for each snapshot of an image.
  public func diskUse(_ texts: [String], bySnapshot: Bool = false) throws -> DiskUseOutcome {
    try SpaceReporter(context).diskUse(texts, bySnapshot: bySnapshot)
  }

  /// Returns what `gc` would free: unneeded packs, and files of killed commands.
  /// - Throws: `damaged` if a ref cannot be read, as `gc` itself.
  public func collectionEstimate() throws -> CollectionEstimate {
    let store = try context.store()
    return CollectionEstimate(
      collectableBytes: try store.diskUse(progress: context.progress).collectableBytes,
      unfinishedBytes: try store.unfinishedBytes())
  }

  /// Returns the counts and sizes of the store.
  public func statistics() throws -> StoreStatistics {
    try SpaceReporter(context).statistics()
  }
}

/// Collects garbage, and reports the use of space.
struct SpaceReporter: Collaborator {
  let context: Context

  func collect(
    _ request: CollectionRequest = CollectionRequest(), makesRecipes: Bool = false
  ) throws -> CollectionOutcome {
    let start = monotonicSeconds()
    var request = request
    request.waiting = context.lockWait
    let store = try context.store()
    let recipes =
      makesRecipes
      ? try RecipeConverter(context).makeAllRecipes(maxSeconds: request.maxSeconds) : []
    if let limit = request.maxSeconds {
      request.maxSeconds = max(0, limit - (monotonicSeconds() - start))
    }
    StandbyKeeper(context).pruneAll()
    var outcome = try store.collect(
      request, progress: context.progress, report: context.reporter.inform)
    outcome.newRecipes = recipes.count { if case .stored = $0.outcome { true } else { false } }
    outcome.refusedRecipes = recipes.count - outcome.newRecipes
    let time = context.now().seconds
    store.updateMaintenanceRecord { record in
      record.collected = time
      if case .all = request.rewriting { record.optimized = time }
    }
    return outcome
  }

  func diskUse(_ texts: [String], bySnapshot: Bool = false) throws -> DiskUseOutcome {
    var outcome = try outcome(
      of: try context.store().diskUse(isTolerant: true, progress: context.progress), texts,
      bySnapshot: bySnapshot)
    // The store can be measured without tables and image directories.
    do { outcome.standby = try StandbyLister(context).measured(texts) } catch {
      StandbyKeeper(context).warn(error, "the standby trees cannot be measured")
    }
    return outcome
  }

  /// Returns the outcome of `du` from the disk usage of the store.
  func outcome(
    of diskUse: DiskUse, _ texts: [String], bySnapshot: Bool
  ) throws -> DiskUseOutcome {
    let store = try context.store()
    var groups: [(name: String, members: [SnapshotName])] = []
    func add(image: String) {
      let members = diskUse.snapshots.filter { $0.image.text == image }
      if bySnapshot {
        groups += members.map { ("\($0)", [$0]) }
      } else {
        groups.append((image, members))
      }
    }
    let names = texts.isEmpty ? try store.refs.images().map(\.text) : texts
    for text in names {
      let reference = try Reference(text)
      // An image whose latest snapshot is damaged has numbers all the same.
      if reference.selector == .latest, let image = try? ImageName(text),
        try !store.refs.numbers(of: image).isEmpty
      {
        add(image: text)
        continue
      }
      let committed = try SnapshotResolver(context).find(reference)
      if reference.selector == .latest,
        try SnapshotResolver(context).find(idOrName: reference.image) == nil
      {
        add(image: committed.snapshot.image)
      } else {
        let name = SnapshotName(
          image: try ImageName(committed.snapshot.image), number: committed.number)
        groups.append(("\(name)", [name]))
      }
    }
    func line(_ name: String, _ members: [SnapshotName]) throws -> DiskUseRow {
      DiskUseRow(name: name, snapshots: members.count, use: try diskUse.use(of: members))
    }
    let all = Set(groups.flatMap(\.members))
    return DiskUseOutcome(
      lines: try groups.map { try line($0.name, $0.members) },
      total: try line("total", Array(all)), packs: diskUse.packCount,
      packBytes: diskUse.packBytes, refBytes: diskUse.refBytes, deadBytes: diskUse.deadBytes,
      collectableBytes: diskUse.collectableBytes, indexBytes: try indexBytes(store),
      cacheBytes: try bytes(below: store.layout.cache),
      unfinishedBytes: try store.unfinishedBytes(),
      unreadable: diskUse.unreadable.map { UnreadableSnapshot(name: $0.name, reason: $0.reason) }
        + diskUse.lost.map(UnreadableSnapshot.init(lost:)))
  }

  private func lostSnapshots(_ store: ObjectStore) throws -> [UnreadableSnapshot] {
    try store.refs.everyImage().flatMap { image in
      try store.refs.lostNumbers(of: image).map {
        UnreadableSnapshot(lost: SnapshotName(image: image, number: $0))
      }
    }
  }

  func statistics() throws -> StoreStatistics {
    let store = try context.store()
    var snapshots = 0
    var entries: UInt64 = 0
    var contentBytes: UInt64 = 0
    var unreadable = try lostSnapshots(store)
    let images = try store.refs.images()
    for image in images {
      for number in try store.refs.numbers(of: image) {
        let committed: CommittedSnapshot
        do throws(StoreError) {
          guard let present = try store.refs.readIfPresent(image, number) else { continue }
          committed = present
        } catch {
          guard error.kind == .damaged else { throw error }
          unreadable.append(
            UnreadableSnapshot(
              name: SnapshotName(image: image, number: number), reason: error.reason))
          continue
        }
        snapshots += 1
        entries &+= committed.snapshot.entryCount
        contentBytes &+= committed.snapshot.contentBytes
      }
    }
    return StoreStatistics(
      images: images.count, snapshots: snapshots, entries: entries, contentBytes: contentBytes,
      contents: try store.contents(),
      indexBytes: try indexBytes(store),
      cacheBytes: try bytes(below: store.layout.cache),
      unfinishedBytes: try store.unfinishedBytes(), unreadable: unreadable)
  }

  private func indexBytes(_ store: ObjectStore) throws -> UInt64 {
    try context.fileSystem.statIfPresent(at: store.layout.root.raw, Array("index.sqlite".utf8))?
      .size ?? 0
  }

  /// Returns the total size of the files below a directory, in bytes.
  private func bytes(below directory: Descriptor) throws -> UInt64 {
    var total: UInt64 = 0
    for name in try context.fileSystem.names(of: directory.raw) {
      guard let stat = try context.fileSystem.statIfPresent(at: directory.raw, name) else {
        continue
      }
      if stat.kind == .directory {
        total += try bytes(below: try context.fileSystem.openDirectory(at: directory.raw, name))
      } else {
        total += stat.size
      }
    }
    return total
  }
}
