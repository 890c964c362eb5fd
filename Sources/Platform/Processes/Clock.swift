// Time and randomness from the system. Time is for records and progress only: no clock ever decides
// that data may be deleted.

import CLinux
import Glibc

/// Returns the wall-clock time.
public func now() -> Timestamp { Timestamp(nanoseconds: clinux_clock_real_ns()) }

/// A source of the wall-clock time. Tests inject their own, so that months pass in a second.
public struct WallClock: Sendable {
  /// The clock of the system.
  public static let system = WallClock { Platform.now() }

  /// Returns the time.
  public let now: @Sendable () -> Timestamp

  /// Creates a clock.
  public init(_ now: @escaping @Sendable () -> Timestamp) { self.now = now }
}

/// Returns the seconds of a clock that never jumps; only differences have a meaning.
public func monotonicSeconds() -> Double { Double(clinux_clock_monotonic_ns()) / 1e9 }

/// Returns 16 random hexadecimal digits, for names of temporary files.
public func randomName() -> String {
  var value: UInt64 = 0
  if clinux_random(&value, 8) != 0 { value = UInt64(bitPattern: clinux_clock_monotonic_ns()) }
  return String(value | 1 << 63, radix: 16)
}

/// Raises the limit on open files as far as the system allows. Call it before threads start: growing a
/// descriptor table that several threads use blocks the caller until all processors have been through
/// the scheduler (synchronize_rcu: 10 to 30 ms each time).
public func raiseFileLimit() {
  _ = clinux_raise_file_limit()
  clinux_widen_descriptors(2048)
}

/// Returns the number of files that this process may have open.
public func openFileLimit() -> Int {
  var limit = rlimit()
  guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
  return Int(clamping: limit.rlim_cur)
}

/// Returns after a time.
public func pause(milliseconds: UInt32) { usleep(milliseconds * 1000) }

/// Whether the effective user is root.
public var isRoot: Bool { geteuid() == 0 }

/// Returns the number of columns of the terminal at `file`; nil if it is not a terminal.
public func terminalColumns(_ file: Int32) -> Int? {
  let columns = clinux_terminal_columns(file)
  return columns > 0 ? Int(columns) : nil
}
