// Work that produces more work: a walk over a tree, where each directory leads to its subdirectories.
//
// 1. The stack is last in, first out: a walk goes deep before it goes wide, so few items wait.
// 2. After the first error no further item is taken.

/// Items that several threads process, and add to.
public final class WorkStack<Item: Sendable>: Sendable {
  private struct State {
    var items: [Item] = []
    /// The number of threads that are processing an item, and may add more.
    var active = 0
    var hasFailed = false
  }

  private let state = Monitor(State())

  /// Creates an empty stack.
  public init() {}

  /// Processes items until none are left.
  /// - Parameters:
  ///   - first: the initial items; the first of them is taken first.
  ///   - body: processes an item and returns new items; the first of them is taken next.
  /// - Throws: the first error that `body` threw.
  public func run(
    _ first: [Item], threads: Int, _ body: @escaping @Sendable (Item) throws -> [Item]
  ) throws {
    state.update { $0 = State(items: first.reversed()) }
    try runThreads(threads) { [self] _ in
      while let item = take() {
        let added: [Item]
        do { added = try body(item) } catch {
          state.update { $0.hasFailed = true }
          throw error
        }
        state.update { state in
          state.items += added.reversed()
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
