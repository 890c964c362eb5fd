// The tests that `make test-fast` omits: those that run other programs, and sweeps.

import Foundation
import Testing

public enum TestSelection {
  /// Whether only fast tests run: in-process, no sweeps (`make test-fast` sets IMGSTORE_TESTS=fast).
  public static let isFast = ProcessInfo.processInfo.environment["IMGSTORE_TESTS"] == "fast"
}

extension Trait where Self == ConditionTrait {
  /// Marks tests that run other programs (bash, tar, mksquashfs, …) or compare with them.
  ///
  /// `run` and `shell` throw in a fast run, so that no test without this mark can use them.
  public static var usesTools: Self {
    .disabled(if: TestSelection.isFast, "runs other programs: not a fast test")
  }

  /// Marks tests that repeat one scenario for many faults, kills, seeds or inputs, and take seconds.
  public static var sweep: Self {
    .disabled(if: TestSelection.isFast, "a sweep: not a fast test")
  }
}
