// A file that one thread writes while clients are sent what is there.
//
// 1. The counts only grow. Bytes below `availableBytes` are final.
// 2. The file ends once: as finished, or as failed. A client of a failed file sees its connection end early,
//    never an end that looks complete.
// 3. The writer never waits for a client.

import Platform

/// A file that is being written, and its observers.
public final class GrowingFile: Sendable {
  /// How far a file has been written.
  public enum Progress: Sendable, Equatable {
    /// So many bytes are there, and more will follow.
    case growing(availableBytes: UInt64)
    /// The file is complete, with so many bytes.
    case finished(sizeBytes: UInt64)
    /// The file will never be complete.
    case failed
  }

  public let descriptor: Descriptor
  /// The size that the complete file will have; nil if it is not known.
  public let totalBytes: UInt64?

  private struct State {
    var progress = Progress.growing(availableBytes: 0)
    var observers: [@Sendable () -> Void] = []
  }
  private let state = Monitor(State())

  /// Creates a file without content.
  public init(_ descriptor: Descriptor, totalBytes: UInt64? = nil) {
    self.descriptor = descriptor
    self.totalBytes = totalBytes
  }

  /// How far the file has been written.
  public var progress: Progress { state.withLock { $0.progress } }

  /// Reports the progress of the writer. Calls after the end are ignored.
  public func report(_ progress: Progress) {
    let observers = state.withLock { state -> [@Sendable () -> Void] in
      guard case .growing = state.progress else { return [] }
      state.progress = progress
      defer { state.observers = [] }
      return state.observers
    }
    for observer in observers { observer() }
  }

  /// Calls `observer` once when the progress differs from `seen`: at once if it does already. The call comes
  /// from any thread, and must not block.
  public func notify(after seen: Progress, _ observer: @escaping @Sendable () -> Void) {
    let isDue = state.withLock { state -> Bool in
      guard state.progress == seen else { return true }
      state.observers.append(observer)
      return false
    }
    if isDue { observer() }
  }
}
