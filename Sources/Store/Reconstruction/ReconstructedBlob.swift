// A reconstructed blob: any range of it is rebuilt from its plan and the plan's dependencies when it is
// read.
//
// 1. Rebuilt bytes are verified: each run of a deflate stream by its CRC, contents by the checksums of
//    their frames. Wrong bytes are never returned.
// 2. Memory: the plan, and for each concurrent range the plain bytes of about 1 MiB, or of one run.
// 3. Plans that depend on other plans are limited to a depth of `maxDepth`. A plan's own bytes are chunks,
//    never reconstructed.

import Codec
import Platform

/// A plan that can be executed. All methods may be called from any thread.
public final class ReconstructedBlob: Sendable {
  /// The maximum depth of reconstructions that depend on each other.
  public static let maxDepth = 8
  private static let partBytes: UInt64 = 1 << 20
  private static let groupBytes = 1 << 20

  /// The id of the blob.
  public let id: Digest
  /// The plan that rebuilds the blob.
  public let plan: ReconstructionPlan
  /// Dependencies that the store does not have yet, because a recipe is verified before it is stored.
  private let over: [ReconstructedBlob]
  /// The offsets of the parts, and the end; empty if all parts have `partBytes` bytes.
  private let partStarts: [UInt64]
  private let recentBlocks = Monitor<[(index: Int, block: ArchivePlanBlock)]>([])
  private static let keptBlocks = 8

  /// The size of the blob in bytes.
  public var sizeBytes: UInt64 { plan.sizeBytes }

  /// Creates a blob from its plan.
  /// - Parameters:
  ///   - id: the id of the blob that the plan rebuilds.
  ///   - over: dependencies that are taken from here instead of the store.
  public init(_ id: Digest, _ plan: ReconstructionPlan, over: [ReconstructedBlob] = []) {
    self.id = id
    self.plan = plan
    self.over = over
    partStarts = ReconstructedBlob.starts(of: plan)
  }

  // MARK: Parts

  private static func starts(of plan: ReconstructionPlan) -> [UInt64] {
    guard case .deflated(let plan) = plan else { return [] }
    var starts: [UInt64] = [0]
    var position: UInt64 = 0
    func cut(at offset: UInt64) {
      if let last = starts.last, offset > last { starts.append(offset) }
    }
    for span in plan.spans {
      switch span {
      case .literal: break
      case .blob(_, let size):
        for offset in stride(from: partBytes, to: size, by: Int(partBytes)) {
          cut(at: position + offset)
        }
      case .deflated(let stream):
        var plain: UInt64 = 0
        for run in stream.runs {
          plain += UInt64(run.plainBytes)
          let runEnd = position + run.offset + UInt64(run.sizeBytes)
          guard plain >= 2 * UInt64(groupBytes) || runEnd -  (starts.last ?? 0) >= partBytes / 2 else {
            continue
          }
          cut(at: runEnd)
          plain = 0
        }
      }
      position += span.sizeBytes
    }
    if let last = starts.last, last < plan.sizeBytes { starts.append(plan.sizeBytes) }
    return starts
  }

  /// The number of parts.
  public var partCount: Int {
    partStarts.isEmpty
      ? Int((sizeBytes + ReconstructedBlob.partBytes - 1) / ReconstructedBlob.partBytes)
      : partStarts.count - 1
  }

  /// Returns a part: about 1 MiB, or one run.
  public func part(_ index: Int) -> BlobPart {
    let start: UInt64
    let end: UInt64
    if partStarts.isEmpty {
      start = UInt64(index) * ReconstructedBlob.partBytes
      end = min(start + ReconstructedBlob.partBytes, sizeBytes)
    } else {
      (start, end) = (partStarts[index], partStarts[index + 1])
    }
    return BlobPart(offset: start, lengthBytes: Int(end - start), source: .made(self))
  }

  /// Returns the index of the part that contains the byte at `offset`; `partCount` if there is none.
  func indexOfPart(at offset: UInt64) -> Int {
    if offset >= sizeBytes { return partCount }
    if partStarts.isEmpty { return Int(offset / ReconstructedBlob.partBytes) }
    var low = 0
    var high = partStarts.count - 1
    while low + 1 < high {
      let middle = (low + high) / 2
      if partStarts[middle] <= offset { low = middle } else { high = middle }
    }
    return low
  }

  // MARK: Bytes

