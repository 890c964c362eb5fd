// Receives objects from outside: another store, a depot, a thin bundle. Nothing that arrives is trusted.
//
// 1. No object reaches a pack under a name that its bytes do not have. A frame with one wrong object is
//    refused as a whole.
// 2. A recipe is named by its blob, so only the bytes of the blob can verify it. A frame goes into a pack with
//    its recipes named as chunks, by their own SHA-256: its payload needs no new compression, and the pack
//    can be published at once. When everything else has arrived, the blobs are read and hashed, and the
//    recipes go into a pack of their own. So no wrong recipe is ever in the store, even for a moment.
// 3. Complete packs are published while more arrives. After an interruption they are found, and their objects
//    are not requested again.
// 4. Frames are verified on several threads, and then written and hashed in the order in which they arrived. The
//    thread that fills a pack syncs and publishes it, while others go on.
// 5. A frame with a base arrives only if the store has the base. It is stored with the depth that it has
//    here. If one of its objects is in the store already, but not usable, it is stored without a base: the
//    copy of least depth is read (FrameBase.swift). So is a frame whose chain or base would be longer than
//    those of snapshots.
// 6. Memory: a few frames, and the recipes (34 bytes for each chunk of the blobs that arrive).

import Codec
import Platform

/// A session that receives frames. One thread appends; others verify.
public final class IncomingObjects: Sendable {
  /// A pack of received frames is published when it has this size.
  static let packBytes: UInt64 = 32 << 20
  private static let maxWaitingFrames = 8
  private static let maxRecipeBytes = 256 << 20

  /// A frame that was verified.
  private struct Verified {
    let frame: RawFrame
    let decoded: DecodedFrame
  }

  private struct State {
    var waiting: [(number: Int, frame: RawFrame)] = []
    var verified: [Int: Verified] = [:]
    var appendedCount = 0
    var storedCount = 0
    var isStoring = false
    /// The full packs that are being synced and published.
    var finishingCount = 0
    var failure: (any Error)?
    var isClosed = false
    var received: Set<ObjectName> = []
    /// The objects of the last `publish`, which are in packs and in the index.
    var published: Set<ObjectName> = []
    var recipes: [Digest: [UInt8]] = [:]
    var recipeBytes = 0
    var receivedBytes: UInt64 = 0
  }

  private let store: ObjectStore
  private let source: String
  private let lease: Lease
  private let state = Monitor(State())
  private let packs: Monitor<PackWriter>
  private let decoder: FrameDecoder
  private let passing: Monitor<PassingBlobs>

  /// Starts a session.
  /// - Parameter source: what the bytes come from, for messages.
  /// - Throws: `refused` if the store is read-only; `system`.
  public init(_ store: ObjectStore, from source: String) throws {
    try store.layout.requireWritable("the store")
    self.store = store
    self.source = source
    decoder = FrameDecoder(store: store)
    lease = store.lease
    packs = Monitor(IncomingObjects.newWriter(store))
    passing = Monitor(PassingBlobs(store))
    try mapSystemErrors(store.layout.name) { () throws(SystemError) in
      _ = try TemporaryFile.sweep(store.layout)
    }
    // One more than processors: one thread may wait for the disk.
    for _ in 0..<min(processorCount + 1, 4) { try startDetachedThread { [self] in verifyFrames() } }
  }

  private static func newWriter(_ store: ObjectStore) -> PackWriter {
    PackWriter(store.layout, store.index, targetBytes: packBytes)
  }

  /// The number of bytes of the frames that were appended.
  public var receivedBytes: UInt64 { state.withLock { $0.receivedBytes } }

  /// Returns the objects that the store lacks, in their order.
  ///
  /// A recipe whose parts are not all present counts as lacking: no snapshot protects it.
  /// - Throws: `StoreError`.
  public func missing(_ names: [ObjectName]) throws -> [ObjectName] {
    let received = state.withLock { $0.received }
    return try store.withReadTransaction {
      try names.filter { name in
        if received.contains(name) { return false }
        return try !store.isUsable(name)
      }
    }
  }

  /// Returns the blobs whose content the store lacks, at least in part, in their order.
  /// - Throws: `StoreError`.
  public func missingBlobs(_ blobs: [Digest]) throws -> [Digest] {
    try store.withReadTransaction { try blobs.filter { try !store.isUsable(blob: $0) } }
  }

  /// Returns the objects that the store needs before it may have a ref of the snapshot, and lacks, like
  /// `ObjectStore.missingObjects`. Objects that were published just now need no query.
  /// - Throws: `StoreError` if a directory or recipe cannot be read.
  public func missingObjects(
    of snapshot: Snapshot, bases: [Snapshot]
  ) throws -> [ObjectName] {
    let published = state.withLock { $0.published }
    return try store.missingObjects(of: snapshot, bases: bases, except: published)
  }

