// One history of a depot: writers, collectors, removals, crashes and evictions, interleaved at every request.
//
// What must hold, at the end and for readers meanwhile:
// 1. A snapshot that was reported as pushed, and that nobody has removed, has its ref, and every object can
//    be read.
// 2. A number of an image is reported for one snapshot only.
// 3. In one history of eight: after evictions of all writers, and collections without others, no pack has an
//    object that no snapshot needs, and no marks, registrations or intents are left.
//
// Many frames have bases. What a snapshot needs includes the bases of frames with needed objects.

import Codec
import Depot
import DepotTestSupport
import ObjectStorage
import Platform
import Store
import Transfer

/// A violated invariant.
struct ModelFailure: Error, CustomStringConvertible {
  let seed: UInt64
  let reason: String
  let log: [String]
  var description: String { "seed \(seed): \(reason)\n" + log.joined(separator: "\n") }
}

/// What actors have reported. Only the actor with the baton touches it.
final class Ledger: @unchecked Sendable {
  struct Report { let image: ImageName, number: Int, snapshot: Int }
  var reported: [Report] = []
  /// Snapshots that somebody has begun to remove.
  var forgotten: Set<String> = []
  var failures: [String] = []
  var hasEvictions = false
  var errors = 0
  var commits = 0
  var deletedPacks = 0
  var copiedBytes: UInt64 = 0
  /// The frames with a base that were left after the last collections.
  var keptDeltas = 0

  static func key(_ image: ImageName, _ number: Int) -> String { "\(image)@\(number)" }
  var live: [Report] { reported.filter { !forgotten.contains(Ledger.key($0.image, $0.number)) } }
}

/// A history.
struct DepotModel {
  let universe: Universe
  let seed: UInt64
  var isLogging = false

  /// What an actor does.
  enum Role: CaseIterable { case writer, collector, forgetter, administrator, reader, tagger }

  /// Runs the history.
  /// - Returns: the ledger, for statistics, and the number of requests.
  /// - Throws: `ModelFailure`.
  func run(on threads: ActorThreads) throws -> (ledger: Ledger, steps: Int) {
    var generator = SeededGenerator(seed)
    let ledger = Ledger()
    let roles = chooseRoles(&generator)
    var deaths: [Int: (step: Int, isAfter: Bool)] = [:]
    for (index, role) in roles.enumerated()
    where role != .administrator && Int.random(in: 0..<4, using: &generator) == 0 {
      deaths[index] = (Int.random(in: 3..<45, using: &generator), Bool.random(using: &generator))
    }
    let baton = Baton(
      actors: roles.count, seed: generator.next(),
      stickiness: [0, 40, 70, 90].randomElement(using: &generator) ?? 0, deaths: deaths,
      isLogging: isLogging)
    let bucket = MemoryObjectStorage(
      pageSize: [2, 5, 1000].randomElement(using: &generator) ?? 2)
    do {
      try prepare(bucket, ledger, &generator)
      let actors = roles.enumerated().map { index, role in
        actor(index, role, bucket, baton, ledger, seed: generator.next())
      }
      baton.run(actors, on: threads)
      try check(bucket, ledger)
      if seed % 8 == 0 { try checkCollection(bucket, ledger) }
    } catch let error as ModelFailure {
      throw ModelFailure(seed: seed, reason: error.reason, log: baton.log)
    } catch {
      throw ModelFailure(seed: seed, reason: "\(error)", log: baton.log)
    }
    return (ledger, baton.steps)
  }

  private func chooseRoles(_ generator: inout SeededGenerator) -> [Role] {
    // Two collectors with a writer, and evictions of writers, are where the difficult interleavings are.
    let templates: [[Role]] = [
      [.collector, .collector], [.writer, .collector, .collector],
      [.writer, .collector, .collector],
      [.writer, .writer, .collector, .administrator], [.writer, .collector], [.writer, .collector],
    ]
    var roles = templates.randomElement(using: &generator) ?? [.writer]
    for _ in 0..<Int.random(in: 0...min(2, 4 - roles.count), using: &generator) {
      roles.append(
        [.writer, .writer, .collector, .forgetter, .administrator, .reader, .tagger]
          .randomElement(using: &generator) ?? .writer)
    }
    return roles
  }