  /// Fills `target` with the bytes of the blob, starting at `offset`.
  /// - Parameter depth: the number of reconstructions that this one is nested in.
  /// - Throws: `StoreError`: `missing`; `damaged`, also if the blob ends before `target` is full;
  ///   `incompatible` if an encoder no longer produces the bytes that it produced when the plan was
  ///   written.
  public func fill(
    _ target: UnsafeMutableRawBufferPointer, from offset: UInt64, in store: ObjectStore,
    depth: Int = 0
  ) throws {
    guard depth < ReconstructedBlob.maxDepth else {
      throw StoreError.damaged("blob \(id.hex)", "has too many nested reconstructions")
    }
    guard offset <= sizeBytes, UInt64(target.count) <= sizeBytes - offset else {
      throw StoreError.damaged("blob \(id.hex)", "ends before the requested range")
    }
    switch plan {
    case .woven(let plan): try fillArchive(plan, target, offset, store, depth)
    case .deflated(let plan): try fill(plan, target, offset, store, depth)
    }
  }

  private func fill(
    _ plan: DeflatePlan, _ target: UnsafeMutableRawBufferPointer, _ offset: UInt64,
    _ store: ObjectStore, _ depth: Int
  ) throws {
    let limit = offset + UInt64(target.count)
    var position: UInt64 = 0
    for span in plan.spans {
      let start = position
      position += span.sizeBytes
      let from = max(start, offset)
      let to = min(position, limit)
      guard from < to else { continue }
      let part = UnsafeMutableRawBufferPointer(
        rebasing: target[Int(from - offset)..<Int(to - offset)])
      switch span {
      case .literal(let bytes): part.copyBytes(from: bytes[Int(from - start)..<Int(to - start)])
      case .blob(let id, let size):
        try store.fill(part, from: id, sizeBytes: size, at: from - start, depth: depth)
      case .deflated(let stream):
        try deflate(stream, part, from - start, plan, store, depth)
      }
    }
  }

  // MARK: Archives

  private func fillArchive(
    _ plan: ArchivePlan, _ target: UnsafeMutableRawBufferPointer, _ offset: UInt64,
    _ store: ObjectStore, _ depth: Int
  ) throws {
    var filledBytes = 0
    var index = plan.indexOfBlock(at: offset)
    while filledBytes < target.count {
      let block = try block(plan, index)
      let start = offset + UInt64(filledBytes) - plan.blocks[index].plainOffset
      let count = min(
        target.count - filledBytes, Int(clamping: plan.blocks[index].plainBytes - start))
      try fillArchive(
        plan, block, UnsafeMutableRawBufferPointer(rebasing: target[filledBytes..<filledBytes + count]), start,
        store, depth)
      filledBytes += count
      index += 1
    }
  }

  /// Fills a range that lies in one block.
  private func fillArchive(
    _ plan: ArchivePlan, _ block: ArchivePlanBlock, _ target: UnsafeMutableRawBufferPointer,
    _ offset: UInt64, _ store: ObjectStore, _ depth: Int
  ) throws {
    let limit = offset + UInt64(target.count)
    var index = block.indexOfRecord(at: offset)
    while index < block.records.count, block.records[index].offset < limit {
      let record = block.records[index]
      index += 1
      let content = record.offset + UInt64(record.literal.count)
      let zeros = content + record.contentBytes
      let next = zeros + record.zeroBytes
      func part(_ from: UInt64, _ to: UInt64) -> (UnsafeMutableRawBufferPointer, UInt64)? {
        let (low, high) = (max(from, offset), min(to, limit))
        guard low < high else { return nil }
        return (
          UnsafeMutableRawBufferPointer(
            rebasing: target[Int(low - offset)..<Int(high - offset)]), low - from
        )
      }
      if let (part, skipped) = part(record.offset, content) {
        part.copyBytes(
          from: block.literals[record.literal].dropFirst(Int(skipped)).prefix(part.count))
      }
      if let (part, skipped) = part(content, zeros) {
        try store.fill(
          part, from: plan.content(record.content), sizeBytes: record.contentBytes, at: skipped,
          depth: depth)
      }
      if let (part, _) = part(zeros, next) { part.initializeMemory(as: UInt8.self, repeating: 0) }
    }
  }

