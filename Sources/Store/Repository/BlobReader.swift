// Reading blobs: the chunks of a file, in order, from decoded frames.

import Codec
import Platform

/// A piece of a blob: where it stands in the file, and where its bytes are.
public struct BlobPart: Sendable {
  public let offset: UInt64
  public let lengthBytes: Int
  let source: Source

  enum Source: Sendable {
    case chunk(Digest)
    case made(ReconstructedBlob)
  }

  /// The chunk that the part is; nil where it is made otherwise.
  public var chunk: Digest? { if case .chunk(let chunk) = source { chunk } else { nil } }

  /// The part is a chunk of nothing but zeros.
  public var isZeros: Bool { chunk.map { $0 == ZeroChunk.id(lengthBytes: lengthBytes) } ?? false }
}

extension ObjectStore {
  /// Whether the store has the content of a blob, as the index says.
  public func holds(blob: Digest) throws(StoreError) -> Bool {
    if try holds(.chunk, blob) { return true }
    return try holds(.recipe, blob)
  }

  /// The parts of a blob, in order.
  /// - Throws: `missing`, `damaged`.
  public func parts(of blob: Digest, sizeBytes: UInt64) throws(StoreError) -> BlobParts {
    if sizeBytes == 0 { return BlobParts(Recipe()) }
    if sizeBytes <= UInt64(Chunker.maxBytes), try index.place(.chunk, blob) != nil {
      var recipe = Recipe()
      recipe.append(blob, lengthBytes: Int(sizeBytes))
      return BlobParts(recipe)
    }
    let recipe: BlobLayout
    do throws(StoreError) {
      recipe = try self.recipe(of: blob, sizeBytes: sizeBytes)
    } catch {
      // The search for the recipe may have rebuilt an index that had hidden the chunk.
      guard error.kind == .missing, sizeBytes <= UInt64(Chunker.maxBytes),
        try index.place(.chunk, blob) != nil
      else { throw error }
      var recipe = Recipe()
      recipe.append(blob, lengthBytes: Int(sizeBytes))
      return BlobParts(recipe)
    }
    switch recipe {
    case .chunks(let recipe): return BlobParts(recipe)
    case .made(let recipe):
      if let chunks = try chunkList(of: blob, insteadOf: recipe) { return BlobParts(chunks) }
      return BlobParts(try made(blob, recipe))
    }
  }

  /// The list of chunks of a blob that has one as well, where the shorter recipe cannot be followed: what
  /// it is made of is lost, and `repair` has found the content.
  private func chunkList(
    of blob: Digest, insteadOf recipe: Reconstruction
  ) throws(StoreError) -> Recipe? {
    let places = try index.places(.recipe, blob)
    guard places.count > 1 else { return nil }
    if let references = try? references(ofRecipeOf: blob),
      references.blobs.allSatisfy({ (try? holds(blob: $0.id)) ?? true })
    {
      return nil
    }
    for place in places {
      guard let frame = try? packs.frame(place.address, frameBytes: place.frameBytes),
        frame.header.holds(.recipe, blob, start: place.start, length: place.length)
      else { continue }
      let bytes = frame.withBytes(start: place.start, length: place.length) { [UInt8]($0) }
      if case .chunks(let chunks)? = try? BlobLayout.decode(bytes),
        chunks.sizeBytes == recipe.sizeBytes
      {
        return chunks
      }
    }
    return nil
  }

  /// The recipe of a blob that is not one chunk.
  func recipe(of blob: Digest, sizeBytes: UInt64) throws(StoreError) -> BlobLayout {
    let recipe = try recipe(of: blob)
    guard recipe.sizeBytes == sizeBytes else {
      throw .damaged(
        "recipe of blob \(blob.hex)",
        "makes \(recipe.sizeBytes) bytes where the tree says \(sizeBytes)")
    }
    return recipe
  }

  func recipe(of blob: Digest) throws(StoreError) -> BlobLayout {
    let bytes: [UInt8]
    do {
      bytes = try object(.recipe, blob)
    } catch let error as StoreError {
      throw error
    } catch {
      throw .damaged("blob \(blob.hex)", "\(error)")
    }
    return try decoding("recipe of blob \(blob.hex)") { () throws(CodecError) in
      try BlobLayout.decode(bytes)
    }
  }

