// Write-behind: a thread of its own writes files to disk and drops them from the page cache.
//
// A first snapshot writes hundreds of megabytes that are not read soon. In the page cache they would evict
// useful data and need as many fresh pages. Written behind and dropped, a few pages are reused, and the
// final sync has little left to do.
//
// 1. At most `maxPending` ranges are queued. A writer waits if the queue is full, so it is never far ahead
//    of the disk.
// 2. Write-behind affects speed only. The final sync makes the data durable.

/// Writes ranges of files to disk and drops them from memory, in order.
public final class WriteBehind: Sendable {
  /// The size of a range that is worth queueing.
  public static let rangeBytes: UInt64 = 8 << 20
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

  /// Creates an empty queue.
  public init(_ fileSystem: any FileSystem) { self.fileSystem = fileSystem }

  /// Starts to write a range back, and queues it to be dropped from the page cache.
  public func enqueue(_ file: Descriptor, offset: UInt64, count: UInt64) {
    fileSystem.startSync(file.raw, offset: offset, count: count)
    state.wait { $0.pending.count < WriteBehind.maxPending ? () : nil }
    let mustStart = state.update { state in
      state.pending.append(Range(file: file, offset: offset, count: count))
      defer { state.isRunning = true }
      return !state.isRunning
    }
    if mustStart, (try? startDetachedThread { [self] in work() }) == nil { work() }
  }

  /// Ends when the queue is empty, so an idle session has no such thread.
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
