// The time that one command may wait for locks, all waits together. A command that takes several locks would
// otherwise wait the whole time for each of them.

/// The rest of the time that a command may wait. All of its waits take from it.
public final class WaitBudget: Sendable, Equatable {
  private let rest: Monitor<Double>

  /// Creates a budget of some seconds.
  public init(seconds: Double) { rest = Monitor(max(0, seconds)) }

  /// The seconds that are left.
  public var seconds: Double { rest.withLock { $0 } }

  /// Records that a wait took some seconds.
  func spend(_ seconds: Double) { rest.withLock { $0 = max(0, $0 - seconds) } }

  public static func == (a: WaitBudget, b: WaitBudget) -> Bool { a === b }
}

extension LockWait {
  /// Returns the same limit for all waits of a command together.
  public var shared: LockWait {
    guard case .atMost(let seconds) = self, seconds > 0 else { return self }
    return .within(WaitBudget(seconds: seconds))
  }

  /// The seconds that a wait may take now; nil for no limit.
  public var maxSeconds: Double? {
    switch self {
    case .forever: nil
    case .atMost(let seconds): seconds
    case .within(let budget): budget.seconds
    }
  }

  /// Records that a wait took some seconds.
  public func spend(_ seconds: Double) {
    if case .within(let budget) = self { budget.spend(seconds) }
  }
}
