// Dates of header fields (RFC 9110 section 5.6.7). They count whole seconds.

import Glibc

/// The forms of a date.
package enum HTTPDate {
  private static let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
  private static let longDays = [
    "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
  ]
  private static let months = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]

  /// Returns "Sun, 06 Nov 1994 08:49:37 GMT". Years outside 0 to 9999 are those limits.
  package static func text(_ seconds: Int64) -> String {
    var time = time_t(min(max(seconds, -62_167_219_200), 253_402_300_799))
    var parts = tm()
    gmtime_r(&time, &parts)
    func two(_ value: Int32) -> String { (value < 10 ? "0" : "") + String(value) }
    let year = String(parts.tm_year + 1900)
    return "\(days[Int(parts.tm_wday)]), \(two(parts.tm_mday)) \(months[Int(parts.tm_mon)]) "
      + String(repeating: "0", count: max(0, 4 - year.utf8.count)) + year
      + " \(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)) GMT"
  }

  /// Parses the form of today and both obsolete ones; nil for other text.
  /// - Parameter now: decides the century of a year of two digits.
  package static func parse(_ text: String, now: Int64) -> Int64? {
    let parts = text.split(separator: " ", omittingEmptySubsequences: true).map(String.init)
    if parts.count == 6, parts[5] == "GMT", parts[0].hasSuffix(","),
      days.contains(String(parts[0].dropLast()))
    {
      return seconds(parts[3], digits: 4, parts[2], parts[1], parts[4])
    }
    if parts.count == 4, parts[3] == "GMT", parts[0].hasSuffix(","),
      longDays.contains(String(parts[0].dropLast()))
    {
      // Sunday, 06-Nov-94 08:49:37 GMT
      let date = parts[1].split(separator: "-", omittingEmptySubsequences: false).map(String.init)
      guard date.count == 3, date[2].utf8.count == 2, let short = number(date[2]) else {
        return nil
      }
      let century = (now / 31_556_952 + 1970) / 100 * 100
      let parsed = seconds("\(century + short)", digits: 4, date[1], date[0], parts[2])
      // A date more than 50 years ahead is one of the past century.
      guard let parsed, parsed > now + 50 * 31_556_952 else { return parsed }
      return seconds("\(century - 100 + short)", digits: 4, date[1], date[0], parts[2])
    }
    if parts.count == 5, days.contains(parts[0]) {
      // Sun Nov  6 08:49:37 1994
      return seconds(parts[4], digits: 4, parts[1], parts[2], parts[3])
    }
    return nil
  }

  private static func number(_ text: some StringProtocol) -> Int64? {
    text.utf8.allSatisfy(isDigit) && text.utf8.count <= 4 ? Int64(text) : nil
  }

  private static func seconds(
    _ year: String, digits: Int, _ month: String, _ day: String, _ time: String
  ) -> Int64? {
    let clock = time.split(separator: ":", omittingEmptySubsequences: false)
    guard year.utf8.count == digits, let year = number(year),
      let month = months.firstIndex(of: month),
      let day = number(day), (1...31).contains(day), clock.count == 3,
      clock.allSatisfy({ $0.utf8.count == 2 }), let hour = number(clock[0]), hour < 24,
      let minute = number(clock[1]), minute < 60, let second = number(clock[2]), second <= 60
    else { return nil }
    var parts = tm()
    parts.tm_year = Int32(year - 1900)
    parts.tm_mon = Int32(month)
    parts.tm_mday = Int32(day)
    parts.tm_hour = Int32(hour)
    parts.tm_min = Int32(minute)
    parts.tm_sec = Int32(second)
    let result = timegm(&parts)
    // A day that the month does not have became one of the next month.
    return parts.tm_mday == Int32(day) || second == 60 ? Int64(result) : nil
  }
}
