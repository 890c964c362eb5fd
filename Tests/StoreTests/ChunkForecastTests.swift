// A forecast is what recipes say, the first of them first, and no more than it may remember.

import Codec
import Foundation
import Platform
import Store
import TestSupport
import Testing

@Suite struct ChunkForecastTests {
  private func chunk(_ number: Int) -> Digest { SHA256.digest(of: Array("\(number)".utf8)) }

  private func recipe(_ numbers: [Int]) -> Recipe {
    var recipe = Recipe()
    for number in numbers { recipe.append(chunk(number), lengthBytes: 1000 + number) }
    return recipe
  }

  @Test func `what followed a chunk is foretold, by the first that knew it`() {
    var forecast = ChunkPredictor()
    forecast.add(recipe([1, 2, 2, 2, 3]))
    forecast.add(recipe([7, 3, 1, 9]))
    func next(_ number: Int) -> Digest? { forecast.next(after: chunk(number))?.chunk }
    #expect(next(1) == chunk(2) && next(7) == chunk(3) && next(3) == chunk(1))
    #expect(next(2) == chunk(2), "a row is likelier to go on")
    #expect(next(9) == nil)
    #expect(forecast.next(after: chunk(1))?.lengthBytes == 1002)
  }

  @Test func `it remembers so much and no more`() {
    var forecast = ChunkPredictor()
    forecast.add(recipe(Array(0...(ChunkPredictor.maxChunks + 10))))
    #expect(forecast.isFull)
    #expect(forecast.next(after: chunk(ChunkPredictor.maxChunks - 1)) != nil)
    #expect(forecast.next(after: chunk(ChunkPredictor.maxChunks)) == nil)
  }

  @Test func `a chunk that no window could hold is not foretold`() {
    var long = Recipe()
    long.append(chunk(1), lengthBytes: 10)
    long.append(chunk(2), lengthBytes: Chunker.maxBytes + 1)
    var forecast = ChunkPredictor()
    forecast.add(long)
    #expect(forecast.next(after: chunk(1)) == nil)
  }

  @Test func `a blob without a recipe that can be read foretells nothing`() throws {
    let folder = try TemporaryFolder()
    let store = try ObjectStore(
      KernelFileSystem.shared, path: Array(folder.path("store").utf8), create: true
    ) { _ in }
    let good = recipe([1, 2])
    let session = try store.beginSession()
    try session.withWorker { worker in
      try worker.add(.recipe, chunk(100), good.encode())
      try worker.add(.recipe, chunk(101), [9, 9, 9])
    }
    try session.finish()
    let forecast = store.forecast(from: [chunk(99), chunk(101), chunk(100)])
    #expect(forecast.next(after: chunk(1))?.chunk == chunk(2))
  }
}
