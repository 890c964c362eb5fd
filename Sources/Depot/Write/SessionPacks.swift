// The frames of a session on their way into packs: verified on several threads, then appended one at a time.
//
// 1. No object reaches a pack under a name that its bytes do not have, except recipes, which are named by their blobs.
// 2. At most `maxWaitingFrames` frames wait, so memory is bounded.
// 3. After the first error nothing more is appended, and every later call throws it.
// 4. With one request at a time, everything happens on the caller's thread.
// 5. A frame that repeats recipes which arrived before has them as chunks: so recipes are in frames of their own, and
//    reading them does not mean reading the content of files.

import Codec
import Platform
import Store

/// Builds the packs of one session. Any thread may call its methods.
final class SessionPacks: Sendable {
  private struct Content {
    var builder: PackBuilder
    /// The objects of this session that are not in the index yet.
    var pending: Set<ObjectName> = []
    var packs: Set<DepotPack> = []
    var newDirectories: [PackDirectory] = []
    var recipes: [Digest: [UInt8]] = [:]
    var recipeBytes = 0
  }

  private struct Queue {
    var waiting: [RawFrame] = []
    var runningCount = 0
    var failure: (any Error)?
    var isClosed = false
  }

  private let depot: Depot
  private let id: WriterID
  private let uploads: PackUploads
  private let content: Monitor<Content>
  private let queue = Monitor(Queue())
  private let isThreaded: Bool
  private static let maxWaitingFrames = 8
  private static let maxRecipeBytes = 128 << 20

  init(_ depot: Depot, id: WriterID, uploads: PackUploads) throws {
    (self.depot, self.id, self.uploads) = (depot, id, uploads)
    content = Monitor(Content(builder: PackBuilder(depot.options, writer: id)))
    isThreaded = depot.options.requestCount > 1
    guard isThreaded else { return }
    for _ in 0..<min(processorCount, 4) { try startDetachedThread { [self] in work() } }
  }

  // MARK: Frames

  /// Adds a frame, now or soon.
  /// - Throws: `damaged` if an object of this or an earlier frame has other bytes than its id says; `StorageError`.
  func append(_ frame: RawFrame) throws {
    guard isThreaded else { return try accept(frame) }
    let failure = queue.wait { queue -> (any Error)?? in
      if let failure = queue.failure { return .some(failure) }
      return queue.waiting.count < SessionPacks.maxWaitingFrames ? .some(nil) : nil
    }
    if let failure { throw failure }
    queue.update { $0.waiting.append(frame) }
  }

  /// Waits until all frames are appended.
  func wait() throws {
    let failure = queue.wait { queue -> (any Error)?? in
      if let failure = queue.failure { return .some(failure) }
      return queue.waiting.isEmpty && queue.runningCount == 0 ? .some(nil) : nil
    }
    if let failure { throw failure }
  }

  /// Ends the threads.
  func close() {
    queue.update { queue in
      queue.isClosed = true
      queue.waiting = []
    }
    uploads.close()
  }

  private func work() {
    while true {
      let next = queue.wait { queue -> RawFrame?? in
        if queue.isClosed || queue.failure != nil { return .some(nil) }
        guard !queue.waiting.isEmpty else { return nil }
        queue.runningCount += 1
        return queue.waiting.removeFirst()
      }
      guard let next else { return }
      queue.update { _ in }
      let result = Result { try accept(next) }
      queue.update { queue in
        queue.runningCount -= 1
        if case .failure(let error) = result, queue.failure == nil { queue.failure = error }
      }
    }
  }

  private func accept(_ frame: RawFrame) throws {
    let decoded: DecodedFrame
    do throws(CodecError) { decoded = try depot.decoder.verify(frame) } catch {
      throw DepotError(
        .damaged, "a frame for \(depot.name)", "is damaged: \(error)",
        hint: "Run 'imgstore verify --deep' here")
    }
    try content.withLock { content in
      let repeatsRecipes = try note(frame, decoded, in: &content)
      let stored =
        try repeatsRecipes && frame.header.objects.contains { $0.kind != .recipe }
        ? frame.namingRecipesAsChunks(decoded) : frame
      try content.builder.append(stored)
      if content.builder.isFull { try finishPack(&content) }
    }
  }

  /// Records the objects of a frame.
  /// - Returns: whether it has recipes, all of which arrived before.
  private func note(
    _ frame: RawFrame, _ decoded: DecodedFrame, in content: inout Content
  ) throws -> Bool {
    var (repeated, new) = (0, 0)
    for object in frame.header.objects {
      content.pending.insert(ObjectName(kind: object.kind, id: object.id))
      guard object.kind == .recipe else { continue }
      let bytes = decoded.withBytes(start: object.start, length: object.length) { [UInt8]($0) }
      if content.recipes[object.id] == bytes { repeated += 1 } else { new += 1 }
      guard content.recipes[object.id] == nil else { continue }
      content.recipes[object.id] = bytes
      content.recipeBytes += object.length
    }
    guard content.recipeBytes <= SessionPacks.maxRecipeBytes else {
      throw DepotError(
        .failed, "the push to \(depot.name)", "has more recipes than memory should hold")
    }
    return repeated > 0 && new == 0
  }

  private func finishPack(_ content: inout Content) throws {
    guard !content.builder.isEmpty else { return }
    let pack = content.builder.finish()
    content.builder = PackBuilder(depot.options, writer: id)
    content.packs.insert(pack.directory.pack)
    content.newDirectories.append(pack.directory)
    try uploads.add(pack)
  }

  /// Uploads everything that was appended, and indexes it.
  func flush() throws {
    try wait()
    let directories = try content.withLock { content in
      try finishPack(&content)
      defer { content.newDirectories = [] }
      return content.newDirectories
    }
    try uploads.finish()
    try depot.index.add { add in for directory in directories { try add(directory) } }
    depot.noteUploaded(directories)
    content.withLock { $0.pending = [] }
  }

  // MARK: Queries

  /// Returns true if the pack belongs to the session.
  func contains(_ pack: DepotPack) -> Bool { content.withLock { $0.packs.contains(pack) } }

  /// Returns true if the object was appended and is not indexed yet.
  func isPending(_ name: ObjectName) -> Bool { content.withLock { $0.pending.contains(name) } }

  /// Returns a recipe that was appended.
  func recipe(of blob: Digest) -> [UInt8]? { content.withLock { $0.recipes[blob] } }
}