  /// Receives a frame. Waits while too many frames are being verified.
  /// - Throws: `damaged` for this frame or an earlier one; `StoreError` if a pack cannot be written.
  public func append(_ frame: RawFrame) throws {
    let failure = state.wait { state -> (any Error)?? in
      if let failure = state.failure { return .some(failure) }
      guard state.appendedCount - state.storedCount < IncomingObjects.maxWaitingFrames else {
        return nil
      }
      return .some(nil)
    }
    if let failure { throw failure }
    state.update { state in
      state.waiting.append((state.appendedCount, frame))
      state.appendedCount += 1
      state.receivedBytes += UInt64(frame.bytes.count)
    }
  }

  /// Makes everything that has arrived durable and findable, the recipes last.
  /// - Throws: `damaged` if a frame or a recipe is wrong; `StoreError` if a pack cannot be written.
  public func publish() throws {
    try waitForFrames()
    try publishPacks()
    // A plan may read blobs that other recipes make, so each round stores what the next one needs.
    var recipes = state.withLock { $0.recipes }
    let verified = passing.withLock { $0.verified }
    while !recipes.isEmpty {
      let check = RecipeCheck(store: store, recipes: recipes, source: source)
      let ready = try check.ready()
      try check.run(ready.filter { !verified.contains($0) })
      let repacker = FrameRepacker()
      let writer = packs.withLock { $0 }
      func write(_ frame: RawFrame) throws {
        if let full = try IncomingObjects.write(frame, to: writer) { try writer.finish(full) }
      }
      for blob in ready {
        try recipes.removeValue(forKey: blob)?.withUnsafeBytes {
          try repacker.add(.recipe, blob, $0, write)
        }
      }
      try repacker.finish(write)
      try publishPacks()
    }
    state.update { state in
      state.published = state.received
      state.received = []
      state.recipes = [:]
      state.recipeBytes = 0
    }
    passing.withLock { $0.reset() }
  }

  /// Ends the session. Packs that are complete stay, the last one too: its objects need not be sent again.
  public func end() {
    if (try? waitForFrames()) != nil { try? publishPacks() }
    state.update { $0.isClosed = true }
    packs.withLock { $0.abandon() }
  }

  // MARK: Frames

  private func waitForFrames() throws {
    let failure = state.wait { state -> (any Error)?? in
      if let failure = state.failure { return .some(failure) }
      return state.storedCount == state.appendedCount && state.finishingCount == 0
        ? .some(nil) : nil
    }
    if let failure { throw failure }
  }

  private func publishPacks() throws {
    let writer = packs.withLock { $0 }
    try writer.finishLast()
    let finished = writer.packs
    packs.withLock { $0 = IncomingObjects.newWriter(store) }
    if finished.isEmpty { return }
    try mapSystemError(
      "the directory packs/", try store.layout.fileSystem.sync(store.layout.packs.raw))
    try store.index.insert(finished)
  }

  private func verifyFrames() {
    while true {
      let next = state.wait { state -> (number: Int, frame: RawFrame)?? in
        if state.isClosed || state.failure != nil { return .some(nil) }
        return state.waiting.isEmpty ? nil : .some(state.waiting.removeFirst())
      }
      guard let (number, frame) = next else { return }
      do {
        let decoded = try verify(frame)
        let local = try adjusted(frame, decoded)
        let verified = Verified(frame: local, decoded: decoded)
        state.update { $0.verified[number] = verified }
        try storeVerified()
      } catch {
        state.update { state in
          if state.failure == nil { state.failure = error }
        }
        return
      }
    }
  }

  private func verify(_ frame: RawFrame) throws -> DecodedFrame {
    do throws(CodecError) { return try decoder.verify(frame) } catch {
      throw StoreError(
        .damaged, "a frame from \(source)", "\(error)",
        hint: "Run the command again. If the error stays, run 'imgstore verify --deep' there")
    }
  }