  static func options(
    _ universe: Universe, _ generator: inout SeededGenerator, actor: Int
  ) -> DepotOptions {
    var options = DepotOptions()
    options.requestCount = 1
    options.packBytes = [300, 600, 100_000].randomElement(using: &generator) ?? 300
    if Int.random(in: 0..<3, using: &generator) == 0 { options.localStore = universe.store }
    let counter = Monitor(generator.next())
    options.makeID = {
      counter.withLock { counter in
        counter &+= 0x9e37_79b9_7f4a_7c15
        return WriterID(high: counter, low: UInt64(actor))
      }
    }
    options.process = { DepotModel.process }
    return options
  }

  /// A process of another host, so only administrators remove registrations.
  private static let process = ProcessIdentity(
    host: "model", bootID: "", namespace: "", process: 1, startTicks: 1, started: 0)

  // MARK: Actors

  /// Pushes some snapshots and removes some, without interleaving.
  private func prepare(
    _ bucket: MemoryObjectStorage, _ ledger: Ledger, _ generator: inout SeededGenerator
  ) throws {
    let depot = try Depot(
      creatingIn: bucket, DepotModel.options(universe, &generator, actor: 99))
    for _ in 0..<Int.random(in: 0...2, using: &generator) {
      try push(depot, ledger, &generator) { _ in }
    }
    if Bool.random(using: &generator), let report = ledger.live.randomElement(using: &generator) {
      ledger.forgotten.insert(Ledger.key(report.image, report.number))
      try depot.forget(report.image, report.number)
    }
  }

  private func actor(
    _ index: Int, _ role: Role, _ bucket: MemoryObjectStorage, _ baton: Baton, _ ledger: Ledger,
    seed: UInt64
  ) -> @Sendable () -> Void {
    let storage = bucket.with(baton.hooks(index))
    return {
      var generator = SeededGenerator(seed)
      do {
        let depot = try Depot(
          opening: storage, DepotModel.options(universe, &generator, actor: index))
        for _ in 0..<Int.random(in: 1...2, using: &generator) {
          baton.note(index, "\(role)")
          try act(role, depot, index, baton, ledger, &generator)
        }
      } catch {
        // Losing a race, or being evicted, does not count as a failure.
        ledger.errors += 1
        baton.note(index, "\(error)")
      }
    }
  }

  private func act(
    _ role: Role, _ depot: Depot, _ index: Int, _ baton: Baton, _ ledger: Ledger,
    _ generator: inout SeededGenerator
  ) throws {
    switch role {
    case .writer: try push(depot, ledger, &generator) { baton.note(index, $0) }
    case .collector: try collect(depot, index, baton, ledger, &generator)
    case .forgetter:
      // The latest snapshot tempts writers to use its number again.
      let latest = ledger.live.max { $0.number < $1.number }
      guard let random = ledger.live.randomElement(using: &generator) else { return }
      let report = Bool.random(using: &generator) ? latest ?? random : random
      ledger.forgotten.insert(Ledger.key(report.image, report.number))
      try depot.forget(report.image, report.number)
    case .administrator:
      guard let id = try depot.registeredWriters().randomElement(using: &generator)?.id else {
        return
      }
      ledger.hasEvictions = true
      _ = try depot.evict(id)
    case .reader: try read(depot, ledger, &generator)
    case .tagger:
      guard let report = ledger.live.randomElement(using: &generator) else { return }
      let tag = "t\(index)"
      if try depot.tag(tag, of: report.image, report.number) == report.number {
        try checkTagged(depot, report, tag)
      }
    }
  }

