// Which chunk probably follows another. Where a large stream resembles a blob that the store has, its next
// cut need not be looked for, only tried: that saves the chunker's pass over every known byte.
//
// 1. A forecast is never trusted: a chunk is what the hash of its bytes says.
// 2. A cut that was forecast is the older blob's. It is where the chunker would cut as well, unless its
//    parameters have changed or the older blob ended there: storage, not identity.

import Codec

/// The followers of chunks, as recipes have them.
public struct ChunkPredictor: Sendable {
  /// A chunk that may come next.
  public struct Next: Sendable {
    public let chunk: Digest
    public let lengthBytes: Int
  }

  /// What it may remember: about 16 GiB of content, in 6 MB of memory.
  public static let maxChunks = 1 << 16

  private var followers: [Digest: Next] = [:]

  public init() {}

  public var isFull: Bool { followers.count >= ChunkPredictor.maxChunks }

  /// Remembers the order of a recipe's chunks. What earlier recipes say of a chunk stays.
  public mutating func add(_ recipe: Recipe) {
    var last: Recipe.Run?
    for run in recipe.runs {
      if isFull { return }
      if run.count > 1 { add(run, after: run.chunk) }
      if let last { add(run, after: last.chunk) }
      last = run
    }
  }

  private mutating func add(_ run: Recipe.Run, after chunk: Digest) {
    guard run.lengthBytes <= Chunker.maxBytes, followers[chunk] == nil else { return }
    followers[chunk] = Next(chunk: run.chunk, lengthBytes: run.lengthBytes)
  }

  /// What may come after a chunk; nil where nothing is known.
  public func next(after chunk: Digest) -> Next? { followers[chunk] }
}

extension ObjectStore {
  /// What the store's large blobs foretell.
  /// - Parameter blobs: those that a stream may resemble, the likeliest first.
  public func forecast(from blobs: some Sequence<Digest>) -> ChunkPredictor {
    var forecast = ChunkPredictor()
    for blob in blobs where !forecast.isFull {
      // A recipe that is damaged, or of another kind, foretells nothing.
      if let bytes = try? object(.recipe, blob), let recipe = try? Recipe.decode(bytes) {
        forecast.add(recipe)
      }
    }
    return forecast
  }
}
