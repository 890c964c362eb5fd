// A packed file becomes a recipe over blobs: found, proved, and only then stored.
//
//     look ─▶ inflate once ─▶ store what the store has not ─▶ make it again, all of it ─▶ recipe
//             (names only)    (contents of members)            (SHA-256 is the blob's?)
//
// 1. A recipe is stored after it has made its blob again bit for bit, out of the store, by the code that
//    will make it when it is read. Until then nothing names it.
// 2. No blob is ever made of itself, however many recipes lie between: a file may decode to itself. One
//    search at a time goes on in a store, so that two cannot tie such a knot together, and no collection
//    beside it (`ObjectStore.lockRecipes`).
// 3. What cannot be made again is left as it is. What a failed search has stored are contents that
//    nothing names: the next garbage collection takes them.
// 4. Memory is bounded: windows, a plan, 32 bytes a deflate block.

import Archive
import Codec
import Platform
import Store

/// What came of a search.
public enum RecipeOutcome: Sendable {
  case made(RecipeReport)
  /// Why there is no recipe, in words that follow "stored as it is: ".
  case none(String)
}

public struct RecipeReport: Sendable {
  /// "pigz -6"; empty for an archive that is not compressed.
  public var encoders: [String] = []
  public var plainBytes: UInt64 = 0
  /// Contents that the plans name, and those of them that the store had not.
  public var contents = 0
  public var newContents = 0
  public var newContentBytes: UInt64 = 0
  /// Of all plans, before the store compresses them.
  public var planBytes = 0
  /// What the store has grown by.
  public var storedBytes: UInt64 = 0
}

/// Looks for recipes.
public struct RecipeFinder: Sendable {
  /// Smaller files are a chunk, or hardly more.
  public static let minBytes: UInt64 = 256 << 10
  private static let maxMembers = 64
  private static let maxAttempts = 4

  private let store: ObjectStore
  private let progress: Progress

  public init(_ store: ObjectStore, progress: Progress) {
    self.store = store
    self.progress = progress
  }

  /// Whether a file that begins so may become a recipe.
  public static func isCandidate(_ head: [UInt8], sizeBytes: UInt64) -> Bool {
    guard sizeBytes >= minBytes else { return false }
    if head.starts(with: [0x1f, 0x8b, 8]) { return true }
    let records = try? ArchiveRecords(source(of: head))
    return records.map { $0.form != .other } ?? false
  }

  private static func source(of bytes: [UInt8]) -> ByteSource {
    var rest = bytes[...]
    return { target in
      let n = min(target.count, rest.count)
      target.copyBytes(from: rest.prefix(n))
      rest.removeFirst(n)
      return n
    }
  }

  /// Stores `blob`, whose bytes are those of `source`, as a recipe, if there is one.
  ///
  /// The store may have the blob already, made of chunks, which are then for a garbage collection.
  /// - Throws: `StoreError` and what the source throws; then, as with `none`, the store has of the blob
  ///   what it had before.
  public func storeRecipe(of blob: Digest, _ source: RandomAccessSource) throws -> RecipeOutcome {
    guard let lock = try store.lockRecipes() else {
      return .none("the store is being collected, or another recipe looked for; try again later")
    }
    defer { withExtendedLifetime(lock) {} }
    do {
      var report = RecipeReport()
      try search(blob, source, &report, depth: 0)
      return .made(report)
    } catch let finding as NoRecipe {
      return .none(finding.why)
    } catch let error as CodecError {
      return .none("it is damaged or cut off (\(error))")
    }
  }

  private struct NoRecipe: Error {
    let why: String
  }

  // MARK: Files

