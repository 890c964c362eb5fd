// Reading blobs: the chunks of a file, in order, from decoded frames.

import Codec
import Platform

/// A piece of a blob: where it stands in the file, and where its bytes are.
public struct BlobPart: Sendable {
  public let offset: UInt64
  public let chunk: Digest
  public let lengthBytes: Int
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
    if sizeBytes <= UInt64(Chunker.mostBytes), try index.place(.chunk, blob) != nil {
      var recipe = Recipe()
      recipe.append(blob, lengthBytes: Int(sizeBytes))
      return BlobParts(recipe)
    }
    let bytes: [UInt8]
    do {
      bytes = try object(.recipe, blob)
    } catch let error as StoreError {
      throw error
    } catch {
      throw .damaged("blob \(blob.hex)", "\(error)")
    }
    let recipe = try decoding("recipe of blob \(blob.hex)") { () throws(CodecError) in
      let recipe = try Recipe.decode(bytes)
      guard recipe.sizeBytes == sizeBytes else {
        throw .corrupt("makes \(recipe.sizeBytes) bytes where the tree says \(sizeBytes)")
      }
      return recipe
    }
    return BlobParts(recipe)
  }

  /// Calls `body` with each part's bytes, in order; they are valid during the call only.
  public func read(
    _ blob: Digest, sizeBytes: UInt64,
    _ body: (_ offset: UInt64, UnsafeRawBufferPointer) throws -> Void
  ) throws {
    for part in try parts(of: blob, sizeBytes: sizeBytes) { try read(part, body) }
  }

  /// Calls `body` with one part's bytes.
  public func read(
    _ part: BlobPart, _ body: (_ offset: UInt64, UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let (frame, place) = try frame(.chunk, part.chunk)
    guard place.length == part.lengthBytes else {
      throw StoreError.damaged(
        "chunk \(part.chunk.hex)", "has \(place.length) bytes, not \(part.lengthBytes)")
    }
    try body(part.offset, frame.bytes(start: place.start, length: place.length))
    withExtendedLifetime(frame) {}
  }
}

/// The parts of a blob without holding them all: runs of equal chunks stay folded.
public struct BlobParts: Sequence, Sendable {
  private let recipe: Recipe
  init(_ recipe: Recipe) { self.recipe = recipe }

  public struct Iterator: IteratorProtocol {
    let recipe: Recipe
    var run = 0
    var repeated: UInt64 = 0
    var offset: UInt64 = 0

    public mutating func next() -> BlobPart? {
      guard run < recipe.runs.count else { return nil }
      let current = recipe.runs[run]
      let part = BlobPart(offset: offset, chunk: current.chunk, lengthBytes: current.lengthBytes)
      offset += UInt64(current.lengthBytes)
      repeated += 1
      if repeated == current.count {
        run += 1
        repeated = 0
      }
      return part
    }
  }

  public func makeIterator() -> Iterator { Iterator(recipe: recipe) }

  /// The parts from the one that holds the byte at `offset` on; none where the blob is shorter.
  public func starting(at offset: UInt64) -> IteratorSequence<Iterator> {
    var iterator = Iterator(recipe: recipe)
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
    return IteratorSequence(iterator)
  }
}
