// Hashes blobs of several chunks while their chunks arrive, so that they need not be read again.
//
// 1. It works for blobs whose recipe arrives first and whose chunks come in their order, which is how a store sends
//    them. Chunks that the store has already are read from it. Any other blob is left to `RecipeCheck`.
// 2. One thread at a time uses it.
// 3. Memory: a hash for each recipe that arrived.

import Codec

/// The blobs whose chunks are arriving.
final class PassingBlobs {
  /// A blob that is hashed up to one of its chunks.
  private final class Blob {
    let id: Digest
    let runs: [ChunkList.Run]
    var hash = SHA256()
    var nextRun = 0

    init(_ id: Digest, _ runs: [ChunkList.Run]) {
      self.id = id
      self.runs = runs
    }
  }

  /// Equal chunks in a row are hashed one by one, so a long run is left to `RecipeCheck`, which knows holes.
  private static let maxRepetitions: UInt64 = 64

  private let store: ObjectStore
  /// The blobs that need a chunk next.
  private var waiting: [Digest: [Blob]] = [:]
  private var seen: Set<Digest> = []
  /// The blobs whose recipes make what their ids say.
  private(set) var verified: Set<Digest> = []

  init(_ store: ObjectStore) { self.store = store }

  /// Adds a blob whose recipe has arrived.
  func add(_ id: Digest, recipe: [UInt8]) {
    guard seen.insert(id).inserted, case .chunks(let list)? = try? BlobLayout.decode(recipe),
      !list.isSparse, list.runs.allSatisfy({ $0.count <= PassingBlobs.maxRepetitions })
    else { return }
    advance(Blob(id, list.runs))
  }

  /// Uses a chunk that has arrived.
  func pass(_ chunk: Digest, _ bytes: UnsafeRawBufferPointer) {
    guard let blobs = waiting.removeValue(forKey: chunk) else { return }
    for blob in blobs {
      let run = blob.runs[blob.nextRun]
      // A chunk of another length is an error, which the check of the recipe reports.
      guard run.lengthBytes == bytes.count else { continue }
      for _ in 0..<run.count { blob.hash.update(bytes) }
      blob.nextRun += 1
      advance(blob)
    }
  }

  /// Hashes the chunks that the store has, up to the first one that must arrive.
  private func advance(_ blob: Blob) {
    while blob.nextRun < blob.runs.count {
      let run = blob.runs[blob.nextRun]
      guard (try? store.index.keeps(.chunk, run.chunk)) == true else {
        waiting[run.chunk, default: []].append(blob)
        return
      }
      let part = BlobPart(offset: 0, lengthBytes: run.lengthBytes, source: .chunk(run.chunk))
      do {
        try store.read(part) { _, bytes in
          for _ in 0..<run.count { blob.hash.update(bytes) }
        }
      } catch { return }
      blob.nextRun += 1
    }
    if blob.hash.finish() == blob.id { verified.insert(blob.id) }
  }

  /// Forgets all blobs.
  func reset() {
    waiting = [:]
    seen = []
    verified = []
  }
}
