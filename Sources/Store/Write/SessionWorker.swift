// One thread's part of a write session: it hashes objects, collects them in frames, and compresses these.
//
// Chunks and other objects are in frames of their own: so reading trees and recipes, as gc and transfers do, does
// not mean decoding the content of files.

import Codec

/// One thread's access to a session: its hash, its current frames, its encoder.
public final class SessionWorker {
  private let session: WriteSession
  private let encoder: FrameEncoder
  /// Collects the chunks that get no base.
  private var chunkBuilder: FrameBuilder
  /// Collects trees, recipes and the like.
  private var metadataBuilder: FrameBuilder?
  /// Collects the chunks that get a base.
  private var deltaBuilder: FrameBuilder?
  private var poorDeltaSplit: PoorDeltaSplit?
  private var hash = SHA256()

  init(_ session: WriteSession) {
    self.session = session
    encoder = FrameEncoder(session.tuning)
    chunkBuilder = session.emptyBuilder()
  }

  /// Returns true if another thread of the session has failed, so that work should stop soon.
  public var shouldStop: Bool { session.hasFailed }

  /// Stores bytes of at most `Chunker.maxBytes` as a chunk.
  /// - Parameter predecessor: the earlier version of the blob that the chunk belongs to.
  /// - Returns: the id of the chunk.
  /// - Throws: `StoreError`.
  public func addChunk(
    _ bytes: UnsafeRawBufferPointer, following predecessor: BlobPredecessor? = nil
  ) throws(StoreError) -> Digest {
    let id = hash.digest(of: bytes)
    try addChunk(id, bytes, predecessor)
    return id
  }

  private func addChunk(
    _ id: Digest, _ bytes: UnsafeRawBufferPointer, _ predecessor: BlobPredecessor?
  ) throws(StoreError) {
    guard let predecessor, session.tuning.maxDepth > 0 else { return try add(.chunk, id, bytes) }
    let range = predecessor.advance(id, lengthBytes: bytes.count)
    guard !bytes.isEmpty else { return }
    if try session.dedup.noteInDryRun(.chunk, id, bytes) { return }
    guard try session.dedup.claim(.chunk, id) else { return }
    let base = try session.bases.chunks(of: predecessor, for: range)
    if !base.isEmpty, try session.dedup.mayHaveBase(id), try append(id, bytes, base) { return }
    try append(.chunk, id, bytes)
  }

  /// Adds a chunk to the current frame with a base.
  /// - Returns: false if none of the base can be read.
  private func append(
    _ id: Digest, _ bytes: UnsafeRawBufferPointer, _ base: [BaseReader.Chunk]
  ) throws(StoreError) -> Bool {
    var builder = deltaBuilder ?? session.emptyBuilder()
    defer { deltaBuilder = builder }
    if !builder.isEmpty,
      !builder.hasCapacity(for: bytes.count) || !builder.hasBaseCapacity(for: base)
    {
      try seal(&builder)
    }
    for chunk in base where !builder.hasInBase(chunk.id) {
      guard builder.hasBaseCapacity(for: chunk.location.length) else { break }
      builder.addToBase(chunk, from: session.bases)
    }
    let present = base.map(\.id).filter(builder.hasInBase)
    guard !present.isEmpty else { return false }
    builder.add(id, bytes, resembling: present)
    if builder.isFull { try seal(&builder) }
    return true
  }

  /// Stores bytes as a chunk if they have the predicted id.
  /// - Returns: true if the id matches.
  /// - Throws: `StoreError`.
  public func addChunk(
    _ bytes: UnsafeRawBufferPointer, ifItIs forecast: Digest,
    following predecessor: BlobPredecessor? = nil
  ) throws(StoreError) -> Bool {
    guard hash.digest(of: bytes) == forecast else { return false }
    try addChunk(forecast, bytes, predecessor)
    return true
  }