  private func push(
    _ depot: Depot, _ ledger: Ledger, _ generator: inout SeededGenerator, _ note: (String) -> Void
  ) throws {
    let index = Int.random(in: 0..<universe.snapshots.count, using: &generator)
    let snapshot = universe.snapshots[index]
    let session = try DepotSession(depot)
    defer { session.end() }
    for _ in 0..<1 {
      let candidates = universe.snapshots.filter { $0.image == snapshot.image }.map(\.id)
      let bases =
        depot.options.localStore == nil ? [] : try session.usableBases(candidates).prefix(1)
      let base = universe.snapshots.first { $0.id == bases.first }
      var names = snapshot.objects.filter { base?.all.contains($0) != true }
      var blobs = snapshot.blobs.filter { blob in base?.blobs.contains(blob) != true }
      blobs = try session.missingBlobs(blobs)
      var frames: [RawFrame] = []
      for blob in blobs {
        let recipe = ObjectName(kind: .recipe, id: blob)
        if universe.objects[recipe] == nil {
          names.append(ObjectName(kind: .chunk, id: blob))
        } else if Bool.random(using: &generator) {
          // Another source has cut the file elsewhere.
          frames += universe.otherFrames(of: blob)
        } else {
          names.append(recipe)
          names += snapshot.all.filter { name in
            name.kind == .chunk && !snapshot.blobs.contains(name.id)
          }
        }
      }
      // A source that does not ask uploads objects again: the depot then has several copies.
      let asks = Int.random(in: 0..<4, using: &generator) > 0
      frames += universe.frames(
        asks ? try session.missing(names) : names, inPairs: Bool.random(using: &generator),
        bases: try presentChunks(session, &generator), using: &generator)
      for frame in frames.shuffled(using: &generator) { try session.append(frame) }
      let number = try session.commit(
        TransferredSnapshot(snapshot.bytes), bases: Array(bases))
      ledger.commits += 1
      note("reported \(snapshot.image)@\(number), snapshot \(index), bases \(bases.count)")
      if let other = ledger.reported.first(where: {
        $0.image == snapshot.image && $0.number == number && $0.snapshot != index
      }) {
        ledger.failures.append(
          "\(snapshot.image)@\(number) is snapshot \(other.snapshot) and \(index)")
      }
      ledger.reported.append(.init(image: snapshot.image, number: number, snapshot: index))
    }
  }

  /// Returns chunks that the session may count on, for the bases of frames.
  private func presentChunks(
    _ session: DepotSession, _ generator: inout SeededGenerator
  ) throws -> [ObjectName] {
    guard Int.random(in: 0..<3, using: &generator) > 0 else { return [] }
    let missing = Set(try session.missing(universe.chunks))
    return universe.chunks.filter { !missing.contains($0) }
  }

  private func collect(
    _ depot: Depot, _ index: Int, _ baton: Baton, _ ledger: Ledger,
    _ generator: inout SeededGenerator
  ) throws {
    var options = CollectionOptions()
    options.minNeededShare = [0.5, 0.9, 1.1].randomElement(using: &generator) ?? 0.5
    options.minSmallPacks = 3
    let rounds = Monitor(Int.random(in: 1...12, using: &generator))
    options.wait = { _ in
      baton.yield(index)
      return rounds.withLock { rounds in
        rounds -= 1
        return rounds > 0
      }
    }
    let report = try depot.collect(options)
    ledger.deletedPacks += report.deletedPacks
    ledger.copiedBytes += report.copiedBytes
    if !report.damaged.isEmpty { ledger.failures.append("damaged: \(report.damaged)") }
  }

  private func read(
    _ depot: Depot, _ ledger: Ledger, _ generator: inout SeededGenerator
  ) throws {
    guard let report = ledger.live.randomElement(using: &generator) else { return }
    do {
      try DepotModel.readAll(universe.snapshots[report.snapshot], depot, universe)
    } catch {
      if error as? StorageError != nil { throw error }  // this actor died
      if ledger.live.contains(where: { $0.image == report.image && $0.number == report.number }) {
        ledger.failures.append("a reader of \(report.image)@\(report.number): \(error)")
      }
    }
  }

  /// A tag that was reported protects the snapshot from removals that begin later, and was not overtaken by
  /// one.
  private func checkTagged(_ depot: Depot, _ report: Ledger.Report, _ tag: String) throws {
    if try depot.refs.isRemoved(report.image, report.number) {
      ledger(fail: "\(report.image)@\(report.number) was removed in spite of its tag")
    }
    _ = try depot.untag(tag, of: report.image)
  }

  private func ledger(fail reason: String) { tagFailures.withLock { $0.append(reason) } }
  let tagFailures = Monitor<[String]>([])

  // MARK: Checks

  /// Reads everything that a snapshot needs.
  static func readAll(_ snapshot: UniverseSnapshot, _ depot: Depot, _ universe: Universe) throws {
    let source = DepotSource(depot)
    var names = snapshot.objects
    for (blob, content) in zip(snapshot.blobs, try source.contents(of: snapshot.blobs)) {
      switch content {
      case nil:
        throw DepotError(.objectMissing, "blob \(blob.shortHex)", "is missing")
      case .chunk: names.append(ObjectName(kind: .chunk, id: blob))
      case .recipe(let references):
        names.append(ObjectName(kind: .recipe, id: blob))
        names += references.chunks.map { ObjectName(kind: .chunk, id: $0) }
      }
    }
    var count = 0
    try source.objects(names) { name, bytes in
      count += 1
      guard name.kind == .recipe || SHA256.digest(of: bytes) == name.id else {
        throw DepotError(.damaged, "\(name)", "has other bytes")
      }
    }
    guard count == Set(names).count else {
      throw DepotError(.objectMissing, "an object", "was not passed on")
    }
  }