  /// Returns a decoded block, from the few recent ones if possible.
  private func block(_ plan: ArchivePlan, _ index: Int) throws(StoreError) -> ArchivePlanBlock {
    if let recent = recentBlocks.withLock({ $0.first { $0.index == index } }) { return recent.block }
    let block = try decoding("plan of blob \(id.hex)") { () throws(CodecError) in
      try plan.block(index)
    }
    recentBlocks.withLock { recent in
      if recent.count >= ReconstructedBlob.keptBlocks { recent.removeFirst() }
      recent.append((index, block))
    }
    return block
  }

  // MARK: Streams

  private func deflate(
    _ stream: DeflatePlan.Stream, _ target: UnsafeMutableRawBufferPointer, _ offset: UInt64,
    _ plan: DeflatePlan, _ store: ObjectStore, _ depth: Int
  ) throws {
    let limit = offset + UInt64(target.count)
    var first = indexOfRun(stream.runs, at: offset)
    while first < stream.runs.count, stream.runs[first].offset < limit {
      // Neighbouring runs share one read of plain bytes, because each needs the end of the previous ones.
      var last = first
      while last + 1 < stream.runs.count, stream.runs[last + 1].offset < limit,
        stream.runs[last + 1].plainOffset + UInt64(stream.runs[last + 1].plainBytes)
          - stream.runs[first].plainOffset <= UInt64(ReconstructedBlob.groupBytes)
      { last += 1 }
      try deflate(stream, first...last, target, offset, plan, store, depth)
      first = last + 1
    }
  }

  /// Returns the index of the first run that ends after `offset`.
  private func indexOfRun(_ runs: [DeflatePlan.Run], at offset: UInt64) -> Int {
    var low = 0
    var high = runs.count
    while low < high {
      let middle = (low + high) / 2
      if runs[middle].offset + UInt64(runs[middle].sizeBytes) <= offset {
        low = middle + 1
      } else {
        high = middle
      }
    }
    return low
  }

  /// Encodes a group of runs and copies the requested bytes.
  private func deflate(
    _ stream: DeflatePlan.Stream, _ group: ClosedRange<Int>,
    _ target: UnsafeMutableRawBufferPointer, _ offset: UInt64, _ plan: DeflatePlan,
    _ store: ObjectStore, _ depth: Int
  ) throws {
    guard let maker = store.maker else {
      throw StoreError(
        .incompatible, "blob \(id.hex)", "needs an encoder, and this program has none")
    }
    let runs = stream.runs[group]
    var from = stream.innerBytes
    var to: UInt64 = 0
    for run in runs {
      let method = stream.methods[run.method]
      let plainEnd = run.plainOffset + UInt64(run.plainBytes)
      from = min(from, run.plainOffset - min(run.plainOffset, UInt64(method.historyBytes)))
      to = max(to, min(stream.innerBytes, plainEnd +  UInt64(method.lookaheadBytes)))
    }
    let plain = UnsafeMutableRawBufferPointer.allocate(
      byteCount: max(Int(to - from), 1), alignment: 64)
    defer { plain.deallocate() }
    let input = UnsafeMutableRawBufferPointer(rebasing: plain[..<Int(to - from)])
    if let inner = over.first(where: { $0.id == stream.inner }) {
      try inner.fill(input, from: from, in: store, depth: depth + 1)
    } else {
      try store.fill(
        input, from: stream.inner, sizeBytes: stream.innerBytes, at: from, depth: depth)
    }
    for (index, run) in zip(group, runs) {
      let method = stream.methods[run.method]
      let history = min(run.plainOffset, UInt64(method.historyBytes))
      let plainEnd = min(
        stream.innerBytes,
        run.plainOffset + UInt64(run.plainBytes) + UInt64(method.lookaheadBytes))
      let bytes = UnsafeRawBufferPointer(
        rebasing: input[Int(run.plainOffset - history - from)..<Int(plainEnd - from)])
      let isLast = index == stream.runs.count - 1
      let output = UnsafeMutableRawBufferPointer.allocate(
        byteCount: max(run.sizeBytes, 1), alignment: 64)
      defer { output.deallocate() }
      let encoded = UnsafeMutableRawBufferPointer(rebasing: output[..<run.sizeBytes])
      let count = try maker.replay(
        run, method, bytes, history: Int(history), isLast: isLast, into: encoded)
      guard count == run.sizeBytes, CRC32.of(UnsafeRawBufferPointer(encoded)) == run.crc else {
        throw encoderMismatchError(plan, method, maker)
      }
      let low = max(run.offset, offset)
      let high = min(run.offset + UInt64(run.sizeBytes), offset + UInt64(target.count))
      if low < high {
        UnsafeMutableRawBufferPointer(rebasing: target[Int(low - offset)..<Int(high - offset)])
          .copyMemory(
            from: UnsafeRawBufferPointer(
              rebasing: encoded[Int(low - run.offset)..<Int(high - run.offset)]))
      }
    }
  }

