// The bounded cache of rendered files.
//
// 1. A file is made once: requests for it share one rendering, and are served while it grows. It is published
//    complete, with its size and its SHA-256. From then on it needs no store.
//    The checksum of a first rendering is computed after its last byte was sent, from the file. Until then
//    answers have no entity tag.
// 2. The record of a file outlives it. A later rendering has to give the same bytes; if it does not, its clients see
//    their connection end early, and the record is dropped.
// 3. A rendering that has begun is finished even if its clients are gone: nodes come back.
// 4. The cache stays below its limit: the least recently used files are removed first. Open descriptors keep a
//    removed file readable. A part of the disk always stays free.
// 5. At most so many renderings run at once, and so many wait. More requests are refused, with a time to come back.

import Codec
import HTTPServer
import Images
import Platform

/// A cache of rendered files. Any thread may call it.
public final class RenderedFiles: Sendable {
  /// The bounds of a cache.
  public struct Limits: Sendable {
    /// The largest size of all files.
    public var sizeBytes: UInt64 = 32 << 30
    /// The space of the file system that is never used.
    public var reservedBytes: UInt64 = 1 << 30
    /// The number of renderings that run at once.
    public var renderings = 2
    /// The number of renderings that wait.
    public var waiting = 16
    /// The number of compressing threads of a rendering.
    public var threads = processorCount
    /// Creates the usual bounds.
    public init() {}
  }

  /// The numbers of a cache, for metrics.
  public struct Counts: Sendable, Equatable {
    /// Requests for files that were complete.
    public var hits: UInt64 = 0
    /// Requests that began a rendering.
    public var misses: UInt64 = 0
    /// Requests that joined a rendering.
    public var shared: UInt64 = 0
    /// Requests that were refused because too many renderings wait.
    public var refused: UInt64 = 0
    public var failed: UInt64 = 0
    public var evicted: UInt64 = 0
    public var files = 0
    public var sizeBytes: UInt64 = 0
    /// Renderings that run or wait.
    public var renderings = 0
  }

  /// A complete file.
  struct Complete: Sendable {
    let descriptor: Descriptor
    let record: RenderedRecord
  }

  /// What a request is served from.
  enum Content: Sendable {
    case complete(Complete)
    /// A file that is being made, and its record if it has one.
    case growing(GrowingFile, RenderedRecord?)
    /// Too many renderings wait.
    case busy(retrySeconds: Int)
  }

  struct Entry {
    let sizeBytes: UInt64
    var used: UInt64
    var touched: Double
  }

  struct State {
    var entries: [Digest: Entry] = [:]
    var jobs: [Digest: RenderingJob] = [:]
    var queue: [RenderingJob] = []
    var running = 0
    var clock: UInt64 = 0
    var counts = Counts()
    var isStopping = false

    mutating func nextTick() -> UInt64 {
      clock += 1
      return clock
    }
  }

  let directory: RenderedDirectory
  let limits: Limits
  let state: Monitor<State>
  let warn: @Sendable (String) -> Void
  private static let retrySeconds = 20
  private static let touchSeconds = 60.0

  /// Opens a cache in a directory of its own, and creates the directory if it is missing.
  /// - Parameter warn: receives warnings, one line each.
  /// - Throws: `ImageError`: `busy` if another server uses the directory, `accessDenied` if others can write to it;
  ///   `SystemError`.
  public init(
    directory path: String, limits: Limits = Limits(),
    fileSystem: any FileSystem = KernelFileSystem.shared,
    warn: @escaping @Sendable (String) -> Void
  ) throws {
    directory = try RenderedDirectory(path, on: fileSystem)
    self.limits = limits
    self.warn = warn
    var state = State()
    for (key, size) in try directory.list() {
      state.entries[key] = Entry(sizeBytes: size, used: state.nextTick(), touched: 0)
    }
    self.state = Monitor(state)
    evict(for: 0)
  }

  /// The numbers since the cache was opened, and its present size.
  public var counts: Counts {
    state.withLock { state in
      var counts = state.counts
      counts.files = state.entries.count
      counts.sizeBytes = state.entries.values.reduce(0) { $0 + $1.sizeBytes }
      counts.renderings = state.jobs.count
      return counts
    }
  }

  /// Ends all renderings with a failure, and refuses new ones.
  public func stop() {
    let waiting = state.update { state -> [RenderingJob] in
      state.isStopping = true
      defer { state.queue = [] }
      for job in state.queue { state.jobs[job.key] = nil }
      return state.queue
    }
    for job in waiting { job.growing.report(.failed) }
  }

  /// Returns the record of a file; nil if it was not rendered yet.
  func record(_ key: Digest) -> RenderedRecord? { directory.record(key) }

  /// Returns what a request for a file is served from. Begins its rendering if necessary.
  /// - Throws: `ImageError` (`noSpace`); `SystemError`.
  func content(_ rendering: FileRendering) throws -> Content {
    let key = rendering.key.digest
    if let complete = complete(key) { return .complete(complete) }
    let record = directory.record(key) ?? rendering.record
    let (content, starts) = try state.update { state throws -> (Content, Bool) in
      if let job = state.jobs[key] {
        state.counts.shared += 1
        return (.growing(job.growing, job.record), false)
      }
      let hasPlace = state.running < limits.renderings || state.queue.count < limits.waiting
      guard !state.isStopping, hasPlace else {
        state.counts.refused += 1
        return (.busy(retrySeconds: RenderedFiles.retrySeconds), false)
      }
      let file = try directory.newFile()
      let job = RenderingJob(
        rendering: rendering, file: file.file, temporaryName: file.name, record: record)
      state.jobs[key] = job
      state.queue.append(job)
      state.counts.misses += 1
      guard state.running < limits.renderings else { return (.growing(job.growing, record), false) }
      state.running += 1
      return (.growing(job.growing, record), true)
    }
    if starts { startRunner() }
    return content
  }

  /// Opens a complete file, and notes its use.
  private func complete(_ key: Digest) -> Complete? {
    let now = monotonicSeconds()
    let (isKnown, touches) = state.withLock { state -> (Bool, Bool) in
      guard var entry = state.entries[key] else { return (false, false) }
      entry.used = state.nextTick()
      let touches = entry.touched == 0 || now - entry.touched > RenderedFiles.touchSeconds
      if touches { entry.touched = now }
      state.entries[key] = entry
      return (true, touches)
    }
    guard isKnown else { return nil }
    guard let file = directory.open(key), let record = directory.record(key) else {
      // Somebody removed it.
      state.withLock { $0.entries[key] = nil }
      return nil
    }
    if touches { directory.touch(key, WallClock.system.now()) }
    state.withLock { $0.counts.hits += 1 }
    return Complete(descriptor: file, record: record)
  }

  /// Removes files until `newBytes` more fit: below the limit, and on the disk.
  func evict(for newBytes: UInt64) {
    while true {
      let free = (try? directory.freeBytes()) ?? .max
      let victim = state.withLock { state -> Digest? in
        let used = state.entries.values.reduce(0) { $0 + $1.sizeBytes }
        let isFull = used &+ newBytes > limits.sizeBytes
        guard used > 0, isFull || free < newBytes &+ limits.reservedBytes,
          let oldest = state.entries.min(by: { $0.value.used < $1.value.used })
        else { return nil }
        state.entries[oldest.key] = nil
        state.counts.evicted += 1
        return oldest.key
      }
      guard let victim else { return }
      directory.remove(victim)
    }
  }
}
