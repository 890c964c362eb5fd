// Work that finds more work: a walk over a tree, where each directory leads to those below it.
//
// 1. The item that was found last is taken first: a walk goes deep before it goes wide, and few items wait.
// 2. After the first error no further item is taken.

/// Items that several threads work on, and add to.
public final class WorkStack<Item: Sendable>: Sendable {
  private struct State {
    var items: [Item] = []
    /// Threads that work on an item, and may find more.
    var active = 0
    var hasFailed = false
  }

  private let state = Monitor(State())

  public init() {}

  /// Works on items until there are none left.
  /// - Parameters:
  ///   - first: the first of them is taken first.
  ///   - body: returns the items that it found; the first of them is taken next.
  /// - Throws: the first error that `body` threw.
  public func run(
    _ first: [Item], threads: Int, _ body: @escaping @Sendable (Item) throws -> [Item]
  ) throws {
    state.update { $0 = State(items: first.reversed()) }
    try runThreads(threads) { [self] _ in
      while let item = take() {
        let found: [Item]
        do { found = try body(item) } catch {
          state.update { $0.hasFailed = true }
          throw error
        }
        state.update { state in
          state.items += found.reversed()
          state.active -= 1
        }
      }
    }
  }

  private func take() -> Item? {
    state.wait { state -> Item?? in
      if state.hasFailed { return .some(nil) }
      if let next = state.items.popLast() {
        state.active += 1
        return .some(next)
      }
      return state.active == 0 ? .some(nil) : nil
    }
  }
}