  /// Calls `body` with each part's bytes, in order; they are valid during the call only.
  /// - Parameter elsewhere: is asked first; what it returns must be the part's bytes.
  public func read(
    _ blob: Digest, sizeBytes: UInt64,
    elsewhere: (BlobPart) -> UnsafeRawBufferPointer? = { _ in nil },
    _ body: (_ offset: UInt64, UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let parts = try parts(of: blob, sizeBytes: sizeBytes)
    if let made = parts.made { return try read(made, body) }
    for part in parts {
      if let bytes = elsewhere(part) {
        try body(part.offset, bytes)
      } else {
        try read(part, body)
      }
    }
  }

  /// Calls `body` with one part's bytes.
  public func read(
    _ part: BlobPart, _ body: (_ offset: UInt64, UnsafeRawBufferPointer) throws -> Void
  ) throws {
    switch part.source {
    case .chunk(let chunk):
      let (frame, place) = try frame(.chunk, chunk)
      guard place.length == part.lengthBytes else {
        throw StoreError.damaged(
          "chunk \(chunk.hex)", "has \(place.length) bytes, not \(part.lengthBytes)")
      }
      try frame.withBytes(start: place.start, length: place.length) { try body(part.offset, $0) }
    case .made(let made):
      let buffer = UnsafeMutableRawBufferPointer.allocate(
        byteCount: part.lengthBytes, alignment: 64)
      defer { buffer.deallocate() }
      try made.fill(buffer, from: part.offset, in: self)
      try body(part.offset, UnsafeRawBufferPointer(buffer))
    }
  }

  /// Fills `target` with the bytes of a blob from `offset` on.
  /// - Throws: `missing`, `damaged`, also where the blob has fewer bytes.
  public func fill(
    _ target: UnsafeMutableRawBufferPointer, from blob: Digest, sizeBytes: UInt64,
    at offset: UInt64
  ) throws {
    try fill(target, from: blob, sizeBytes: sizeBytes, at: offset, depth: 0)
  }

  /// - Parameter depth: how many recipes are being followed already.
  func fill(
    _ target: UnsafeMutableRawBufferPointer, from blob: Digest, sizeBytes: UInt64,
    at offset: UInt64, depth: Int
  ) throws {
    var done = 0
    for part in try parts(of: blob, sizeBytes: sizeBytes).starting(at: offset) {
      guard done < target.count else { break }
      if case .made(let made) = part.source {
        let count = min(target.count, Int(clamping: made.sizeBytes - min(offset, made.sizeBytes)))
        try made.fill(
          UnsafeMutableRawBufferPointer(rebasing: target[..<count]), from: offset, in: self,
          depth: depth + 1)
        done = count
        break
      }
      try read(part) { partOffset, bytes in
        let from = Int(offset + UInt64(done) - partOffset)
        let count = min(bytes.count - from, target.count - done)
        UnsafeMutableRawBufferPointer(rebasing: target[done..<done + count]).copyMemory(
          from: UnsafeRawBufferPointer(rebasing: bytes[from..<from + count]))
        done += count
      }
    }
    guard done == target.count else {
      throw StoreError.damaged(
        "blob \(blob.hex)", "has fewer bytes than the \(sizeBytes) that it should have")
    }
  }
}

/// The parts of a blob without holding them all: runs of equal chunks stay folded.
public struct BlobParts: Sequence, Sendable {
  fileprivate enum Parts: Sendable {
    case chunks(Recipe)
    case made(ReconstructedBlob)
  }
  private let parts: Parts
  init(_ recipe: Recipe) { parts = .chunks(recipe) }
  init(_ made: ReconstructedBlob) { parts = .made(made) }

  /// What makes the bytes when they are read; nil where they are in chunks.
  public var made: ReconstructedBlob? {
    if case .made(let made) = parts { made } else { nil }
  }

  /// The blob's id is a sparse one (`SparseHash`).
  public var isSparse: Bool {
    if case .chunks(let recipe) = parts { recipe.isSparse } else { false }
  }

  public struct Iterator: IteratorProtocol {
    fileprivate let parts: Parts
    var run = 0
    var repeated: UInt64 = 0
    var offset: UInt64 = 0

    public mutating func next() -> BlobPart? {
      switch parts {
      case .chunks(let recipe): return next(recipe)
      case .made(let made):
        guard run < made.partCount else { return nil }
        defer { run += 1 }
        return made.part(run)
      }
    }

    private mutating func next(_ recipe: Recipe) -> BlobPart? {
      guard run < recipe.runs.count else { return nil }
      let current = recipe.runs[run]
      let part = BlobPart(
        offset: offset, lengthBytes: current.lengthBytes, source: .chunk(current.chunk))
      offset += UInt64(current.lengthBytes)
      repeated += 1
      if repeated == current.count {
        run += 1
        repeated = 0
      }
      return part
    }
  }

  public func makeIterator() -> Iterator { Iterator(parts: parts) }

  /// The parts from the one that holds the byte at `offset` on; none where the blob is shorter.
  public func starting(at offset: UInt64) -> IteratorSequence<Iterator> {
    var iterator = Iterator(parts: parts)
    switch parts {
    case .made(let made): iterator.run = made.indexOfPart(at: offset)
    case .chunks(let recipe):
      while iterator.run < recipe.runs.count {
        let run = recipe.runs[iterator.run]
        let skipped = Swift.min((offset - iterator.offset) / UInt64(run.lengthBytes), run.count)
        iterator.offset += skipped * UInt64(run.lengthBytes)
        if skipped < run.count {
          iterator.repeated = skipped
          break
        }
        iterator.run += 1
      }
    }
    return IteratorSequence(iterator)
  }
}
