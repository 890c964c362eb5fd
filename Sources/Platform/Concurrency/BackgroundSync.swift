// File systems are made durable by threads of their own, while what only reads goes on.
//
// 1. Nothing is certain to be on disk before `settle` has returned.
// 2. What a sync meets is thrown by `settle`.

/// `syncfs` calls under way.
public final class BackgroundSync: Sendable {
  private struct State {
    var underWay = 0
    var failure: SystemError?
  }

  private let fileSystem: any FileSystem
  private let state = Monitor(State())

  public init(_ fileSystem: any FileSystem) { self.fileSystem = fileSystem }

  /// Begins to write out what has been written to a file's file system so far.
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
    // Without a thread of its own the caller waits for it.
    if (try? startDetachedThread(sync)) == nil { sync() }
  }

  /// Waits until all is on disk that was begun.
  public func settle() throws(SystemError) {
    let failure = state.wait { $0.underWay == 0 ? .some($0.failure) : nil }
    if let failure { throw failure }
  }
}