  /// Returns a frame with a base as it is stored here (invariant 5).
  /// - Throws: `damaged` if the base is not in packs that stay.
  private func adjusted(_ frame: RawFrame, _ decoded: DecodedFrame) throws -> RawFrame {
    guard let base = frame.header.base else { return frame }
    var depth: UInt8 = 1
    for chunk in base.chunks {
      guard try store.index.keeps(.chunk, chunk.id),
        let location = try store.index.keptLocation(.chunk, chunk.id)
      else {
        throw StoreError(
          .damaged, "a frame from \(source)",
          "is based on chunk \(chunk.id.shortHex), which is not here",
          hint: "Run the command again")
      }
      depth = max(depth, FrameBase.depth(above: location.depth))
    }
    let isNew = try frame.header.objects.allSatisfy {
      try store.index.location($0.kind, $0.id) == nil
    }
    // Chains and bases are as short here as those of snapshots, whatever the other side sends.
    if isNew, depth <= StoreTuning().maxDepth, base.sizeBytes <= FrameBuilder.maxBaseBytes {
      return depth == base.depth
        ? frame
        : try mapCodecErrors("a frame from \(source)") {
          () throws(CodecError) in try frame.withDepth(depth)
        }
    }
    return try FrameRepacker.withoutBase(decoded)
  }

  /// Stores the frames that are next, unless another thread does so.
  private func storeVerified() throws {
    while true {
      let next = state.withLock { state -> Verified? in
        guard !state.isStoring, let next = state.verified.removeValue(forKey: state.storedCount)
        else { return nil }
        state.isStoring = true
        return next
      }
      guard let next else { return }
      let result = Result { try accept(next.frame, next.decoded) }
      state.update { state in
        state.isStoring = false
        guard case .success(let full) = result else { return }
        state.storedCount += 1
        if full != nil { state.finishingCount += 1 }
      }
      if let full = try result.get() { try finish(full) }
    }
  }

  /// Syncs and publishes a full pack.
  private func finish(_ full: FullPack) throws {
    defer { state.update { $0.finishingCount -= 1 } }
    do { try full.writer.finish(full.pack) } catch {
      state.update { $0.failure = $0.failure ?? error }
      throw error
    }
  }

  /// Writes a verified frame.
  /// - Returns: the pack that it fills; nil if it fills none.
  private func accept(_ frame: RawFrame, _ decoded: DecodedFrame) throws -> FullPack? {
    var recipes: [Digest: [UInt8]] = [:]
    var objects: [(kind: ObjectKind, id: Digest, length: Int)] = []
    passing.withLock { passing in
      for object in frame.header.objects {
        decoded.withBytes(start: object.start, length: object.length) { bytes in
          switch object.kind {
          case .recipe:
            let copy = [UInt8](bytes)
            recipes[object.id] = copy
            passing.add(object.id, recipe: copy)
            objects.append((.chunk, SHA256.digest(of: copy), object.length))
          case .chunk:
            passing.pass(object.id, bytes)
            objects.append((object.kind, object.id, object.length))
          case .tree, .times, .xattrs, .holes:
            objects.append((object.kind, object.id, object.length))
          }
        }
      }
    }
    try note(frame, recipes)
    let hasOnlyRecipes = recipes.count == frame.objectCount
    if hasOnlyRecipes { return nil }
    let writer = packs.withLock { $0 }
    let pack =
      try recipes.isEmpty
      ? IncomingObjects.write(frame, to: writer)
      : frame.withPayload { payload in
        try writer.appendOnly(
          FrameHeader.encode(objects: objects, storedBytes: payload.count), payload,
          raw: frame.header.rawBytes, depth: 0, objects: objects)
      }
    return pack.map { FullPack(pack: $0, writer: writer) }
  }

  /// A pack that is full, and its writer.
  private struct FullPack {
    let pack: PackWriter.CompletePack
    let writer: PackWriter
  }

  /// Records the objects of a verified frame.
  private func note(_ frame: RawFrame, _ recipes: [Digest: [UInt8]]) throws {
    try state.withLock { state in
      for object in frame.header.objects {
        state.received.insert(ObjectName(kind: object.kind, id: object.id))
      }
      for (blob, bytes) in recipes where state.recipes[blob] == nil {
        state.recipes[blob] = bytes
        state.recipeBytes += bytes.count
      }
      guard state.recipeBytes <= IncomingObjects.maxRecipeBytes else {
        throw StoreError(.refused, "\(source)", "sends more recipes than one snapshot can need")
      }
    }
  }

  private static func write(
    _ frame: RawFrame, to writer: PackWriter
  ) throws(StoreError) -> PackWriter.CompletePack? {
    try frame.bytes.withUnsafeBytes { (bytes) throws(StoreError) in
      let front = FrameHeader.byteCount + frame.header.directoryBytes
      return try writer.appendOnly(
        [UInt8](bytes[..<front]), UnsafeRawBufferPointer(rebasing: bytes[front...]),
        raw: frame.header.rawBytes, depth: frame.header.base?.depth ?? 0,
        objects: frame.header.objects.map { ($0.kind, $0.id, $0.length) })
    }
  }
}