  private func search(
    _ blob: Digest, _ source: RandomAccessSource, _ report: inout RecipeReport, depth: Int
  ) throws {
    if try GzipFrame.headerBytes(source, at: 0) != nil {
      return try searchCompressed(blob, source, &report)
    }
    progress.begin("looking for a recipe", totalBytes: source.sizeBytes)
    let survey = try StreamAnalysis(source.stream(from: 0), progress: progress)
    guard let plan = survey.plan else { throw NoRecipe(why: "it is neither gzip nor an archive") }
    guard survey.id == blob else { throw NoRecipe(why: "it changed while it was read") }
    // An initrd is an archive with a compressed one behind it.
    for content in survey.contents
    where content.isGzip && content.sizeBytes >= RecipeFinder.minBytes && depth < 2 {
      if try store.holds(blob: content.id) { continue }
      let inner = source.slice(from: content.offset, sizeBytes: content.sizeBytes)
      var part = RecipeReport()
      do {
        try search(content.id, inner, &part, depth: depth + 1)
        report.add(part)
      } catch is NoRecipe {
      } catch is CodecError {
      }
    }
    try storeMissing(survey, from: { source.stream(from: 0) }, &report)
    let made = ReconstructedBlob(blob, .woven(try ArchivePlan.decode(plan)))
    try verify(made)
    try commit([(made, plan)], &report)
  }

  private func searchCompressed(
    _ blob: Digest, _ source: RandomAccessSource, _ report: inout RecipeReport
  ) throws {
    var spans: [DeflatePlan.Span] = []
    var members: [Member] = []
    var position: UInt64 = 0
    while let header = try GzipFrame.headerBytes(source, at: position) {
      guard members.count < RecipeFinder.maxMembers else {
        throw NoRecipe(why: "it has more than \(RecipeFinder.maxMembers) gzip members")
      }
      spans.append(.literal(try source.bytes(position..<position + header)))
      let member = try survey(source, at: position + header, &report)
      members.append(member)
      // A place that is filled when the runs are known.
      spans.append(.literal([]))
      position = member.offset + member.sizeBytes
      let trailer = min(source.sizeBytes, position + GzipFrame.trailerBytes)
      guard trailer == position + GzipFrame.trailerBytes else { throw CodecError.truncated }
      spans.append(.literal(try source.bytes(position..<trailer)))
      position = trailer
    }
    if position < source.sizeBytes {
      spans.append(try trailing(source, from: position))
    }
    for member in members {
      try storeMissing(
        member.survey,
        from: {
          let stream = InflatingSource(source, at: member.offset)
          return { try stream.read($0) }
        }, &report)
    }
    try storeMade(blob, source, spans, members, &report)
  }

  /// What follows the last member: padding, or what somebody appended.
  private func trailing(
    _ source: RandomAccessSource, from position: UInt64
  ) throws -> DeflatePlan.Span {
    let size = source.sizeBytes - position
    if size <= 64 << 10 { return .literal(try source.bytes(position..<source.sizeBytes)) }
    let session = try store.beginSession()
    let id = try session.withWorker { worker in
      var ingester = BlobIngester()
      return try ingester.ingest(worker, from: source.stream(from: position)).id
    }
    try session.finish()
    return .blob(id, sizeBytes: size)
  }

  // MARK: Members

  /// A deflate stream of the file.
  private struct Member {
    let offset: UInt64
    let sizeBytes: UInt64
    let layouts: [StreamLayout]
    let boundaries: [InflateBlockScanner.Boundary]
    let survey: StreamAnalysis
    /// The archive that it holds; nil where it holds none.
    let inner: ReconstructedBlob?
  }

  private func survey(
    _ source: RandomAccessSource, at offset: UInt64, _ report: inout RecipeReport
  ) throws -> Member {
    let layouts = try EncoderDetector(StreamSample(source, at: offset)).layouts()
    guard !layouts.isEmpty else {
      throw NoRecipe(why: "its encoder is none that can be repeated (GNU gzip is not)")
    }
    progress.begin("looking for a recipe")
    let stream = InflatingSource(source, at: offset)
    let ahead = ReadAhead { { try stream.read($0) } }
    let survey = try StreamAnalysis({ try ahead.read($0) }, progress: progress)
    guard stream.walk.isAtEnd else { throw CodecError.truncated }
    report.plainBytes += survey.sizeBytes
    return Member(
      offset: offset, sizeBytes: stream.sizeBytes, layouts: layouts,
      boundaries: stream.walk.boundaries, survey: survey,
      inner: try survey.plan.map {
        ReconstructedBlob(survey.id, .woven(try ArchivePlan.decode($0)))
      })
  }

