// Written packs leave the page cache as they reach the disk, by a thread of its own.
//
// A first snapshot writes hundreds of megabytes that nobody reads soon. Left to the kernel they would
// push out what the machine needs, and cost the first touch of as many fresh pages; written behind
// and dropped, a few pages are used over and over, and the final sync finds little to do.
//
// 1. At most `maxPending` ranges wait: then the writer waits, so that it is never far ahead of the disk.
// 2. It is a matter of speed alone: durability is the final sync's.

import Platform

/// Writes ranges of files to disk and drops them from memory, in order.
final class WriteBehind: Sendable {
  static let rangeBytes: UInt64 = 8 << 20
  private static let maxPending = 8

  private struct Range: Sendable {
    let file: Descriptor
    let offset: UInt64
    let count: UInt64
  }

  private struct State {
    var pending: [Range] = []
    var isRunning = false
  }

  private let fileSystem: any FileSystem
  private let state = Monitor(State())

  init(_ fileSystem: any FileSystem) { self.fileSystem = fileSystem }

  func enqueue(_ file: Descriptor, offset: UInt64, count: UInt64) {
    fileSystem.startSync(file.raw, offset: offset, count: count)
    state.wait { $0.pending.count < WriteBehind.maxPending ? () : nil }
    let mustStart = state.update { state in
      state.pending.append(Range(file: file, offset: offset, count: count))
      defer { state.isRunning = true }
      return !state.isRunning
    }
    if mustStart, (try? startDetachedThread { [self] in work() }) == nil { work() }
  }

  /// Ends when nothing is left: an idle session has no such thread.
  private func work() {
    while let next = state.withLock({ $0.pending.first }) {
      fileSystem.writeBack(next.file.raw, offset: next.offset, count: next.count)
      let isDone = state.update { state in
        state.pending.removeFirst()
        if state.pending.isEmpty { state.isRunning = false }
        return state.pending.isEmpty
      }
      if isDone { return }
    }
  }
}