  /// Stores an object under its id, unless the store has it.
  /// - Throws: `refused` for an object of more than 16 MiB; `StoreError` of other kinds if it cannot be
  ///   stored.
  public func add(
    _ kind: ObjectKind, _ id: Digest, _ bytes: UnsafeRawBufferPointer
  ) throws(StoreError) {
    guard !bytes.isEmpty || kind != .chunk else { return }
    if try session.dedup.noteInDryRun(kind, id, bytes) { return }
    guard try session.dedup.claim(kind, id) else { return }
    try append(kind, id, bytes)
  }

  /// Stores a reconstruction of a blob that is stored as chunks. From then on readers use this shorter
  /// recipe, and the next garbage collection deletes the chunks.
  public func replaceRecipe(of blob: Digest, by recipe: Reconstruction) throws(StoreError) {
    _ = try session.dedup.claim(.recipe, blob)
    try recipe.encode().withUnsafeBytes { (bytes) throws(StoreError) in
      try append(.recipe, blob, bytes)
    }
  }

  /// Adds an object to the current frame of its kind.
  private func append(
    _ kind: ObjectKind, _ id: Digest, _ bytes: UnsafeRawBufferPointer
  ) throws(StoreError) {
    if kind == .chunk {
      try append(kind, id, bytes, to: &chunkBuilder)
    } else {
      var builder = metadataBuilder ?? session.emptyBuilder()
      defer { metadataBuilder = builder }
      try append(kind, id, bytes, to: &builder)
    }
  }

  private func append(
    _ kind: ObjectKind, _ id: Digest, _ bytes: UnsafeRawBufferPointer,
    to builder: inout FrameBuilder
  ) throws(StoreError) {
    if !builder.hasCapacity(for: bytes.count) { try seal(&builder) }
    if !builder.hasCapacity(for: bytes.count) {
      guard bytes.count <= Int(FrameHeader.maxRawBytes) else {
        throw StoreError(
          .refused, "\(kind.noun) \(id.shortHex)",
          "has \(bytes.count) bytes, more than the limit of 16 MiB")
      }
      builder.grow(for: bytes.count)
    }
    builder.add(kind, id, bytes)
    if builder.isFull { try seal(&builder) }
  }

  /// Stores an object under its id, unless the store has it.
  /// - Throws: `refused` for an object of more than 16 MiB; `StoreError` of other kinds if it cannot be
  ///   stored.
  public func add(_ kind: ObjectKind, _ id: Digest, _ bytes: [UInt8]) throws(StoreError) {
    try bytes.withUnsafeBytes { (bytes) throws(StoreError) in try add(kind, id, bytes) }
  }

  /// Compresses the current frames, even if they are not full.
  func flush() throws(StoreError) {
    for builder in [chunkBuilder, metadataBuilder, deltaBuilder].compactMap({ $0 }) {
      if !builder.isEmpty { try compress(builder) }
      builder.clear()
    }
  }

  /// Ends a frame: another thread compresses it, or this one.
  private func seal(_ builder: inout FrameBuilder) throws(StoreError) {
    if session.dispatch(builder) {
      builder = session.emptyBuilder()
    } else {
      try compress(builder)
      builder.clear()
    }
  }

  private func compress(_ frame: FrameBuilder) throws(StoreError) {
    func output(_ frame: FrameBuilder) -> FrameEncoder.Output {
      { (header, payload, depth) throws(StoreError) in
        try self.session.packs.append(
          header, payload, raw: frame.count, depth: depth, objects: frame.objects)
      }
    }
    if try encoder.encodeUnlessPoor(frame, output(frame)) { return }
    let split = poorDeltaSplit ?? PoorDeltaSplit()
    poorDeltaSplit = split
    try split.divide(frame, encoder)
    for part in [split.deltas, split.others] where !part.isEmpty {
      try encoder.encode(part, output(part))
    }
  }

  /// Compresses frames of other threads until all producers have ended.
  func helpUntilDone() throws(StoreError) {
    while let frame = session.nextFrame() {
      try compress(frame)
      session.recycle(frame)
    }
  }
}