  /// Stores the contents that the store has not.
  private func storeMissing(
    _ survey: StreamAnalysis, from open: @escaping @Sendable () -> ByteSource,
    _ report: inout RecipeReport
  ) throws {
    report.contents += survey.contents.count
    var missing: Set<Digest> = []
    for content in survey.contents where !missing.contains(content.id) {
      if try store.holds(blob: content.id) { continue }
      missing.insert(content.id)
      report.newContents += 1
      report.newContentBytes += content.sizeBytes
    }
    if missing.isEmpty { return }
    progress.begin("storing new contents", totalBytes: survey.sizeBytes)
    let session = try store.beginSession()
    let isTaken = Monitor(false)
    try session.run { [missing, progress] worker in
      let isFirst = isTaken.withLock { taken in
        defer { taken = true }
        return !taken
      }
      guard isFirst else { return }
      let ahead = ReadAhead(open)
      var left = missing
      var ids = survey.contents.makeIterator()
      var ingester = BlobIngester(beside: true)
      let records = try ArchiveRecords { try ahead.read($0) }
      while let record = try records.next() {
        if record.contentBytes != 0, let listed = ids.next() {
          let isWanted = left.remove(listed.id) != nil
          let content = { (target: UnsafeMutableRawBufferPointer) in
            let n = try records.read(target)
            progress.add(bytes: UInt64(n))
            return n
          }
          let found =
            try isWanted ? ingester.ingest(worker, from: content) : ingester.identify(content)
          guard !isWanted || found.id == listed.id else {
            throw NoRecipe(why: "it changed while it was read")
          }
        }
        _ = try records.padding()
      }
    }
    try session.finish()
    report.storedBytes += session.writtenBytes
  }

  // MARK: Plans

  /// Finds runs that come out right, with the first layout that gives some.
  private func storeMade(
    _ blob: Digest, _ source: RandomAccessSource, _ spans: [DeflatePlan.Span], _ members: [Member],
    _ report: inout RecipeReport
  ) throws {
    // Members are independent, but nearly always there is one: all take their n-th choice together.
    var failure = NoRecipe(why: "its encoder could not be repeated")
    for choice in 0..<(members.map(\.layouts.count).max() ?? 0) {
      var leftOut: Set<UInt64> = []
      for _ in 0..<RecipeFinder.maxAttempts {
        let layouts = members.map { $0.layouts[min(choice, $0.layouts.count - 1)] }
        guard let plan = try plan(source, spans, members, layouts, leftOut) else { break }
        let made = ReconstructedBlob(blob, .deflated(plan), over: members.compactMap(\.inner))
        do {
          try verify(made)
        } catch let error as StoreError where error.kind == .incompatible {
          // Where a run that was begun afresh has failed, the run before goes on through it.
          failure = NoRecipe(why: "its encoder could not be repeated to the end")
          guard members.count == 1, layouts[0].mayFailInPlaces,
            let failed = failedRuns(made, plan)
          else { break }
          leftOut.formUnion(failed)
          continue
        }
        report.encoders += layouts.map(\.name)
        var all: [(ReconstructedBlob, [UInt8])] = []
        for member in members {
          if let inner = member.inner, let bytes = member.survey.plan { all.append((inner, bytes)) }
        }
        return try commit(all + [(made, plan.encode())], &report)
      }
    }
    throw failure
  }

