// Converts a packed file to a recipe over blobs: finds it, verifies it, and only then stores it.
//
//     inspect ─▶ inflate once ─▶ store missing contents ─▶ rebuild the file ─▶ recipe
//                (names only)    (contents of members)     (SHA-256 equals the blob's?)
//
// 1. A recipe is stored only after the file was rebuilt from the store, bit for bit, by the same
//    code that reads use. Until then nothing refers to it.
// 2. No blob is ever built from itself, through any number of recipes: a file may decode to itself.
//    Only one search runs in a store at a time, and no garbage collection with it
//    (`ObjectStore.lockRecipes`). Two searches therefore cannot create such a cycle together.
// 3. A file that cannot be rebuilt stays as it is. Nothing refers to the contents that a failed
//    search stored, so the next garbage collection deletes them.
// 4. Memory is bounded: windows, a plan, and 32 bytes per deflate block.

import Archive
import Codec
import Platform
import Store

/// Finds recipes for packed files.
public struct RecipeFinder: Sendable {
  /// The minimum size of a file: smaller files take hardly more than one chunk.
  public static let minBytes: UInt64 = 256 << 10
  private static let maxMembers = 64
  private static let maxAttempts = 4
  /// The maximum size of framing that stays in a plan.
  private static let maxLiteralBytes: UInt64 = 64 << 10

  let store: ObjectStore
  let progress: Progress

  /// Creates a finder for a store.
  public init(_ store: ObjectStore, progress: Progress) {
    self.store = store
    self.progress = progress
  }

