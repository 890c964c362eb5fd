// Prediction of the chunk that follows another. If a large stream resembles a stored blob, the next cut is
// tried at the predicted place first. This saves the chunker's pass over the known bytes.
//
// 1. A prediction is never trusted: the hash of a chunk's bytes is its id.
// 2. A predicted cut is a cut of the older blob. The chunker would cut there as well, unless its parameters
//    have changed or the older blob ended there. Cuts affect storage, never ids.

import Codec

/// Maps chunks to the chunks that follow them in known recipes.
public struct ChunkPredictor: Sendable {
  /// A chunk that may come next.
  public struct Prediction: Sendable {
    public let chunk: Digest
    public let lengthBytes: Int
  }

  /// The maximum number of remembered chunks: about 16 GiB of content, in 6 MB of memory.
  public static let maxChunks = 1 << 16

  private var followers: [Digest: Prediction] = [:]

  /// Creates an empty predictor.
  public init() {}

  /// Returns true if no more chunks can be added.
  public var isFull: Bool { followers.count >= ChunkPredictor.maxChunks }

  /// Adds the order of a recipe's chunks. If earlier recipes name a follower of a chunk, that one stays.
  public mutating func add(_ chunkList: ChunkList) {
    var last: ChunkList.Run?
    for run in chunkList.runs {
      if isFull { return }
      if run.count > 1 { add(run, after: run.chunk) }
      if let last { add(run, after: last.chunk) }
      last = run
    }
  }

  private mutating func add(_ run: ChunkList.Run, after chunk: Digest) {
    guard run.lengthBytes <= Chunker.maxBytes, followers[chunk] == nil else { return }
    followers[chunk] = Prediction(chunk: run.chunk, lengthBytes: run.lengthBytes)
  }

  /// Returns the chunk that may follow; nil if none is known.
  public func next(after chunk: Digest) -> Prediction? { followers[chunk] }
}

extension ObjectStore {
  /// Returns a predictor that knows the chunk lists of large stored blobs.
  /// - Parameter blobs: the blobs that a stream may resemble, the most similar first.
  public func forecast(from blobs: some Sequence<Digest>) -> ChunkPredictor {
    var predictor = ChunkPredictor()
    for blob in blobs where !predictor.isFull {
      // Damaged recipes and reconstructions are skipped.
      if let bytes = try? object(.recipe, blob), let chunkList = try? ChunkList.decode(bytes) {
        predictor.add(chunkList)
      }
    }
    return predictor
  }
}
