// A thread that works on ranges of memory, in order, while their owner makes the next one ready.
//
// 1. The owner leaves a range as it is until `begin` has returned twice more with others, or `wait` once: with
//    `rangeCount` buffers in turn nobody copies, and memory is bounded.
// 2. Nobody waits for the thread itself: it ends when its owner is gone.
// 3. Where the system refuses the thread, the owner's own thread does the work in `begin`.

/// Does one thing to ranges of memory beside its owner's thread. One thread owns it.
public final class BufferPipeline: Sendable {
  /// Buffers to go round with: one to fill, two that may be under way.
  public static let rangeCount = 3

  private struct Ranges: @unchecked Sendable {  // rule 1
    /// The first is being worked on.
    var underWay: [UnsafeRawBufferPointer] = []
    var isOver = false
  }

  private let ranges = Monitor(Ranges())
  /// The work, where it is the owner's thread that does it.
  private let inline: (@Sendable (UnsafeRawBufferPointer) -> Void)?

  /// - Parameter work: is called on the thread, with one range after the other.
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

  /// Begins to work on `bytes`, once at most one range is under way.
  public func begin(_ bytes: UnsafeRawBufferPointer) {
    if let inline {
      if !bytes.isEmpty { inline(bytes) }
      return
    }
    ranges.wait { $0.underWay.count < BufferPipeline.rangeCount - 1 ? () : nil }
    if !bytes.isEmpty { ranges.update { $0.underWay.append(bytes) } }
  }

  /// Waits until nothing is under way. What the work has done can be seen then.
  public func wait() { ranges.wait { $0.underWay.isEmpty ? () : nil } }
}
