// Deletes the packs that no snapshot needs, and rewrites those of which little is needed (invariants 2, 5, 6
// and 7 of `Depot`).
//
//     choose packs → mark them → wait for the writers that are registered now → read all refs → list packs
//     → copy what is needed of marked packs and is nowhere else → delete the packs → delete the marks
//
// A collector that copies frames with bases counts on packs, as a writer does: it registers before it reads
// the refs, and deletes nothing if its registration is gone afterwards (invariant 8 of `Depot`).
//
// 1. Several collectors may run at once, also on the same packs. A mark is final, so a collector also
//    completes what others have begun.
// 2. A collector that dies leaves marks or duplicate objects, which the next one deletes.
// 3. The choice of packs is not safety relevant: it only decides what is copied.

import Codec
import ObjectStorage
import Platform
import Store

extension Depot {
  /// Deletes what no snapshot needs.
  /// - Throws: `objectMissing` or `remoteDamaged` if a snapshot is incomplete: then nothing is deleted;
  ///   `StorageError`.
  public func collect(_ options: CollectionOptions = CollectionOptions()) throws -> CollectionReport
  {
    var collector = DepotCollector(self, options)
    return try collector.run()
  }
}

/// One collection.
struct DepotCollector {
  private let depot: Depot
  private let options: CollectionOptions
  private var report = CollectionReport()
  private static let maxAttempts = 4

  init(_ depot: Depot, _ options: CollectionOptions) {
    (self.depot, self.options) = (depot, options)
  }

  mutating func run() throws -> CollectionReport {
    let marked = try choosePacks()
    if options.isDryRun {
      report.waitingPacks = marked.count
      return report
    }
    if !marked.isEmpty {
      let storage = depot.storage
      try depot.forEach(marked.sorted()) { try storage.write(DepotKeys.doomed($0), .bytes([])) }
      guard try waitForWriters(marked.count) else { return report }
      try deleteMarked(marked)
    }
    try cleanUp()
    return report
  }

  // MARK: Choice

  /// The needed and the total bytes of a pack.
  private struct Use {
    var neededBytes: UInt64 = 0
    var rawBytes: UInt64 = 0
  }

  /// Returns the packs that are marked already and the ones to mark.
  private mutating func choosePacks() throws -> Set<DepotPack> {
    // Packs before writers before refs: so a pack of a writer that is not registered any more is needed if
    // its ref exists, and the packs of running writers are not marked in vain.
    let listing = try depot.refreshListing()
    let writers = try depot.writers.ids()
    if !options.isDryRun { report.removedWriters = try depot.writers.removeDead(among: writers) }
    var reachable = try walkRefs()
    let usable = Set(listing.packs.keys.filter { !listing.doomed.contains($0) })
    var uses: [DepotPack: Use] = [:]
    try depot.withCache {
      uses = [:]
      // The copy of least depth is the needed one: the rewriter copies it otherwise.
      for depth in reachable.depths.sorted() {
        try depot.index.forEachObject(in: usable) { key, position in
          guard position.depth == depth else { return }
          uses[position.pack, default: Use()].rawBytes += UInt64(position.length)
          let isRecipe = key.kind == UInt32(ObjectKind.recipe.rawValue)
          if isRecipe ? reachable.contains(key) : reachable.claim(key) {
            uses[position.pack, default: Use()].neededBytes += UInt64(position.length)
          }
        }
      }
    }
    var marked = listing.doomed.filter { listing.packs[$0] != nil }
    marked.formUnion(
      select(usable.filter { !writers.contains($0.writer) }, uses, listing))
    return marked
  }

  private func select(
    _ candidates: Set<DepotPack>, _ uses: [DepotPack: Use], _ listing: PackListing
  ) -> Set<DepotPack> {
    var selected: Set<DepotPack> = []
    var small: [DepotPack] = []
    var rewrittenBytes: UInt64 = 0
    for pack in candidates.sorted() {
      let use = uses[pack] ?? Use()
      let size = listing.packs[pack] ?? 0
      if use.neededBytes == 0 {
        selected.insert(pack)
      } else if Double(use.neededBytes) < options.minNeededShare * Double(use.rawBytes) {
        guard rewrittenBytes + size <= options.maxRewriteBytes else { continue }
        rewrittenBytes += size
        selected.insert(pack)
      } else if size < UInt64(depot.options.packBytes / 8) {
        small.append(pack)
      }
    }
    if small.count >= options.minSmallPacks { selected.formUnion(small) }
    return selected
  }

  // MARK: Waiting