  private func encoderMismatchError(
    _ plan: DeflatePlan, _ method: DeflateMethod, _ maker: any StreamReencoder
  ) -> StoreError {
    let own = maker.fingerprint(of: method.encoder)
    let finding =
      plan.fingerprints.contains(own)
      ? "its recipe (\(method.name)) does not reproduce it"
      : "its recipe (\(method.name)) was made with '\(plan.fingerprints.joined(separator: "', '"))', but "
        + "this program encodes differently, with '\(own)'"
    return StoreError(
      .incompatible, "blob \(id.hex)", finding,
      advice: "No data is lost: use a build of imgstore with that library. Run 'imgstore verify' to list "
        + "other files that need one")
  }

  /// Returns the reason why the present encoders do not match the plan's; nil if they match.
  func encoderMismatch(_ maker: (any StreamReencoder)?) -> String? {
    guard case .deflated(let plan) = plan else { return nil }
    guard let maker else { return "needs an encoder, and this program has none" }
    var encoders: Set<DeflateMethod.Encoder> = []
    for case .deflated(let stream) in plan.spans {
      encoders.formUnion(stream.methods.map(\.encoder))
    }
    // Stored blocks are copies that every encoder makes alike, so a plan names no encoder for them.
    encoders.remove(.stored)
    for encoder in encoders.sorted(by: { $0.rawValue < $1.rawValue }) {
      let own = maker.fingerprint(of: encoder)
      if !plan.fingerprints.contains(own) {
        return
          "its recipe was made with '\(plan.fingerprints.joined(separator: "', '"))', but this "
          + "program has '\(own)', which may encode differently"
      }
    }
    return nil
  }
}

/// A recently decoded plan, because ranges of a blob are usually read one after another.
struct CachedPlan: Sendable {
  let recipe: Reconstruction
  let blob: ReconstructedBlob
}

extension ObjectStore {
  private static let keptPlans = 6

  /// Returns the blob that a recipe reconstructs.
  func reconstructedBlob(_ blob: Digest, _ recipe: Reconstruction) throws(StoreError) -> ReconstructedBlob {
    let cached = openPlans.withLock { plans in
      plans.first { $0.recipe == recipe && $0.blob.id == blob }
    }
    if let cached { return cached.blob }
    let reconstruction = ReconstructedBlob(blob, try plan(recipe, of: blob))
    openPlans.withLock { plans in
      if plans.count >= ObjectStore.keptPlans { plans.removeFirst() }
      plans.append(CachedPlan(recipe: recipe, blob: reconstruction))
    }
    return reconstruction
  }

  /// Locks out gc, and other searches for recipes, while a recipe is created.
  ///
  /// A new recipe depends on blobs that may belong to no snapshot yet. It may also be of a blob whose
  /// dependencies a running gc has recorded already.
  /// - Returns: nil if gc or another search holds the lock. Waiting for gc could deadlock, because gc may
  ///   wait for the caller.
  public func lockRecipes() throws(StoreError) -> FileLock? { try lockCollections() }

  /// Returns true if a plan depends on `blob`, directly or through other recipes.
  /// - Parameter others: blobs that are taken from here instead of the store.
  public func isMade(
    of blob: Digest, _ plan: ReconstructionPlan, over others: [ReconstructedBlob]
  ) throws(StoreError) -> Bool {
    var visited: Set<Digest> = []
    var pending = try plan.references()
    while let (id, size) = pending.popLast() {
      if id == blob { return true }
      guard size > 0, visited.insert(id).inserted else { continue }
      if let other = others.first(where: { $0.id == id }) {
        pending += try other.plan.references()
      } else if try isRecipe(id, size) {
        guard case .made(let recipe) = try recipe(of: id, sizeBytes: size) else { continue }
        pending += try self.plan(recipe, of: id).references()
      }
    }
    return false
  }

