// Reads blobs: the chunks of a file, in order, from decoded frames.

import Codec
import Platform

extension ObjectStore {
  /// Returns true if the index lists the content of a blob, as a chunk or as a recipe.
  /// - Throws: `StoreError` of kind `index`.
  public func holds(blob: Digest) throws(StoreError) -> Bool {
    if try holds(.chunk, blob) { return true }
    return try holds(.recipe, blob)
  }

  /// Returns the parts of a blob, in order.
  /// - Throws: `missing`, `damaged`.
  public func parts(of blob: Digest, sizeBytes: UInt64) throws(StoreError) -> BlobParts {
    if sizeBytes == 0 { return BlobParts(ChunkList()) }
    if sizeBytes <= UInt64(Chunker.maxBytes), try hasReadableChunk(blob) {
      var recipe = ChunkList()
      recipe.append(blob, lengthBytes: Int(sizeBytes))
      return BlobParts(recipe)
    }
    let recipe: BlobLayout
    do throws(StoreError) {
      recipe = try self.recipe(of: blob, sizeBytes: sizeBytes)
    } catch {
      // The search for the recipe may have rebuilt an index that did not list the chunk.
      guard error.kind == .missing, sizeBytes <= UInt64(Chunker.maxBytes),
        try holds(.chunk, blob)
      else { throw error }
      var recipe = ChunkList()
      recipe.append(blob, lengthBytes: Int(sizeBytes))
      return BlobParts(recipe)
    }
    switch recipe {
    case .chunks(let recipe): return BlobParts(recipe)
    case .reconstruction(let recipe):
      if let chunks = try chunkList(of: blob, insteadOf: recipe) { return BlobParts(chunks) }
      return BlobParts(try reconstructedBlob(blob, recipe))
    }
  }

  /// Returns true if a chunk is there, and no recipe should be used instead of it. The remains of an unneeded
  /// snapshot may lack their base, and another form of the blob may be there.
  private func hasReadableChunk(_ chunk: Digest) throws(StoreError) -> Bool {
    guard let location = try index.location(.chunk, chunk) else { return try holds(.chunk, chunk) }
    if location.depth == 0 { return true }
    if try index.missingBase(of: location) == nil { return true }
    return try index.location(.recipe, chunk) == nil
  }

  /// Returns the chunk list of a blob whose reconstruction is unusable; nil if there is no list or no need
  /// for one.
  ///
  /// A blob has both recipes after `repair` found the content of one whose dependencies were lost.
  private func chunkList(
    of blob: Digest, insteadOf recipe: Reconstruction
  ) throws(StoreError) -> ChunkList? {
    let locations = try index.locations(.recipe, blob)
    guard locations.count > 1 else { return nil }
    if let references = try? references(ofRecipeOf: blob),
      references.blobs.allSatisfy({ (try? holds(blob: $0.id)) ?? true })
    {
      return nil
    }
    for location in locations {
      guard let frame = try? packs.frame(location.address, frameBytes: location.frameBytes),
        frame.header.holds(.recipe, blob, start: location.start, length: location.length)
      else { continue }
      let bytes = frame.withBytes(start: location.start, length: location.length) { [UInt8]($0) }
      if case .chunks(let chunks)? = try? BlobLayout.decode(bytes),
        chunks.sizeBytes == recipe.sizeBytes
      {
        return chunks
      }
    }
    return nil
  }

  /// Returns the recipe of a blob that is not a single chunk, after a check of its size.
  func recipe(of blob: Digest, sizeBytes: UInt64) throws(StoreError) -> BlobLayout {
    let recipe = try recipe(of: blob)
    guard recipe.sizeBytes == sizeBytes else {
      throw .damaged(
        "recipe of blob \(blob.hex)",
        "makes \(recipe.sizeBytes) bytes, but the tree requires \(sizeBytes)")
    }
    return recipe
  }

  /// Returns the recipe of a blob, whatever the blob's size.
  func recipe(of blob: Digest) throws(StoreError) -> BlobLayout {
    let bytes: [UInt8]
    do {
      bytes = try object(.recipe, blob)
    } catch let error as StoreError {
      throw error
    } catch {
      throw .damaged("blob \(blob.hex)", "\(error)")
    }
    return try mapCodecErrors("recipe of blob \(blob.hex)") { () throws(CodecError) in
      try BlobLayout.decode(bytes)
    }
  }

