// The operations that a sweep fails or kills. A whole sweep takes minutes; IMGSTORE_SWEEP=all runs
// it.

import Foundation

/// Numbers of operations, endless: all of them, or one in `step` from a random start, so that many
/// runs together reach each. A failure's message names its operation.
public struct Sweep: Sequence {
  public let start: Int
  public let step: Int

  public static let isWhole = ProcessInfo.processInfo.environment["IMGSTORE_SWEEP"] == "all"

  /// How many rounds of a property test run: all of them in a whole sweep, else one in four.
  public static func rounds(_ whole: Int) -> Int { isWhole ? whole : (whole + 3) / 4 }

  /// Some of the arguments of a test: all of them in a whole sweep, else one in `step` from a random start.
  public static func some<Argument>(of all: [Argument], every step: Int) -> [Argument] {
    if isWhole { return all }
    return stride(from: Int.random(in: 0..<step), to: all.count, by: step).map { all[$0] }
  }

  public init(every step: Int) {
    self.step = Sweep.isWhole ? 1 : step
    start = Int.random(in: 0..<self.step)
  }

  public func makeIterator() -> AnyIterator<Int> {
    var next = start
    return AnyIterator {
      defer { next += step }
      return next
    }
  }

  /// Scales a count over the whole sweep to this one.
  public func share(of count: Int) -> Int { count / step }
}