  /// Waits for the writers that are registered after the marks were put.
  /// - Returns: false if some are still registered.
  private mutating func waitForWriters(_ packCount: Int) throws -> Bool {
    var waiting = try depot.writers.ids()
    report.removedWriters += try depot.writers.removeDead(among: waiting)
    while true {
      waiting.formIntersection(try depot.writers.ids())
      if waiting.isEmpty {
        report.waitingPacks = 0
        return true
      }
      guard options.wait(waiting) else { break }
    }
    report.waitingPacks = packCount
    report.waitingFor = try waiting.sorted().compactMap { try depot.writers.writer($0) }
    return report.waitingFor.isEmpty
  }

  // MARK: Deletion

  /// Reads all refs, lists the packs, and walks the snapshots, in this order.
  private func walkRefs() throws -> DepotReachability {
    for attempt in 0... {
      // The roots are all that is kept of a snapshot: thousands of them fit into memory.
      var roots: [Entry] = []
      try depot.refs.readAll { roots += $2.snapshot.components.map(\.entry) }
      _ = try depot.refreshListing()
      do {
        var reachable = try DepotReachability(depot)
        try reachable.add(roots)
        try reachable.addBases()
        return reachable
      } catch let error as DepotError where error.errorCode == .objectMissing {
        // Another collector may have moved the object since the packs were listed.
        if attempt >= DepotCollector.maxAttempts { throw error }
      }
    }
    preconditionFailure("the loop returns or throws")
  }

  /// Deletes packs whose marks existed before the writers were listed.
  ///
  /// A mark that another collector has put later does not count here: writers that were not waited for may
  /// count on its pack.
  private mutating func deleteMarked(_ packs: Set<DepotPack>) throws {
    let id = try registration(for: packs)
    defer { if let id { try? depot.writers.remove(id) } }
    for attempt in 0... {
      let reachable = try walkRefs()
      let listing = try depot.refreshListing()
      let marked = packs.filter { listing.packs[$0] != nil }
      do {
        let rewriter = PackRewriter(
          depot: depot, listing: listing, marked: marked, id: id ?? depot.options.makeID(),
          keepsBases: id != nil)
        let result = try rewriter.copy(reachable)
        try requireRegistered(id)
        report.copiedBytes += result.copiedBytes
        report.damaged += result.damaged.values.sorted()
        let packs = marked.sorted().filter { result.damaged[$0] == nil }
        let storage = depot.storage
        try depot.forEach(packs) { pack in
          try storage.delete(DepotKeys.pack(pack))
          try storage.delete(DepotKeys.doomed(pack))
        }
        report.deletedPacks += packs.count
        report.deletedBytes += packs.reduce(0) { $0 + (listing.packs[$1] ?? 0) }
        return
      } catch is VanishedPackError {
        // Another collector has deleted a pack: it has copied what is needed of it.
        if attempt >= DepotCollector.maxAttempts { throw DepotCollector.raced(depot) }
      }
    }
  }

  /// Registers this process as a writer if it may copy frames with bases.
  private func registration(for packs: Set<DepotPack>) throws -> WriterID? {
    depot.index.hasBasedFrame(in: packs) ? try depot.writers.register() : nil
  }

  private func requireRegistered(_ id: WriterID?) throws {
    guard let id, try !depot.writers.isRegistered(id) else { return }
    throw DepotError(
      .remoteUnavailable, "the collection of \(depot.name)",
      "was evicted: an administrator removed its registration",
      hint: "Repeat the command. It has deleted nothing")
  }

  private static func raced(_ depot: Depot) -> DepotError {
    DepotError(
      .busy, depot.name, "is collected by others at the same time",
      hint: "Run one collection at a time, or repeat this one later")
  }

  // MARK: Leftovers

  /// Deletes marks without packs, what interrupted removals have left, and gathers small directories.
  private func cleanUp() throws {
    let listing = try depot.refreshListing()
    for pack in listing.doomed.sorted() where listing.packs[pack] == nil {
      try depot.storage.delete(DepotKeys.doomed(pack))
    }
    var leftover: Set<RemovedNumber> = []
    for (image, numbers) in try depot.refs.allNumbers() {
      for number in numbers.leftover {
        leftover.insert(RemovedNumber(image: image, number: number))
      }
    }
    for section in ["forgetting", "adopted", "signatures"] {
      try DepotRefs.forEachKey(section, depot.storage) { image, rest in
        guard let number = DepotKeys.number(rest.prefix(10)) else { return }
        leftover.insert(RemovedNumber(image: image, number: number))
      }
    }
    for item in leftover.sorted(by: { ($0.image, $0.number) < ($1.image, $1.number) })
    where try depot.refs.isRemoved(item.image, item.number) {
      try depot.marks.finishForgetting(item.image, item.number)
    }
    try DirectoryMerge(depot: depot).run()
  }

  private struct RemovedNumber: Hashable {
    let image: ImageName
    let number: Int
  }
}
