// The prefetcher of reconstructed parts: threads rebuild the next parts of a blob while a reader uses the
// current one.
//
// 1. At most `window` parts are rebuilt ahead of the reader, which bounds the memory.
// 2. Parts are taken in order; an error is thrown when its part is taken.

import Platform

/// Reconstructs the parts of a blob ahead of their reader.
final class PartPrefetcher: Sendable {
  final class Buffer: @unchecked Sendable {  // written by one thread, then read by another
    let bytes: UnsafeMutableRawBufferPointer
    init(_ count: Int) { bytes = .allocate(byteCount: count, alignment: 64) }
    deinit { bytes.deallocate() }
  }

  private struct State {
    var startedCount = 0
    var takenCount = 0
    var finished: [Int: Result<Buffer, any Error>] = [:]
    var isClosed = false
  }

  private let blob: any ReconstructedBlob
  private let store: ObjectStore
  private let window: Int
  private let state = Monitor(State())

  init(_ blob: any ReconstructedBlob, _ store: ObjectStore, window: Int) {
    self.blob = blob
    self.store = store
    self.window = window
  }

  /// Stops the threads.
  func close() { state.update { $0.isClosed = true } }

  /// Waits for a part and removes it. Parts are taken in order.
  func take(_ index: Int) throws -> Buffer {
    let result = state.wait { $0.finished.removeValue(forKey: index) }
    state.update { $0.takenCount = index + 1 }
    return try result.get()
  }

  /// Reconstructs parts until all are done or the prefetcher is closed.
  func work() {
    while let index = next() {
      let part = blob.part(index)
      let result = Result { () throws -> Buffer in
        let buffer = Buffer(part.lengthBytes)
        try blob.fill(buffer.bytes, from: part.offset, in: store, depth: 0)
        return buffer
      }
      state.update { $0.finished[index] = result }
    }
  }

  /// Returns the next part to reconstruct; waits while the window is full.
  private func next() -> Int? {
    state.wait { state -> Int?? in
      if state.isClosed || state.startedCount >= blob.partCount { return .some(nil) }
      guard state.startedCount < state.takenCount + window else { return nil }
      defer { state.startedCount += 1 }
      return .some(state.startedCount)
    }
  }
}
