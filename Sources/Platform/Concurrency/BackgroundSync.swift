// Makes file systems durable on separate threads, while the caller goes on reading.
//
// 1. Data is certain to be on disk only after `wait` has returned.
// 2. `wait` throws the first error of a sync.

/// The `syncfs` calls in progress.
public final class BackgroundSync: Sendable {
  private struct State {
    var underWay = 0
    var failure: SystemError?
  }

  private let fileSystem: any FileSystem
  private let state = Monitor(State())

  /// Creates a set without calls.
  public init(_ fileSystem: any FileSystem) { self.fileSystem = fileSystem }

  /// Starts a `syncfs` of the file system that holds an open file.
  public func begin(_ file: Descriptor) {
    state.withLock { $0.underWay += 1 }
    let sync: @Sendable () -> Void = { [fileSystem, state] in
      var failure: SystemError?
      do throws(SystemError) {
        try fileSystem.syncFileSystem(of: file.raw)
      } catch {
        failure = error
      }
      state.update { state in
        state.underWay -= 1
        state.failure = state.failure ?? failure
      }
    }
    // If the system grants no thread, sync on the caller's.
    if (try? startDetachedThread(sync)) == nil { sync() }
  }

  /// Waits until every sync that was begun has finished.
  /// - Throws: `SystemError`: the first sync that failed.
  public func wait() throws(SystemError) {
    let failure = state.wait { $0.underWay == 0 ? .some($0.failure) : nil }
    if let failure { throw failure }
  }
}