  private func fail(_ reason: String) -> ModelFailure {
    ModelFailure(seed: seed, reason: reason, log: [])
  }

  private func plainDepot(_ bucket: MemoryObjectStorage) throws -> Depot {
    var options = DepotOptions()
    options.requestCount = 1
    options.packBytes = 400
    options.process = { DepotModel.process }
    return try Depot(opening: bucket, options)
  }

  private func check(_ bucket: MemoryObjectStorage, _ ledger: Ledger) throws {
    if let failure = (ledger.failures + tagFailures.withLock { $0 }).first { throw fail(failure) }
    let depot = try plainDepot(bucket)
    for report in ledger.live {
      let snapshot = universe.snapshots[report.snapshot]
      guard let ref = try depot.refs.read(report.image, report.number), ref.id == snapshot.id,
        try !depot.refs.isRemoved(report.image, report.number)
      else { throw fail("\(report.image)@\(report.number) was reported and has no ref") }
      do { try DepotModel.readAll(snapshot, depot, universe) } catch {
        throw fail("\(report.image)@\(report.number) was reported and is broken: \(error)")
      }
    }
  }

  private func checkCollection(_ bucket: MemoryObjectStorage, _ ledger: Ledger) throws {
    let depot = try plainDepot(bucket)
    for writer in try depot.registeredWriters() { _ = try depot.evict(writer.id) }
    // A living writer that was evicted and then died may have left a ref without its objects.
    for (image, numbers) in try depot.refs.allNumbers() {
      for number in numbers.existing {
        guard let ref = try depot.refs.read(image, number),
          let snapshot = universe.snapshots.first(where: { $0.id == ref.id })
        else { throw fail("\(image)@\(number) cannot be read") }
        let isReported = ledger.live.contains { $0.image == image && $0.number == number }
        do { try DepotModel.readAll(snapshot, depot, universe) } catch {
          guard !isReported, ledger.hasEvictions else {
            throw fail("\(image)@\(number) exists and is broken without an eviction: \(error)")
          }
          _ = try depot.marks.forget(image, number, ignoresMarks: true)
        }
      }
    }
    var options = CollectionOptions()
    options.minNeededShare = 1.1
    options.wait = { _ in false }
    for _ in 0..<2 { _ = try depot.collect(options) }
    try check(bucket, ledger)
    try requireMinimal(depot, bucket, ledger)
  }

  private func requireMinimal(
    _ depot: Depot, _ bucket: MemoryObjectStorage, _ ledger: Ledger
  ) throws {
    var needed: Set<ObjectName> = []
    _ = try depot.refs.readAll { _, _, ref in
      guard let snapshot = universe.snapshots.first(where: { $0.id == ref.id }) else { return }
      needed.formUnion(snapshot.all)
      for blob in snapshot.blobs {
        needed.formUnion(universe.otherRecipes[blob]?.chunks ?? [])
      }
    }
    let fetcher = DirectoryFetcher(storage: bucket, requestCount: 1)
    let listing = try PackListing(bucket)
    var headers: [FrameHeader] = []
    for (pack, size) in listing.packs {
      try fetcher.readPack(pack, sizeBytes: size)?.forEachFrame { headers.append($0.header) }
    }
    func names(_ header: FrameHeader) -> [ObjectName] {
      header.objects.map { ObjectName(kind: $0.kind, id: $0.id) }
    }
    var count = -1
    while count != needed.count {
      count = needed.count
      for header in headers where names(header).contains(where: needed.contains) {
        for chunk in header.base?.chunks ?? [] {
          needed.insert(ObjectName(kind: .chunk, id: chunk.id))
        }
      }
    }
    ledger.keptDeltas += headers.count { $0.base != nil }
    for name in headers.flatMap(names) where !needed.contains(name) {
      throw fail("\(name.kind.noun) \(name.id.shortHex) is not needed and stays")
    }
    // An intent of a removal that died before its decision stays until the removal is repeated.
    for directory in ["doomed/", "writers/"] {
      if let key = bucket.content.keys.first(where: { $0.text.hasPrefix(directory) }) {
        throw fail("\(key) stays")
      }
    }
  }
}
