// A blob that is made when it is read: any range of it, from its plan and what the plan is over.
//
// 1. What is made is checked: each run of a deflate stream against its CRC, contents by the checksums
//    of the frames that they come from. Nothing wrong is handed out.
// 2. Memory: the plan, and for each range under way the plain bytes of about a MiB, or of one run.
// 3. Plans over plans end after `maxDepth`; a plan's own bytes are chunks, never made.

import Codec
import Platform

/// A plan, ready to be followed. Any thread may read it.
public final class ReconstructedBlob: Sendable {
  public static let maxDepth = 8
  private static let partBytes: UInt64 = 1 << 20
  private static let groupBytes = 1 << 20

  public let id: Digest
  public let plan: ReconstructionPlan
  /// Blobs that it is over and that the store has not yet: a recipe is proved before it is stored.
  private let over: [ReconstructedBlob]
  /// Where parts begin, and the end; empty where they are all of `partBytes`.
  private let partStarts: [UInt64]
  private let recentBlocks = Monitor<[(index: Int, block: ArchivePlanBlock)]>([])
  private static let keptBlocks = 8

  public var sizeBytes: UInt64 { plan.sizeBytes }

  /// - Parameters:
  ///   - id: of the blob, which the plan makes.
  ///   - over: blobs that are taken from here and not from the store.
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
          let end = position + run.offset + UInt64(run.sizeBytes)
          guard plain >= 2 * UInt64(groupBytes) || end - (starts.last ?? 0) >= partBytes / 2 else {
            continue
          }
          cut(at: end)
          plain = 0
        }
      }
      position += span.sizeBytes
    }
    if let last = starts.last, last < plan.sizeBytes { starts.append(plan.sizeBytes) }
    return starts
  }

  public var partCount: Int {
    partStarts.isEmpty
      ? Int((sizeBytes + ReconstructedBlob.partBytes - 1) / ReconstructedBlob.partBytes)
      : partStarts.count - 1
  }

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

  /// The part that holds a byte; `partCount` where there is none.
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

  /// Fills `target` with the bytes from `offset` on, of which there must be as many.
  /// - Throws: `StoreError`: `missing`, `damaged`, and `incompatible` where an encoder does not make
  ///   what it made when the plan was written.
  public func fill(
    _ target: UnsafeMutableRawBufferPointer, from offset: UInt64, in store: ObjectStore,
    depth: Int = 0
  ) throws {
    guard depth < ReconstructedBlob.maxDepth else {
      throw StoreError.damaged("blob \(id.hex)", "is made of made blobs, too many deep")
    }
    guard offset <= sizeBytes, UInt64(target.count) <= sizeBytes - offset else {
      throw StoreError.damaged("blob \(id.hex)", "has fewer bytes than it should have")
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
    let end = offset + UInt64(target.count)
    var position: UInt64 = 0
    for span in plan.spans {
      let start = position
      position += span.sizeBytes
      let from = max(start, offset)
      let to = min(position, end)
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
    var done = 0
    var index = plan.indexOfBlock(at: offset)
    while done < target.count {
      let block = try block(plan, index)
      let start = offset + UInt64(done) - plan.blocks[index].plainOffset
      let count = min(
        target.count - done, Int(clamping: plan.blocks[index].plainBytes - start))
      try fillArchive(
        plan, block, UnsafeMutableRawBufferPointer(rebasing: target[done..<done + count]), start,
        store, depth)
      done += count
      index += 1
    }
  }

  /// A range that lies in one block.
  private func fillArchive(
    _ plan: ArchivePlan, _ block: ArchivePlanBlock, _ target: UnsafeMutableRawBufferPointer,
    _ offset: UInt64, _ store: ObjectStore, _ depth: Int
  ) throws {
    let end = offset + UInt64(target.count)
    var index = block.indexOfRecord(at: offset)
    while index < block.records.count, block.records[index].offset < end {
      let record = block.records[index]
      index += 1
      let content = record.offset + UInt64(record.literal.count)
      let zeros = content + record.contentBytes
      let next = zeros + record.zeroBytes
      func part(_ from: UInt64, _ to: UInt64) -> (UnsafeMutableRawBufferPointer, UInt64)? {
        let (low, high) = (max(from, offset), min(to, end))
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

  private func block(_ plan: ArchivePlan, _ index: Int) throws(StoreError) -> ArchivePlanBlock {
    if let known = recentBlocks.withLock({ $0.first { $0.index == index } }) { return known.block }
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
    let end = offset + UInt64(target.count)
    var first = indexOfRun(stream.runs, at: offset)
    while first < stream.runs.count, stream.runs[first].offset < end {
      // Neighbours share the reading of plain bytes, of which each wants some of the one before.
      var last = first
      while last + 1 < stream.runs.count, stream.runs[last + 1].offset < end,
        stream.runs[last + 1].plainOffset + UInt64(stream.runs[last + 1].plainBytes)
          - stream.runs[first].plainOffset <= UInt64(ReconstructedBlob.groupBytes)
      { last += 1 }
      try deflate(stream, first...last, target, offset, plan, store, depth)
      first = last + 1
    }
  }

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

  private func deflate(
    _ stream: DeflatePlan.Stream, _ group: ClosedRange<Int>,
    _ target: UnsafeMutableRawBufferPointer, _ offset: UInt64, _ plan: DeflatePlan,
    _ store: ObjectStore, _ depth: Int
  ) throws {
    guard let maker = store.maker else {
      throw StoreError(
        .incompatible, "blob \(id.hex)", "is a recipe, and this program was not told who makes one")
    }
    let runs = stream.runs[group]
    var from = stream.innerBytes
    var to: UInt64 = 0
    for run in runs {
      let method = stream.methods[run.method]
      let end = run.plainOffset + UInt64(run.plainBytes)
      from = min(from, run.plainOffset - min(run.plainOffset, UInt64(method.historyBytes)))
      to = max(to, min(stream.innerBytes, end + UInt64(method.lookaheadBytes)))
    }
    let plain = UnsafeMutableRawBufferPointer.allocate(
      byteCount: max(Int(to - from), 1), alignment: 64)
    defer { plain.deallocate() }
    let wanted = UnsafeMutableRawBufferPointer(rebasing: plain[..<Int(to - from)])
    if let inner = over.first(where: { $0.id == stream.inner }) {
      try inner.fill(wanted, from: from, in: store, depth: depth + 1)
    } else {
      try store.fill(
        wanted, from: stream.inner, sizeBytes: stream.innerBytes, at: from, depth: depth)
    }
    for (index, run) in zip(group, runs) {
      let method = stream.methods[run.method]
      let history = min(run.plainOffset, UInt64(method.historyBytes))
      let end = min(
        stream.innerBytes,
        run.plainOffset + UInt64(run.plainBytes) + UInt64(method.lookaheadBytes))
      let bytes = UnsafeRawBufferPointer(
        rebasing: wanted[Int(run.plainOffset - history - from)..<Int(end - from)])
      let isLast = index == stream.runs.count - 1
      let made = UnsafeMutableRawBufferPointer.allocate(
        byteCount: max(run.sizeBytes, 1), alignment: 64)
      defer { made.deallocate() }
      let room = UnsafeMutableRawBufferPointer(rebasing: made[..<run.sizeBytes])
      let count = try maker.replay(
        run, method, bytes, history: Int(history), isLast: isLast, into: room)
      guard count == run.sizeBytes, CRC32.of(UnsafeRawBufferPointer(room)) == run.crc else {
        throw differing(plan, method, maker)
      }
      let low = max(run.offset, offset)
      let high = min(run.offset + UInt64(run.sizeBytes), offset + UInt64(target.count))
      if low < high {
        UnsafeMutableRawBufferPointer(rebasing: target[Int(low - offset)..<Int(high - offset)])
          .copyMemory(
            from: UnsafeRawBufferPointer(
              rebasing: room[Int(low - run.offset)..<Int(high - run.offset)]))
      }
    }
  }

  private func differing(
    _ plan: DeflatePlan, _ method: DeflateMethod, _ maker: any StreamReencoder
  ) -> StoreError {
    let own = maker.fingerprint(of: method.encoder)
    let finding =
      plan.fingerprints.contains(own)
      ? "its recipe (\(method.name)) does not make it again"
      : "its recipe (\(method.name)) was made with '\(plan.fingerprints.joined(separator: "', '"))'; "
        + "this program encodes otherwise, with '\(own)'"
    return StoreError(
      .incompatible, "blob \(id.hex)", finding,
      advice: "Everything that it is made of is here: a build of imgstore with the library named "
        + "makes it again ('imgstore verify' lists what else needs one)")
  }

  /// Why the encoders at hand will not do; nil where they are those that the plan was made with.
  func encoderMismatch(_ maker: (any StreamReencoder)?) -> String? {
    guard case .deflated(let plan) = plan else { return nil }
    guard let maker else { return "is a recipe, and this program was not told who makes one" }
    var encoders: Set<DeflateMethod.Encoder> = []
    for case .deflated(let stream) in plan.spans {
      encoders.formUnion(stream.methods.map(\.encoder))
    }
    // Stored blocks are copies: every program makes the same, and a plan names no encoder for them.
    encoders.remove(.stored)
    for encoder in encoders.sorted(by: { $0.rawValue < $1.rawValue }) {
      let own = maker.fingerprint(of: encoder)
      if !plan.fingerprints.contains(own) {
        return
          "its recipe was made with '\(plan.fingerprints.joined(separator: "', '"))', and this "
          + "program has '\(own)': it may not come out as it was"
      }
    }
    return nil
  }
}

/// A plan that was read a moment ago: ranges of a blob are asked for one after another.
struct CachedPlan: Sendable {
  let recipe: Reconstruction
  let made: ReconstructedBlob
}

extension ObjectStore {
  private static let keptPlans = 6

  /// A blob that a recipe makes.
  func made(_ blob: Digest, _ recipe: Reconstruction) throws(StoreError) -> ReconstructedBlob {
    let known = openPlans.withLock { plans in
      plans.first { $0.recipe == recipe && $0.made.id == blob }
    }
    if let known { return known.made }
    let made = ReconstructedBlob(blob, try plan(recipe, of: blob))
    openPlans.withLock { plans in
      if plans.count >= ObjectStore.keptPlans { plans.removeFirst() }
      plans.append(CachedPlan(recipe: recipe, made: made))
    }
    return made
  }

  /// Keeps collections, and other searches for recipes, out while a recipe is looked for: a recipe
  /// rests on blobs that perhaps no snapshot has named before, and may be of a blob whose needs a
  /// collection has written down already.
  /// - Returns: nil while one is at work: waiting for a collection, which may wait for us, is no good.
  public func lockRecipes() throws(StoreError) -> FileLock? { try lockCollectionsIfFree() }

  /// Whether a plan is over `blob`, be it through other recipes.
  /// - Parameter others: blobs that are taken from here and not from the store.
  public func isMade(
    of blob: Digest, _ plan: ReconstructionPlan, over others: [ReconstructedBlob]
  ) throws(StoreError) -> Bool {
    var seen: Set<Digest> = []
    var waiting = try plan.references()
    while let (id, size) = waiting.popLast() {
      if id == blob { return true }
      guard size > 0, seen.insert(id).inserted else { continue }
      if let known = others.first(where: { $0.id == id }) {
        waiting += try known.plan.references()
      } else if try isRecipe(id, size) {
        guard case .made(let recipe) = try recipe(of: id, sizeBytes: size) else { continue }
        waiting += try self.plan(recipe, of: id).references()
      }
    }
    return false
  }

  private func isRecipe(_ id: Digest, _ sizeBytes: UInt64) throws(StoreError) -> Bool {
    if sizeBytes > UInt64(Chunker.maxBytes) { return true }
    return try !holds(.chunk, id)
  }

  /// The plan that a recipe names.
  func plan(_ made: Reconstruction, of blob: Digest) throws(StoreError) -> ReconstructionPlan {
    let object = "plan of blob \(blob.hex)"
    let isSmall = made.planBytes <= UInt64(Chunker.maxBytes)
    let isChunk = isSmall ? try holds(.chunk, made.plan) : false
    if !isChunk, case .made = try recipe(of: made.plan, sizeBytes: made.planBytes) {
      throw .damaged(object, "is made itself, which no plan may be")
    }
    let bytes = try planBytes(made, object)
    return try decoding(object) { () throws(CodecError) in
      let plan = try ReconstructionPlan.decode(bytes)
      guard plan.sizeBytes == made.sizeBytes else {
        throw .corrupt("makes \(plan.sizeBytes) bytes, not \(made.sizeBytes)")
      }
      return plan
    }
  }

  private func planBytes(
    _ made: Reconstruction, _ object: String
  ) throws(StoreError) -> [UInt8] {
    var bytes: [UInt8] = []
    let parts = try parts(of: made.plan, sizeBytes: made.planBytes)
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

  /// Calls `body` with each part of a made blob, in order, while threads make the next ones.
  public func read(
    _ made: ReconstructedBlob, _ body: (_ offset: UInt64, UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let threads = min(processorCount, made.partCount)
    let ahead = PartPrefetcher(made, self, window: 2 * threads)
    let handles = try startWorkers(threads) { ahead.work() }
    defer {
      ahead.close()
      for handle in handles { handle.join() }
    }
    for index in 0..<made.partCount {
      let piece = try ahead.take(index)
      try body(made.part(index).offset, UnsafeRawBufferPointer(piece.bytes))
    }
  }
}

/// Parts that are made ahead of their reader.
private final class PartPrefetcher: Sendable {
  final class Piece: @unchecked Sendable {  // written by its maker, then read by the reader
    let bytes: UnsafeMutableRawBufferPointer
    init(_ count: Int) { bytes = .allocate(byteCount: count, alignment: 64) }
    deinit { bytes.deallocate() }
  }

  private struct State {
    var begun = 0
    var taken = 0
    var done: [Int: Result<Piece, any Error>] = [:]
    var isClosed = false
  }

  private let made: ReconstructedBlob
  private let store: ObjectStore
  private let window: Int
  private let state = Monitor(State())

  init(_ made: ReconstructedBlob, _ store: ObjectStore, window: Int) {
    self.made = made
    self.store = store
    self.window = window
  }

  func close() { state.update { $0.isClosed = true } }

  func take(_ index: Int) throws -> Piece {
    let result = state.wait { $0.done.removeValue(forKey: index) }
    state.update { $0.taken = index + 1 }
    return try result.get()
  }

  func work() {
    while let index = next() {
      let part = made.part(index)
      let result = Result { () throws -> Piece in
        let piece = Piece(part.lengthBytes)
        try made.fill(piece.bytes, from: part.offset, in: store)
        return piece
      }
      state.update { $0.done[index] = result }
    }
  }

  private func next() -> Int? {
    state.wait { state -> Int?? in
      if state.isClosed || state.begun >= made.partCount { return .some(nil) }
      guard state.begun < state.taken + window else { return nil }
      defer { state.begun += 1 }
      return .some(state.begun)
    }
  }
}
