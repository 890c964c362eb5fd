// The frames of a session on their way into packs: verified on several threads, then appended one at a time.
//
// 1. No object reaches a pack under a name that its bytes do not have, except recipes, which are named by
//    their blobs. A frame is decoded for that, unless its pack on this machine is sound (PackChecksums.swift).
// 2. At most `maxWaitingFrames` frames wait, so memory is bounded.
// 3. After the first error nothing more is appended, and every later call throws it.
// 4. With one request at a time, everything happens on the caller's thread.
// 5. A frame that repeats recipes which arrived before has them as chunks: so recipes are in frames of their
//    own, and reading them does not mean reading the content of files.
// 6. A frame with a base keeps it only if the session may count on all of the base, and gets the depth that
//    it has in the depot. Otherwise, and if its chain or its base would be longer than those of snapshots, it
//    is stored without.

import Codec
import Platform
import Store

/// Builds the packs of one session. Any thread may call its methods.
final class SessionPacks: Sendable {
  private struct Content {
    var builder: PackBuilder
    /// The objects of this session that are not in the index yet, with the least depth of their frames.
    var pending: [ObjectName: UInt8] = [:]
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
  private let listing: PackListing
  private let uploads: PackUploads
  /// Decodes frames whose bases the store of this machine has.
  private let localDecoder: FrameDecoder?
  /// The copies that the session may count on, its own up to the last flush included.
  private let usable = Monitor<PresentCopies?>(nil)
  private let content: Monitor<Content>
  private let queue = Monitor(Queue())
  private let isThreaded: Bool
  private static let maxWaitingFrames = 8
  private static let maxRecipeBytes = 128 << 20

  /// - Parameter listing: the packs when the session had registered (invariant 3 of `Depot`).
  init(_ depot: Depot, id: WriterID, _ listing: PackListing, uploads: PackUploads) throws {
    (self.depot, self.id, self.listing, self.uploads) = (depot, id, listing, uploads)
    localDecoder = depot.options.localStore.map { FrameDecoder(store: $0) }
    content = Monitor(Content(builder: PackBuilder(depot.options, writer: id)))
    isThreaded = depot.options.requestCount > 1
    guard isThreaded else { return }
    for _ in 0..<min(processorCount, 4) { try startDetachedThread { [self] in work() } }
  }

  // MARK: Frames

  /// Adds a frame, now or soon.
  /// - Throws: `damaged` if an object of this or an earlier frame has other bytes than its id says;
  ///   `StorageError`.
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

  private func accept(_ sent: RawFrame) throws {
    let hasRecipes = sent.header.objects.contains { $0.kind == .recipe }
    let decoded = !hasRecipes && sent.isFromSoundPack() ? nil : try verify(sent)
    let frame = try adjusted(sent, decoded)
    try content.withLock { content in
      note(frame, in: &content)
      var stored = frame
      if hasRecipes, let decoded {
        let isRepetition = try noteRecipes(frame, decoded, in: &content)
        if isRepetition, frame.header.objects.contains(where: { $0.kind != .recipe }) {
          stored = try frame.namingRecipesAsChunks(decoded)
        }
      }
      try content.builder.append(stored)
      if content.builder.isFull { try finishPack(&content) }
    }
  }

  private func verify(_ frame: RawFrame) throws -> DecodedFrame {
    func damaged(_ reason: String) -> DepotError {
      DepotError(
        .damaged, "a frame for \(depot.name)", "is damaged: \(reason)",
        hint: "Run 'imgstore verify --deep' here")
    }
    let decoder = localDecoder ?? depot.decoder
    do throws(CodecError) { return try decoder.verify(frame) } catch {
      guard let base = frame.header.base else { throw damaged("\(error)") }
      // The store of this machine may lack the base, which the depot has.
      do {
        let location = FrameLocation(pack: .none, offset: 0, frameBytes: 0, depth: .max)
        let prefix = try FrameReader(depot, usableCopies()).prefix(of: base, at: location)
        let decoded = try prefix.withUnsafeBytes { try depot.decoder.decode(frame, base: $0) }
        try FrameDecoder.verify(decoded)
        return decoded
      } catch let error as DamagedFrameError {
        throw damaged(error.reason)
      } catch let error as CodecError {
        throw damaged("\(error)")
      } catch is VanishedPackError {
        throw damaged("its base vanished from the depot")
      }
    }
  }

  /// Returns a frame as it is stored in the depot (invariant 6).
  /// - Parameter decoded: the decoded frame; nil for one that need not be decoded.
  private func adjusted(_ frame: RawFrame, _ decoded: DecodedFrame?) throws -> RawFrame {
    guard let base = frame.header.base else { return frame }
    var depth: UInt8 = 1
    for chunk in base.chunks {
      guard let below = try usableDepth(chunk) else {
        return try FrameRepacker.withoutBase(decoded ?? verify(frame))
      }
      depth = max(depth, FrameBase.depth(above: below))
    }
    guard depth <= StoreTuning().maxDepth, base.sizeBytes <= FrameBuilder.maxBaseBytes else {
      return try FrameRepacker.withoutBase(decoded ?? verify(frame))
    }
    return depth == base.depth ? frame : try frame.withDepth(depth)
  }

  /// Returns the depth at which the session may count on a chunk of a base; nil if it may not.
  private func usableDepth(_ chunk: FrameBase.Chunk) throws -> UInt8? {
    let name = ObjectName(kind: .chunk, id: chunk.id)
    if let depth = content.withLock({ $0.pending[name] }) { return depth }
    guard let copy = try usableCopies().copy(of: name), copy.length == chunk.length else {
      return nil
    }
    return copy.depth
  }

  /// Records the objects of a frame.
  private func note(_ frame: RawFrame, in content: inout Content) {
    let depth = frame.header.base?.depth ?? 0
    for object in frame.header.objects {
      let name = ObjectName(kind: object.kind, id: object.id)
      content.pending[name] = min(depth, content.pending[name] ?? depth)
    }
  }

  /// Records the recipes of a frame.
  /// - Returns: whether all of them arrived before.
  private func noteRecipes(
    _ frame: RawFrame, _ decoded: DecodedFrame, in content: inout Content
  ) throws -> Bool {
    var (repeated, new) = (0, 0)
    for object in frame.header.objects where object.kind == .recipe {
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
    content.withLock { $0.pending = [:] }
    usable.withLock { $0 = nil }
  }

  // MARK: Queries

  /// Returns true if the session may count on a pack: a usable one of its listing, or its own.
  func isUsable(_ pack: DepotPack) -> Bool {
    listing.isUsable(pack) || content.withLock { $0.packs.contains(pack) }
  }

  /// Returns the copies that the session may count on.
  func usableCopies() -> PresentCopies {
    usable.withLock { usable in
      if let usable { return usable }
      let new = PresentCopies(depot, listing) { [weak self] in self?.isUsable($0.pack) ?? false }
      usable = new
      return new
    }
  }

  /// Returns true if the object was appended and is not indexed yet.
  func isPending(_ name: ObjectName) -> Bool { content.withLock { $0.pending[name] != nil } }

  /// Returns a recipe that was appended.
  func recipe(of blob: Digest) -> [UInt8]? { content.withLock { $0.recipes[blob] } }
}
