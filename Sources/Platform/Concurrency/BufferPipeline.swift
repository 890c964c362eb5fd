// Processes ranges of memory in order on a separate thread, while their owner prepares the next one.
//
// 1. The owner must not change a range until it has called `begin` twice more, or `wait` once. With
//    `rangeCount` buffers in rotation, nothing is copied and memory is bounded.
// 2. Nobody joins the thread: it ends when its owner is deallocated.
// 3. If the system refuses a thread, `begin` does the work on the caller's.

/// Applies one operation to ranges of memory concurrently with its owner. Belongs to one thread.
public final class BufferPipeline: Sendable {
  /// The number of buffers in rotation: one to fill, two that may be in progress.
  public static let rangeCount = 3

  private struct Ranges: @unchecked Sendable {  // rule 1
    /// The ranges to process; the thread is working on the first.
    var underWay: [UnsafeRawBufferPointer] = []
    var isOver = false
  }

  private let ranges = Monitor(Ranges())
  /// The work, if the caller's thread has to do it.
  private let inline: (@Sendable (UnsafeRawBufferPointer) -> Void)?

  /// Creates a pipeline and starts its thread.
  /// - Parameter work: called on the thread, for one range after the other.
  public init(_ work: @escaping @Sendable (UnsafeRawBufferPointer) -> Void) {
    let started: Void? = try? startDetachedThread { [ranges] in
      while true {
        let next = ranges.wait { ranges -> UnsafeRawBufferPointer?? in
          if let first = ranges.underWay.first { return first }
          return ranges.isOver ? .some(nil) : nil
        }
        guard let bytes = next else { return }
        work(bytes)
        ranges.update { _ = $0.underWay.removeFirst() }
      }
    }
    inline = started == nil ? work : nil
  }

  deinit { ranges.update { $0.isOver = true } }

  /// Queues `bytes`; waits first while more than one range is in progress.
  public func begin(_ bytes: UnsafeRawBufferPointer) {
    if let inline {
      if !bytes.isEmpty { inline(bytes) }
      return
    }
    ranges.wait { $0.underWay.count < BufferPipeline.rangeCount - 1 ? () : nil }
    if !bytes.isEmpty { ranges.update { $0.underWay.append(bytes) } }
  }

  /// Waits until no range is in progress. The effects of the work are then visible.
  public func wait() { ranges.wait { $0.underWay.isEmpty ? () : nil } }
}
