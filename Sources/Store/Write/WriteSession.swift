// Putting objects into the store (docs/format.md, "Commit"). The order is the guarantee:
//
//     frames → pack synced → pack renamed to its SHA-256 → packs/ synced → index → ref created
//
// 1. A ref is created only after every object that its snapshot reaches is durable.
// 2. A session that fails or dies leaves whole packs and files in tmp/: space, never harm.
// 3. Frames are compressed by whatever thread has time: a thread whose frame is full gives it to a
//    waiting thread, and else compresses it itself. So at most one full frame a thread exists, and
//    one large file still keeps all processors busy.
// 4. The session holds the lease under which its store was opened (Lease.swift): what it saw there
//    stays until it ends, whatever garbage collection runs beside it.

import Codec
import Platform

/// How snapshots are stored.
public struct StoreTuning: Sendable {
  /// zstd level of new frames.
  public var level: Int32 = 2
  /// log2 of the entries of zstd's match table. 15 stays in the first-level cache: 10 % faster than
  /// the level's own 16, for 0.7 % more bytes (docs/performance.md).
  public var hashLog: Int32? = 15
  /// Threads that read, hash and compress.
  public var workers = max(1, processorCount)
  public init() {}
}

/// A writer's session. Any thread may call it, through a `SessionWorker` of its own.
public final class WriteSession: Sendable {
  let layout: Layout
  let index: Index
  let known: DedupFilter
  let packs: PackWriter
  public let tuning: StoreTuning
  private let lease: Lease

  private struct Exchange {
    var waiting = 0
    var frames: [FrameBuilder] = []
    var producers: Int
    var spare: [FrameBuilder] = []
    var failed = false
  }
  private let exchange: Monitor<Exchange>

  /// How far the packs are on their way to the disk. Once ended it stays so, well or badly.
  private enum Ending {
    case notBegun
    case underWay
    case ended(Result<Void, StoreError>)
  }
  private let ending = Monitor(Ending.notBegun)

  init(
    _ layout: Layout, _ index: Index, _ lease: Lease, tuning: StoreTuning,
    wanted: WantedObjects? = nil
  ) throws(StoreError) {
    self.layout = layout
    self.index = index
    self.tuning = tuning
    known = DedupFilter(index, wanted: wanted)
    packs = PackWriter(layout, index)
    exchange = Monitor(Exchange(producers: 0))
    self.lease = lease
    try explaining(layout.name) { () throws(SystemError) in _ = try TemporaryFile.sweep(layout) }
  }

  deinit { packs.abandon() }

  /// Bytes that this session has added to packs so far.
  public var writtenBytes: UInt64 { packs.writtenBytes }

  /// Runs `body` on the session's threads, each with a worker, and ends their frames.
  public func run(_ body: @escaping @Sendable (SessionWorker) throws -> Void) throws {
    exchange.withLock { $0.producers = tuning.workers }
    try runThreads(tuning.workers) { _ in
      let worker = SessionWorker(self)
      do {
        try body(worker)
        try worker.flush()
      } catch {
        self.exchange.update { state in
          state.failed = true
          state.producers -= 1
        }
        throw error
      }
      self.exchange.update { $0.producers -= 1 }
      try worker.helpUntilDone()
    }
  }

  /// Runs `body` on this thread with a worker, and ends its frame.
  public func withWorker<R>(_ body: (SessionWorker) throws -> R) throws -> R {
    let worker = SessionWorker(self)
    let result = try body(worker)
    try worker.flush()
    return result
  }

  /// Begins to make everything durable, on a thread of its own, while the caller looks at what is there
  /// already. Nothing may be added afterwards; `finish` waits for it.
  public func beginFinish() {
    ending.withLock { ending in
      guard case .notBegun = ending else { preconditionFailure("a session ends once") }
      ending = .underWay
    }
    if (try? startDetachedThread { self.end() }) == nil { end() }
  }

  private func end() {
    let result = Result { () throws(StoreError) in try makeDurable() }
    ending.update { $0 = .ended(result) }
  }

  /// Makes everything durable and known to the index. Nothing may be added afterwards.
  public func finish() throws(StoreError) {
    let isMine = ending.withLock { ending in
      guard case .notBegun = ending else { return false }
      ending = .underWay
      return true
    }
    if isMine { end() }
    try ending.wait { if case .ended(let result) = $0 { result } else { nil } }.get()
    let finished = packs.packs
    if !finished.isEmpty { try index.insert(finished) }
  }

  private func makeDurable() throws(StoreError) {
    try packs.finishLast()
    if packs.packs.isEmpty { return }
    try explaining("the folder packs/") { () throws(SystemError) in
      try layout.fileSystem.sync(layout.packs.raw)
    }
  }

  // MARK: Frames between threads

