// Chunk predictors return the followers that recipes name; the first recipe wins, and their memory is
// limited.

import Codec
import Foundation
import Platform
import Store
import TestSupport
import Testing

@Suite struct ChunkPredictorTests {
  private func chunk(_ number: Int) -> Digest { SHA256.digest(of: Array("\(number)".utf8)) }

  private func chunkList(_ numbers: [Int]) -> ChunkList {
    var chunkList = ChunkList()
    for number in numbers { chunkList.append(chunk(number), lengthBytes: 1000 + number) }
    return chunkList
  }

  @Test func `a follower is predicted as the first recipe names it`() {
    var predictor = ChunkPredictor()
    predictor.add(chunkList([1, 2, 2, 2, 3]))
    predictor.add(chunkList([7, 3, 1, 9]))
    func next(_ number: Int) -> Digest? { predictor.next(after: chunk(number))?.chunk }
    #expect(next(1) == chunk(2) && next(7) == chunk(3) && next(3) == chunk(1))
    #expect(next(2) == chunk(2), "a run probably continues")
    #expect(next(9) == nil)
    #expect(predictor.next(after: chunk(1))?.lengthBytes == 1002)
  }

  @Test func `a full predictor ignores further chunks`() {
    var predictor = ChunkPredictor()
    predictor.add(chunkList(Array(0...(ChunkPredictor.maxChunks + 10))))
    #expect(predictor.isFull)
    #expect(predictor.next(after: chunk(ChunkPredictor.maxChunks - 1)) != nil)
    #expect(predictor.next(after: chunk(ChunkPredictor.maxChunks)) == nil)
  }

  @Test func `a chunk larger than the maximum is not predicted`() {
    var long = ChunkList()
    long.append(chunk(1), lengthBytes: 10)
    long.append(chunk(2), lengthBytes: Chunker.maxBytes + 1)
    var predictor = ChunkPredictor()
    predictor.add(long)
    #expect(predictor.next(after: chunk(1)) == nil)
  }

  @Test func `blobs without a readable recipe are skipped`() throws {
    let directory = try TemporaryDirectory()
    let store = try ObjectStore(
      KernelFileSystem.shared, path: Array(directory.path("store").utf8), create: true
    ) { _ in }
    let good = chunkList([1, 2])
    let session = try store.beginSession()
    try session.withWorker { worker in
      try worker.add(.recipe, chunk(100), good.encode())
      try worker.add(.recipe, chunk(101), [9, 9, 9])
    }
    try session.finish()
    let predictor = store.forecast(from: [chunk(99), chunk(101), chunk(100)])
    #expect(predictor.next(after: chunk(1))?.chunk == chunk(2))
  }
}