  private func isRecipe(_ id: Digest, _ sizeBytes: UInt64) throws(StoreError) -> Bool {
    if sizeBytes > UInt64(Chunker.maxBytes) { return true }
    return try !holds(.chunk, id)
  }

  /// Returns the plan that a recipe names.
  /// - Throws: `damaged` if the plan is a reconstruction itself or does not match the recipe; `missing`.
  func plan(_ recipe: Reconstruction, of blob: Digest) throws(StoreError) -> ReconstructionPlan {
    let object = "plan of blob \(blob.hex)"
    let isSmall = recipe.planBytes <= UInt64(Chunker.maxBytes)
    let isChunk = isSmall ? try holds(.chunk, recipe.plan) : false
    if !isChunk, case .made = try recipe(of: recipe.plan, sizeBytes: recipe.planBytes) {
      throw .damaged(object, "is a reconstruction itself, which plans may not be")
    }
    let bytes = try planBytes(recipe, object)
    return try decoding(object) { () throws(CodecError) in
      let plan = try ReconstructionPlan.decode(bytes)
      guard plan.sizeBytes == recipe.sizeBytes else {
        throw .corrupt("the plan makes \(plan.sizeBytes) bytes instead of \(recipe.sizeBytes)")
      }
      return plan
    }
  }

  private func planBytes(
    _ recipe: Reconstruction, _ object: String
  ) throws(StoreError) -> [UInt8] {
    var bytes: [UInt8] = []
    let parts = try parts(of: recipe.plan, sizeBytes: recipe.planBytes)
    do {
      for part in parts { try read(part) { _, piece in bytes += piece } }
      return bytes
    } catch let error as StoreError {
      throw StoreError(
        error.kind, object, "\(error.object): \(error.finding)", advice: error.advice)
    } catch {
      throw .damaged(object, "\(error)")
    }
  }

  /// Calls `body` with each part of a reconstructed blob, in order, while other threads prepare the next
  /// parts.
  public func read(
    _ blob: ReconstructedBlob, _ body: (_ offset: UInt64, UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let threads = min(processorCount, blob.partCount)
    let prefetcher = PartPrefetcher(blob, self, window: 2 * threads)
    let handles = try startWorkers(threads) { prefetcher.work() }
    defer {
      prefetcher.close()
      for handle in handles { handle.join() }
    }
    for index in 0..<blob.partCount {
      let piece = try prefetcher.take(index)
      try body(blob.part(index).offset, UnsafeRawBufferPointer(piece.bytes))
    }
  }
}

/// Reconstructs the parts of a blob ahead of their reader.
private final class PartPrefetcher: Sendable {
  final class Piece: @unchecked Sendable {  // written by one thread, then read by another
    let bytes: UnsafeMutableRawBufferPointer
    init(_ count: Int) { bytes = .allocate(byteCount: count, alignment: 64) }
    deinit { bytes.deallocate() }
  }

  private struct State {
    var startedCount = 0
    var takenCount = 0
    var finished: [Int: Result<Piece, any Error>] = [:]
    var isClosed = false
  }

  private let blob: ReconstructedBlob
  private let store: ObjectStore
  private let window: Int
  private let state = Monitor(State())

  init(_ blob: ReconstructedBlob, _ store: ObjectStore, window: Int) {
    self.blob = blob
    self.store = store
    self.window = window
  }

  /// Stops the threads.
  func close() { state.update { $0.isClosed = true } }

  /// Waits for a part and removes it. Parts are taken in order.
  func take(_ index: Int) throws -> Piece {
    let result = state.wait { $0.finished.removeValue(forKey: index) }
    state.update { $0.takenCount = index + 1 }
    return try result.get()
  }

  /// Reconstructs parts until all are done or the prefetcher is closed.
  func work() {
    while let index = next() {
      let part = blob.part(index)
      let result = Result { () throws -> Piece in
        let piece = Piece(part.lengthBytes)
        try blob.fill(piece.bytes, from: part.offset, in: store)
        return piece
      }
      state.update { $0.finished[index] = result }
    }
  }

  /// Returns the next part to reconstruct; waits while the window is full.
  private func next() -> Int? {
    state.wait { state -> Int?? in
      if state.isClosed || state.startedCount >= blob.partCount { return .some(nil) }
      guard state.startedCount < state.takenCount + window else { return nil }
      defer { state.startedCount += 1 }
      return .some(state.startedCount)
    }
  }
}