  /// Reads a blob and calls `body` with the bytes of each part, in order.
  /// - Parameters:
  ///   - elsewhere: is asked first for the bytes of each part. A result must be exactly the part's bytes;
  ///     nil reads the part from the store.
  ///   - body: receives the offset of the bytes in the blob. The buffer is valid during the call only.
  /// - Throws: `missing`, `damaged`, and errors of `body`.
  public func read(
    _ blob: Digest, sizeBytes: UInt64,
    elsewhere: (BlobPart) -> UnsafeRawBufferPointer? = { _ in nil },
    _ body: (_ offset: UInt64, UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let parts = try parts(of: blob, sizeBytes: sizeBytes)
    if try hasUnverifiedRecipe(blob) {
      return try readVerifying(blob, parts, sizeBytes: sizeBytes, body)
    }
    if let blob = parts.reconstruction { return try read(blob, body) }
    for part in parts {
      if let bytes = elsewhere(part) {
        try body(part.offset, bytes)
      } else {
        try read(part, body)
      }
    }
  }

  /// Reads a blob whose recipe a remote has promised, and compares the bytes with the id at the end.
  private func readVerifying(
    _ blob: Digest, _ parts: BlobParts, sizeBytes: UInt64,
    _ body: (_ offset: UInt64, UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let id: Digest
    if let rebuilt = parts.reconstruction {
      var hash = SHA256()
      try read(rebuilt) { offset, bytes in
        hash.update(bytes)
        try body(offset, bytes)
      }
      id = hash.finish()
    } else if parts.isSparse {
      var hash = SparseBlobHasher(sizeBytes: sizeBytes)
      for part in parts {
        try read(part) { offset, bytes in
          hash.update(bytes)
          try body(offset, bytes)
        }
      }
      id = hash.finish()
    } else {
      var hash = SHA256()
      for part in parts {
        try read(part) { offset, bytes in
          hash.update(bytes)
          try body(offset, bytes)
        }
      }
      id = hash.finish()
    }
    guard id == blob else { throw damagedPromise(blob) }
    promised.noteVerified(blob)
  }

  /// Reads one part and calls `body` with its bytes, which are valid during the call only.
  /// - Throws: `missing`, `damaged`, and errors of `body`.
  public func read(
    _ part: BlobPart, _ body: (_ offset: UInt64, UnsafeRawBufferPointer) throws -> Void
  ) throws {
    switch part.source {
    case .chunk(let chunk):
      if let bytes = try promisedObject(.chunk, chunk) {
        guard bytes.count == part.lengthBytes else {
          throw StoreError.damaged(
            "chunk \(chunk.hex)", "has \(bytes.count) bytes instead of \(part.lengthBytes)")
        }
        return try bytes.withUnsafeBytes { try body(part.offset, $0) }
      }
      let (frame, location) = try frame(.chunk, chunk)
      guard location.length == part.lengthBytes else {
        throw StoreError.damaged(
          "chunk \(chunk.hex)", "has \(location.length) bytes instead of \(part.lengthBytes)")
      }
      try frame.withBytes(start: location.start, length: location.length) {
        try body(part.offset, $0)
      }
    case .reconstruction(let reconstruction):
      let buffer = UnsafeMutableRawBufferPointer.allocate(
        byteCount: part.lengthBytes, alignment: 64)
      defer { buffer.deallocate() }
      try reconstruction.fill(buffer, from: part.offset, in: self, depth: 0)
      try body(part.offset, UnsafeRawBufferPointer(buffer))
    }
  }

  /// Fills `target` with the bytes of a blob, starting at `offset`.
  /// - Parameter depth: the number of reconstructions that this call is nested in.
  /// - Throws: `missing`; `damaged`, also if the blob ends before `target` is full.
  public func fill(
    _ target: UnsafeMutableRawBufferPointer, from blob: Digest, sizeBytes: UInt64,
    at offset: UInt64, depth: Int = 0
  ) throws {
    try verifyPromised(blob, sizeBytes: sizeBytes)
    let parts = try parts(of: blob, sizeBytes: sizeBytes)
    try fill(target, from: parts, of: blob, at: offset, depth: depth)
  }

  /// Fills `target` with the bytes of a blob whose parts are known.
  /// - Throws: `missing`; `damaged`, also if the blob ends before `target` is full.
  public func fill(
    _ target: UnsafeMutableRawBufferPointer, from parts: BlobParts, of blob: Digest,
    at offset: UInt64, depth: Int = 0
  ) throws {
    var filledBytes = 0
    for part in parts.starting(at: offset) {
      guard filledBytes < target.count else { break }
      if case .reconstruction(let reconstruction) = part.source {
        let count = min(
          target.count,
          Int(clamping: reconstruction.sizeBytes - min(offset, reconstruction.sizeBytes)))
        try reconstruction.fill(
          UnsafeMutableRawBufferPointer(rebasing: target[..<count]), from: offset, in: self,
          depth: depth + 1)
        filledBytes = count
        break
      }
      try read(part) { partOffset, bytes in
        let from = Int(offset + UInt64(filledBytes) - partOffset)
        let count = min(bytes.count - from, target.count - filledBytes)
        UnsafeMutableRawBufferPointer(rebasing: target[filledBytes..<filledBytes + count])
          .copyMemory(
            from: UnsafeRawBufferPointer(rebasing: bytes[from..<from + count]))
        filledBytes += count
      }
    }
    guard filledBytes == target.count else {
      throw StoreError.damaged(
        "blob \(blob.hex)", "has fewer bytes than its tree records")
    }
  }
}
