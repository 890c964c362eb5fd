// When `maintain` takes a snapshot of an image.

import Platform

/// How often `maintain` takes a snapshot of an image.
public enum Schedule: Sendable, Equatable {
  /// A part of the calendar, in local time. An image is due if it was not checked in the present one yet, so
  /// that a timer with a random delay skips no day.
  public enum Period: String, Sendable, CaseIterable {
    case hourly, daily, weekly, monthly
  }

  case never
  case each(Period)
  /// A time between two checks.
  case every(seconds: Double, text: String)

  /// The schedule of images without a setting.
  public static let standard = Schedule.each(.daily)

  /// The words of schedules.
  static let words = ["never"] + Period.allCases.map(\.rawValue)

  /// Parses "daily", "never" or a time such as "6h"; nil for other text.
  public init?(_ text: String) {
    if text == "never" {
      self = .never
    } else if let period = Period(rawValue: text) {
      self = .each(period)
    } else if let last = text.last, !last.isNumber, let seconds = Quantity.seconds(text),
      seconds >= 60
    {
      self = .every(seconds: seconds, text: text)
    } else {
      return nil
    }
  }

  /// The schedule as the configuration has it.
  public var text: String {
    switch self {
    case .never: "never"
    case .each(let period): period.rawValue
    case .every(_, let text): text
    }
  }
}