  /// Returns whether a file may become a recipe.
  /// - Parameters:
  ///   - head: the first 512 bytes of the file.
  ///   - sizeBytes: the size of the file.
  public static func isCandidate(_ head: [UInt8], sizeBytes: UInt64) -> Bool {
    guard sizeBytes >= minBytes else { return false }
    if MemberFraming.isMember(head) { return true }
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

  /// Stores `blob`, whose bytes are those of `source`, as a recipe if one exists.
  ///
  /// If the store already has the blob as chunks, a later garbage collection deletes them.
  /// - Parameter remembersRefusal: whether `refused` has the blob afterwards if its bytes are the reason for
  ///   storing no recipe. The source must be the store.
  /// - Returns: the statistics, or the reason for storing no recipe.
  /// - Throws: `StoreError`; the errors of `source`. The blob is then stored as before, as it is for `none`.
  public func storeRecipe(
    of blob: Digest, _ source: RandomAccessSource, remembersRefusal: Bool = false
  ) throws -> RecipeOutcome {
    guard let lock = try store.lockRecipes() else {
      return .none(
        "another process collects garbage or looks for recipes in the store; try again later")
    }
    defer { withExtendedLifetime(lock) {} }
    do {
      var report = RecipeReport()
      try search(blob, source, &report, depth: 0)
      return .stored(report)
    } catch let reason as NoRecipeError {
      if remembersRefusal, reason.isPermanent { remember(refused: blob) }
      return .none(reason.reason)
    } catch let error as CodecError {
      if remembersRefusal { remember(refused: blob) }
      return .none("it is damaged or cut off (\(error))")
    }
  }

  private struct NoRecipeError: Error {
    let reason: String
    /// Whether the file's bytes imply the reason, so that the search will always fail.
    var isPermanent = true
  }

  // MARK: Files

  private func search(
    _ blob: Digest, _ source: RandomAccessSource, _ report: inout RecipeReport, depth: Int
  ) throws {
    if try MemberFraming.read(source, at: 0) != nil {
      return try searchCompressed(blob, source, &report)
    }
    progress.begin("looking for a recipe", totalBytes: source.sizeBytes)
    let analysis = try StreamAnalysis(source.stream(from: 0), progress: progress)
    guard let plan = analysis.plan else {
      throw NoRecipeError(reason: "it is neither gzip, zstd nor an archive")
    }
    guard analysis.id == blob else {
      throw NoRecipeError(reason: "it changed while it was read", isPermanent: false)
    }
    // An initrd is an archive followed by a compressed one.
    for content in analysis.contents
    where content.isCompressed && content.sizeBytes >= RecipeFinder.minBytes && depth < 2 {
      if try store.holds(blob: content.id) { continue }
      let inner = source.slice(from: content.offset, sizeBytes: content.sizeBytes)
      var part = RecipeReport()
      do {
        try search(content.id, inner, &part, depth: depth + 1)
        report.add(part)
      } catch is NoRecipeError {
      } catch is CodecError {
      }
    }
    try storeMissing(analysis, from: { source.stream(from: 0) }, &report)
    let rebuilt = PlannedBlob(blob, .archive(try ArchivePlan.decode(plan)))
    try verify(rebuilt)
    try commit([(rebuilt, plan)], &report)
  }

  private func searchCompressed(
    _ blob: Digest, _ source: RandomAccessSource, _ report: inout RecipeReport
  ) throws {
    var spans: [StreamPlan.Span] = []
    var members: [Member] = []
    var position: UInt64 = 0
    while let framing = try MemberFraming.read(source, at: position) {
      guard spans.count < 3 * RecipeFinder.maxMembers else {
        throw NoRecipeError(reason: "it has more than \(RecipeFinder.maxMembers) members")
      }
      if framing.form == .skippable {
        guard framing.headerBytes <= RecipeFinder.maxLiteralBytes else { break }
        spans.append(.literal(try source.bytes(position..<position + framing.headerBytes)))
        position += framing.headerBytes
        continue
      }
      spans.append(.literal(try source.bytes(position..<position + framing.headerBytes)))
      let member = try analysis(source, at: position, framing, span: spans.count, &report)
      members.append(member)
      // A placeholder until the runs are known.
      spans.append(.literal([]))
      position = member.offset + member.sizeBytes
      let trailer = min(source.sizeBytes, position + framing.trailerBytes)
      guard trailer == position + framing.trailerBytes else { throw CodecError.truncated }
      spans.append(.literal(try source.bytes(position..<trailer)))
      position = trailer
    }
    guard !members.isEmpty else { throw NoRecipeError(reason: "it contains no compressed stream") }
    if position < source.sizeBytes {
      spans.append(try trailing(source, from: position))
    }
    for member in members {
      try storeMissing(member.analysis, from: member.open, &report)
    }
    try storeDeflated(blob, source, spans, members, &report)
  }

  /// Returns the span after the last member: padding, or appended data.
  private func trailing(
    _ source: RandomAccessSource, from position: UInt64
  ) throws -> StreamPlan.Span {
    let size = source.sizeBytes - position
    if size <= RecipeFinder.maxLiteralBytes {
      return .literal(try source.bytes(position..<source.sizeBytes))
    }
    let session = try store.beginSession()
    let id = try session.withWorker { worker in
      var ingester = BlobIngester()
      return try ingester.ingest(worker, from: source.stream(from: position)).id
    }
    try session.finish()
    return .blob(id, sizeBytes: size)
  }

  // MARK: Members

  /// A compressed stream of the file.
  struct Member: Sendable {
    /// The index of its span.
    let span: Int
    let offset: UInt64
    let sizeBytes: UInt64
    let layouts: [StreamLayout]
    let boundaries: [InflateBlockScanner.Boundary]
    let analysis: StreamAnalysis
    /// The archive in the stream; nil if it contains none.
    let inner: PlannedBlob?
    /// Opens the decoded stream.
    let open: @Sendable () -> ByteSource
  }

  private func analysis(
    _ source: RandomAccessSource, at start: UInt64, _ framing: MemberFraming, span: Int,
    _ report: inout RecipeReport
  ) throws -> Member {
    let offset = start + framing.headerBytes
    let open: @Sendable () -> ByteSource = { framing.open(source, at: start) }
    if case .zstd(let layout) = framing.form, let size = framing.streamBytes {
      let methods = try JobRunFinder.methods(source, offset..<offset + size, layout, open)
      guard !methods.isEmpty else { throw unknownEncoder }
      progress.begin("looking for a recipe")
      let ahead = ReadAhead(open)
      let analysis = try StreamAnalysis({ try ahead.read($0) }, progress: progress)
      report.plainBytes += analysis.sizeBytes
      return Member(
        span: span, offset: offset, sizeBytes: size, layouts: methods.map { StreamLayout.jobs($0) },
        boundaries: [], analysis: analysis, inner: try inner(analysis), open: open)
    }
    let layouts = try EncoderDetector(StreamSample(source, at: offset)).layouts()
    guard !layouts.isEmpty else { throw unknownEncoder }
    progress.begin("looking for a recipe")
    let stream = InflatingSource(source, at: offset)
    let ahead = ReadAhead { { try stream.read($0) } }
    let analysis = try StreamAnalysis({ try ahead.read($0) }, progress: progress)
    guard stream.scanner.isAtEnd else { throw CodecError.truncated }
    report.plainBytes += analysis.sizeBytes
    return Member(
      span: span, offset: offset, sizeBytes: stream.sizeBytes, layouts: layouts,
      boundaries: stream.scanner.boundaries, analysis: analysis, inner: try inner(analysis),
      open: open)
  }

  private var unknownEncoder: NoRecipeError {
    NoRecipeError(reason: "its encoder cannot be reproduced")
  }

  private func inner(_ analysis: StreamAnalysis) throws -> PlannedBlob? {
    try analysis.plan.map { PlannedBlob(analysis.id, .archive(try ArchivePlan.decode($0))) }
  }

  /// Stores the contents that the store does not have.
  private func storeMissing(
    _ analysis: StreamAnalysis, from open: @escaping @Sendable () -> ByteSource,
    _ report: inout RecipeReport
  ) throws {
    report.contents += analysis.contents.count
    var missing: Set<Digest> = []
    for content in analysis.contents where !missing.contains(content.id) {
      if try store.holds(blob: content.id) { continue }
      missing.insert(content.id)
      report.newContents += 1
      report.newContentBytes += content.sizeBytes
    }
    if missing.isEmpty { return }
    progress.begin("storing new contents", totalBytes: analysis.sizeBytes)
    let session = try store.beginSession()
    try session.runOnce { [missing, progress] worker in
      let ahead = ReadAhead(open)
      var left = missing
      var ids = analysis.contents.makeIterator()
      var ingester = BlobIngester(hashesConcurrently: true)
      let records = try ArchiveRecords { try ahead.read($0) }
      while let record = try records.next() {
        if record.contentBytes != 0, let listed = ids.next() {
          let isWanted = left.remove(listed.id) != nil
          let content = { (target: UnsafeMutableRawBufferPointer) in
            let n = try records.read(target)
            progress.add(bytes: UInt64(n))
            return n
          }
          let stored =
            try isWanted ? ingester.ingest(worker, from: content) : ingester.identify(content)
          guard !isWanted || stored.id == listed.id else {
            throw NoRecipeError(reason: "it changed while it was read", isPermanent: false)
          }
        }
        _ = try records.padding()
      }
    }
    try session.finish()
    report.storedBytes += session.writtenBytes
  }

  // MARK: Plans

  /// Finds runs that can be reproduced, using the first layout that gives any.
  private func storeDeflated(
    _ blob: Digest, _ source: RandomAccessSource, _ spans: [StreamPlan.Span], _ members: [Member],
    _ report: inout RecipeReport
  ) throws {
    // Members are independent, but there is nearly always only one, so all use their n-th layout together.
    var failure = NoRecipeError(reason: "its encoder could not be reproduced")
    for choice in 0..<(members.map(\.layouts.count).max() ?? 0) {
      var failedRestarts: Set<UInt64> = []
      for _ in 0..<RecipeFinder.maxAttempts {
        let layouts = members.map { $0.layouts[min(choice, $0.layouts.count - 1)] }
        guard let plan = try plan(source, spans, members, layouts, failedRestarts) else { break }
        let rebuilt = PlannedBlob(blob, .streams(plan), over: members.compactMap(\.inner))
        do {
          try verify(rebuilt)
        } catch let error as StoreError where error.kind == .incompatible {
          // If a run failed after a restart, extend the previous run over it.
          failure = NoRecipeError(reason: "its encoder could be reproduced only in part")
          guard members.count == 1, layouts[0].mayFailAtRestarts,
            let failed = failedRuns(rebuilt, plan)
          else { break }
          failedRestarts.formUnion(failed)
          continue
        }
        report.encoders += layouts.map(\.name)
        var all: [(PlannedBlob, [UInt8])] = []
        for member in members {
          if let inner = member.inner, let bytes = member.analysis.plan {
            all.append((inner, bytes))
          }
        }
        return try commit(all + [(rebuilt, plan.encode())], &report)
      }
    }
    throw failure
  }

  // MARK: Verification and commit

  private func verify(_ rebuilt: PlannedBlob) throws {
    progress.begin("verifying the recipe", totalBytes: rebuilt.sizeBytes)
    var hash = SHA256()
    try store.read(rebuilt) { [progress] _, bytes in
      hash.update(bytes)
      progress.add(bytes: UInt64(bytes.count))
    }
    guard hash.finish() == rebuilt.id else {
      throw NoRecipeError(
        reason: "the rebuilt file differs from the original (did it change meanwhile?)",
        isPermanent: false)
    }
  }

  private func commit(
    _ all: [(rebuilt: PlannedBlob, plan: [UInt8])], _ report: inout RecipeReport
  ) throws {
    for (rebuilt, _) in all {
      guard try !rebuilt.dependsOnItself(over: all.map(\.rebuilt), in: store) else {
        throw NoRecipeError(reason: "it contains itself", isPermanent: false)
      }
    }
    let session = try store.beginSession()
    try session.withWorker { worker in
      var ingester = BlobIngester()
      for (rebuilt, bytes) in all {
        let plan = try ingester.ingest(worker, from: RecipeFinder.source(of: bytes))
        let recipe = Reconstruction(
          sizeBytes: rebuilt.sizeBytes, plan: plan.id, planBytes: plan.sizeBytes)
        if rebuilt === all.last?.rebuilt {
          try worker.replaceRecipe(of: rebuilt.id, by: recipe)
        } else {
          try worker.add(.recipe, rebuilt.id, recipe.encode())
        }
        report.planBytes += bytes.count
      }
    }
    try session.finish()
    report.storedBytes += session.writtenBytes
  }
}