  private func plan(
    _ source: RandomAccessSource, _ spans: [DeflatePlan.Span], _ members: [Member],
    _ layouts: [StreamLayout], _ leftOut: Set<UInt64>
  ) throws -> DeflatePlan? {
    var spans = spans
    var encoders: Set<DeflateMethod.Encoder> = []
    for (index, (member, layout)) in zip(members, layouts).enumerated() {
      let finder = RestartPointFinder(
        source: source, offset: member.offset, boundaries: member.boundaries
      ) { [store] offset, target in
        if let inner = member.inner { return try inner.fill(target, from: offset, in: store) }
        try store.fill(
          target, from: member.survey.id, sizeBytes: member.survey.sizeBytes, at: offset)
      }
      guard let (methods, runs) = try finder.runs(layout, leavingOut: leftOut) else { return nil }
      encoders.formUnion(runs.map { methods[$0.method].encoder })
      spans[index * 3 + 1] = .deflated(
        DeflatePlan.Stream(
          inner: member.survey.id, innerBytes: member.survey.sizeBytes, methods: methods, runs: runs
        ))
    }
    return DeflatePlan(
      fingerprints: encoders.map { EncoderFingerprint.of($0) }.sorted(),
      spans: spans.filter { $0.sizeBytes > 0 })
  }

  /// The runs that cannot be made, each tried alone.
  private func failedRuns(_ made: ReconstructedBlob, _ plan: DeflatePlan) -> Set<UInt64>? {
    var failed: Set<UInt64> = []
    var position: UInt64 = 0
    for span in plan.spans {
      if case .deflated(let stream) = span {
        for run in stream.runs {
          let room = UnsafeMutableRawBufferPointer.allocate(byteCount: run.sizeBytes, alignment: 16)
          defer { room.deallocate() }
          do {
            try made.fill(room, from: position + run.offset, in: store)
          } catch {
            failed.insert(run.plainOffset)
            // Many failures are another encoder, not a place badly chosen.
            if failed.count > 4 + stream.runs.count / 20 || run.plainOffset == 0 { return nil }
          }
        }
      }
      position += span.sizeBytes
    }
    return failed.isEmpty ? nil : failed
  }

  // MARK: Proof and commit

  private func verify(_ made: ReconstructedBlob) throws {
    progress.begin("proving the recipe", totalBytes: made.sizeBytes)
    var hash = SHA256()
    try store.read(made) { [progress] _, bytes in
      hash.update(bytes)
      progress.add(bytes: UInt64(bytes.count))
    }
    guard hash.finish() == made.id else {
      throw NoRecipe(why: "what came out is not what went in (did it change meanwhile?)")
    }
  }

  private func commit(
    _ all: [(made: ReconstructedBlob, plan: [UInt8])], _ report: inout RecipeReport
  ) throws {
    for (made, _) in all {
      guard try !store.isMade(of: made.id, made.plan, over: all.map(\.made)) else {
        throw NoRecipe(why: "it contains itself")
      }
    }
    let session = try store.beginSession()
    try session.withWorker { worker in
      var ingester = BlobIngester()
      for (made, bytes) in all {
        let plan = try ingester.ingest(worker, from: RecipeFinder.source(of: bytes))
        let recipe = Reconstruction(
          sizeBytes: made.sizeBytes, plan: plan.id, planBytes: plan.sizeBytes)
        if made === all.last?.made {
          try worker.replaceRecipe(of: made.id, by: recipe)
        } else {
          try worker.add(.recipe, made.id, recipe.encode())
        }
        report.planBytes += bytes.count
      }
    }
    try session.finish()
    report.storedBytes += session.writtenBytes
  }
}

extension RecipeReport {
  fileprivate mutating func add(_ other: RecipeReport) {
    encoders += other.encoders
    plainBytes += other.plainBytes
    contents += other.contents
    newContents += other.newContents
    newContentBytes += other.newContentBytes
    planBytes += other.planBytes
    storedBytes += other.storedBytes
  }
}
