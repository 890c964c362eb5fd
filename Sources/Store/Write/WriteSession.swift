// Adds objects to the store (docs/format.md, "Commit"). The order of the steps is the guarantee:
//
//     frames → pack synced → pack renamed to its SHA-256 → packs/ synced → index → ref created
//
// 1. A ref is created only after every object that its snapshot reaches is durable.
// 2. A session that fails or dies leaves complete packs and files in tmp/. They cost space, and nothing else.
// 3. A thread whose frame is full hands it to a waiting thread, or compresses it itself if none waits. So
//    there is at most one full frame a thread, and one large file still uses all processors.
// 4. The session holds the lease under which its store was opened (Lease.swift). The objects that it found
//    there stay until it ends, even if gc runs concurrently.

import Platform

/// Parameters for storing objects.
public struct StoreTuning: Sendable {
  /// The zstd level of new frames.
  public var level: Int32 = 2
  /// log2 of the number of entries of zstd's match table. 15 fits the first-level cache: 10 % faster than
  /// the level's default of 16, for 0.7 % more bytes (docs/performance.md).
  public var hashLog: Int32? = 15
  /// The greatest depth of new frames (`FrameBase`); 0 for frames without bases. Each level costs readers one
  /// more frame to decode.
  public var maxDepth: UInt8 = 3
  /// Whether frames with a base may contain differences, which suit programs. Without them, a frame has the
  /// form that stores of version 3 have.
  public var usesDifferences = true
  /// The number of threads that read, hash and compress.
  public var workers = max(1, processorCount)
  /// Creates the default parameters.
  public init() {}
}

/// A session that adds objects. Any thread may use it, through a `SessionWorker` of its own.
public final class WriteSession: Sendable {
  let layout: Layout
  let index: Index
  let dedup: DedupFilter
  let packs: PackWriter
  let bases: BaseReader
  /// The parameters of the session.
  public let tuning: StoreTuning
  private let lease: Lease

  /// Full frames between threads: the threads that wait for one, the frames, and builders to reuse.
  private struct Exchange {
    var waiting = 0
    var frames: [FrameBuilder] = []
    var producers: Int
    var spare: [FrameBuilder] = []
    var failed = false
  }
  private let exchange: Monitor<Exchange>

  /// The state of making the packs durable. The result of an ended session is final.
  private enum FinishState {
    case notStarted
    case running
    case ended(Result<Void, StoreError>)
  }
  private let finishState = Monitor(FinishState.notStarted)

  init(
    _ layout: Layout, _ index: Index, _ lease: Lease, tuning: StoreTuning,
    allowed: AllowedObjects? = nil
  ) throws(StoreError) {
    self.layout = layout
    self.index = index
    self.tuning = tuning
    dedup = DedupFilter(index, allowed: allowed)
    packs = PackWriter(layout, index)
    bases = BaseReader(index, maxDepth: tuning.maxDepth)
    exchange = Monitor(Exchange(producers: 0))
    self.lease = lease
    try mapSystemErrors(layout.name) { () throws(SystemError) in _ = try TemporaryFile.sweep(layout)
    }
  }

  deinit { packs.abandon() }

  /// Returns the number of bytes that this session has added to packs so far.
  public var writtenBytes: UInt64 { packs.writtenBytes }

  /// Runs `body` on the session's threads, each with a worker of its own, and completes their frames.
  /// - Throws: the first error of a thread; the others stop soon after it (`SessionWorker.shouldStop`).
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

  /// Runs `body` on one of the session's threads, while the others compress the frames that it fills.
  /// - Throws: errors of `body`; `StoreError`.
  public func runOnce<R>(_ body: @escaping @Sendable (SessionWorker) throws -> R) throws -> R {
    let isTaken = Monitor(false)
    let result = Monitor<R?>(nil)
    try run { worker in
      let isFirst = isTaken.withLock { isTaken in
        defer { isTaken = true }
        return !isTaken
      }
      guard isFirst else { return }
      let value = try body(worker)
      result.withLock { $0 = value }
    }
    guard let value = result.withLock({ $0 }) else { preconditionFailure("no thread ran the body") }
    return value
  }

  /// Runs `body` on this thread with a worker, and completes its frame.
  /// - Throws: errors of `body`; `StoreError`.
  public func withWorker<R>(_ body: (SessionWorker) throws -> R) throws -> R {
    let worker = SessionWorker(self)
    let result = try body(worker)
    try worker.flush()
    return result
  }

  /// Starts to make everything durable on another thread. Nothing may be added afterwards; `finish` waits
  /// for the result.
  public func beginFinish() {
    finishState.withLock { finishState in
      guard case .notStarted = finishState else { preconditionFailure("a session ends once") }
      finishState = .running
    }
    if (try? startDetachedThread { self.end() }) == nil { end() }
  }

  private func end() {
    let result = Result { () throws(StoreError) in try makeDurable() }
    finishState.update { $0 = .ended(result) }
  }

  /// Makes everything durable and adds it to the index. Nothing may be added afterwards.
  /// - Throws: `StoreError` if a pack cannot be written, or the index cannot be changed.
  public func finish() throws(StoreError) {
    let isMine = finishState.withLock { finishState in
      guard case .notStarted = finishState else { return false }
      finishState = .running
      return true
    }
    if isMine { end() }
    try finishState.wait { if case .ended(let result) = $0 { result } else { nil } }.get()
    let finished = packs.packs
    if !finished.isEmpty { try index.insert(finished) }
  }

  private func makeDurable() throws(StoreError) {
    try packs.finishLast()
    if packs.packs.isEmpty { return }
    try mapSystemError("the directory packs/", try layout.fileSystem.sync(layout.packs.raw))
  }

  // MARK: Frames between threads

  func emptyBuilder() -> FrameBuilder {
    exchange.withLock { $0.spare.popLast() } ?? FrameBuilder()
  }

  func recycle(_ builder: FrameBuilder) {
    builder.clear()
    exchange.withLock { $0.spare.append(builder) }
  }

  /// Hands a full frame to a waiting thread; false if no thread waits.
  func dispatch(_ builder: FrameBuilder) -> Bool {
    exchange.update { state in
      guard state.waiting > state.frames.count else { return false }
      state.frames.append(builder)
      return true
    }
  }

  /// Returns the next frame to compress; nil if no thread can produce another.
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
