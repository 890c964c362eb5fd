// Decides whether an image is due for its scheduled snapshot. Local time decides, as for retention.

import Platform
import Settings
import Store

extension Schedule {
  /// A timer may be up to a tenth of the time early, and is still on time.
  private static let earlyShare = 0.1

  /// Returns whether a snapshot is due.
  /// - Parameters:
  ///   - last: the time of the last check, in seconds since 1970; nil if there was none. A time in the future
  ///     comes from a wrong clock, and does not delay the next snapshot.
  ///   - now: the current time, in seconds since 1970.
  func isDue(last: Int64?, now: Int64) -> Bool {
    if self == .never { return false }
    guard let last, last <= now else { return true }
    switch self {
    case .never: return false
    case .each(let period): return period.name(of: last) != period.name(of: now)
    case .every(let seconds, _):
      return Double(now - last) >= seconds * (1 - Schedule.earlyShare)
    }
  }
}

extension Schedule.Period {
  /// Returns the name of the period with a time in it.
  fileprivate func name(of time: Int64) -> String {
    switch self {
    case .hourly: localTime(time, "%Y-%m-%d %H %z")
    case .daily: localTime(time, "%Y-%m-%d")
    case .weekly: localTime(time, "%G-%V")
    case .monthly: localTime(time, "%Y-%m")
    }
  }
}

extension RetentionPolicy {
  /// Creates the policy of a configuration.
  public init(_ settings: RetentionSettings) {
    self.init()
    last = settings.last?.value
    hourly = settings.hourly?.value
    daily = settings.daily?.value
    weekly = settings.weekly?.value
    monthly = settings.monthly?.value
    yearly = settings.yearly?.value
    automatic = settings.automatic?.value
    withinSeconds = settings.within.flatMap { Quantity.historySeconds($0.value) }
    tagged = settings.tagged?.value ?? false
  }
}