  func emptyBuilder() -> FrameBuilder {
    exchange.withLock { $0.spare.popLast() } ?? FrameBuilder()
  }

  func recycle(_ builder: FrameBuilder) {
    builder.clear()
    exchange.withLock { $0.spare.append(builder) }
  }

  /// Gives a full frame to a thread that waits for one; false when none does.
  func handOver(_ builder: FrameBuilder) -> Bool {
    exchange.update { state in
      guard state.waiting > state.frames.count else { return false }
      state.frames.append(builder)
      return true
    }
  }

  /// The next frame to compress; nil when no thread can produce another.
  func nextFrame() -> FrameBuilder? {
    exchange.withLock { $0.waiting += 1 }
    let frame = exchange.wait { state -> FrameBuilder?? in
      if state.failed { return .some(nil) }
      if let frame = state.frames.popLast() { return .some(frame) }
      return state.producers == 0 ? .some(nil) : nil
    }
    exchange.withLock { $0.waiting -= 1 }
    return frame
  }

  var hasFailed: Bool { exchange.withLock { $0.failed } }
}

/// One thread's way into a session: its hash, its frame under way, its codec.
public final class SessionWorker {
  private let session: WriteSession
  private let encoder: FrameEncoder
  private var builder: FrameBuilder
  private var hash = SHA256()

  init(_ session: WriteSession) {
    self.session = session
    encoder = FrameEncoder(session.tuning)
    builder = session.emptyBuilder()
  }

  /// Another thread of the session has failed: stop soon.
  public var shouldStop: Bool { session.hasFailed }

  /// Stores bytes of at most `Chunker.maxBytes` as a chunk.
  /// - Returns: its id.
  public func addChunk(_ bytes: UnsafeRawBufferPointer) throws(StoreError) -> Digest {
    let id = hash.digest(of: bytes)
    try add(.chunk, id, bytes)
    return id
  }

  /// Stores bytes as a chunk if they are the one that was forecast.
  /// - Returns: whether they are.
  public func addChunk(
    _ bytes: UnsafeRawBufferPointer, ifItIs forecast: Digest
  ) throws(StoreError) -> Bool {
    guard hash.digest(of: bytes) == forecast else { return false }
    try add(.chunk, forecast, bytes)
    return true
  }

  /// Stores an object under its id, unless the store has it.
  public func add(
    _ kind: ObjectKind, _ id: Digest, _ bytes: UnsafeRawBufferPointer
  ) throws(StoreError) {
    guard !bytes.isEmpty || kind != .chunk else { return }
    if try session.known.noteInDryRun(kind, id, bytes) { return }
    guard try session.known.claim(kind, id) else { return }
    try append(kind, id, bytes)
  }

  /// Stores a recipe of a blob that the store has already, made of chunks: the shorter one is read
  /// from then on, and the chunks are left to the next garbage collection.
  public func replaceRecipe(of blob: Digest, by recipe: Reconstruction) throws(StoreError) {
    _ = try session.known.claim(.recipe, blob)
    var failure: StoreError?
    recipe.encode().withUnsafeBytes { bytes in
      do throws(StoreError) { try append(.recipe, blob, bytes) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  private func append(
    _ kind: ObjectKind, _ id: Digest, _ bytes: UnsafeRawBufferPointer
  ) throws(StoreError) {
    if !builder.hasRoom(for: bytes.count) { try sealFrame() }
    if !builder.hasRoom(for: bytes.count) {
      guard bytes.count <= Int(FrameHeader.maxRawBytes) else {
        throw StoreError(
          .refused, "\(kind.noun) \(id.shortHex)",
          "has \(bytes.count) bytes, more than an object may have (16 MiB)")
      }
      builder.grow(for: bytes.count)
    }
    builder.add(kind, id, bytes)
    if builder.isFull { try sealFrame() }
  }

  public func add(_ kind: ObjectKind, _ id: Digest, _ bytes: [UInt8]) throws(StoreError) {
    var failure: StoreError?
    bytes.withUnsafeBytes { buffer in
      do throws(StoreError) { try add(kind, id, buffer) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  /// Compresses what is in the frame under way.
  func flush() throws(StoreError) {
    if !builder.isEmpty { try compress(builder) }
    builder.clear()
  }

  private func sealFrame() throws(StoreError) {
    if session.handOver(builder) {
      builder = session.emptyBuilder()
    } else {
      try compress(builder)
      builder.clear()
    }
  }

  private func compress(_ frame: FrameBuilder) throws(StoreError) {
    try encoder.encode(frame) { (header, payload) throws(StoreError) in
      try session.packs.append(header, payload, raw: frame.count, objects: frame.objects)
    }
  }

  func helpUntilDone() throws(StoreError) {
    while let frame = session.nextFrame() {
      try compress(frame)
      session.recycle(frame)
    }
  }
}
