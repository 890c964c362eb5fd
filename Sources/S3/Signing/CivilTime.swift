// The three spellings of a time in UTC that requests and answers have. The arithmetic is that of the proleptic
// Gregorian calendar (days in eras of 400 years). All years here have four digits.

/// Seconds since 1970 as texts.
enum CivilTime {
  private static let months = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]

  /// Returns "20150830T123600Z" (ISO 8601, basic format).
  static func basic(_ seconds: Int64) -> String {
    let (days, second) = seconds.quotientAndRemainderFloored(86_400)
    let (year, month, day) = date(days)
    return digits(year, 4) + digits(month, 2) + digits(day, 2) + "T" + digits(second / 3600, 2)
      + digits(second / 60 % 60, 2) + digits(second % 60, 2) + "Z"
  }

  /// Returns the time of a Date header: "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, IMF-fixdate); nil for other
  /// text.
  static func parseHTTPDate(_ text: String) -> Int64? {
    let parts = text.split(separator: " ")
    guard parts.count == 6, parts[5] == "GMT", let day = Int64(parts[1]),
      let month = months.firstIndex(of: String(parts[2])), let year = Int64(parts[3]),
      let time = timeOfDay(parts[4])
    else { return nil }
    return seconds(year, Int64(month + 1), day, time)
  }

  /// Returns the time of "2010-11-10T20:48:33.000Z" (ISO 8601 in UTC); nil for other text.
  static func parseISO8601(_ text: String) -> Int64? {
    let halves = text.split(separator: "T")
    guard halves.count == 2, text.hasSuffix("Z") else { return nil }
    let parts = halves[0].split(separator: "-")
    guard parts.count == 3, let year = Int64(parts[0]), let month = Int64(parts[1]),
      let day = Int64(parts[2]), let time = timeOfDay(halves[1].prefix(8))
    else { return nil }
    return seconds(year, month, day, time)
  }

  private static func timeOfDay(_ text: Substring) -> Int64? {
    let parts = text.split(separator: ":")
    guard parts.count == 3, let hour = Int64(parts[0]), let minute = Int64(parts[1]),
      let second = Int64(parts[2]), (0...23).contains(hour), (0...59).contains(minute),
      (0...60).contains(second)
    else { return nil }
    return hour * 3600 + minute * 60 + second
  }

  private static func seconds(_ year: Int64, _ month: Int64, _ day: Int64, _ time: Int64)
    -> Int64?
  {
    guard (1970...9999).contains(year), (1...12).contains(month), (1...31).contains(day) else {
      return nil
    }
    // Years begin in March, so that the leap day is their last one.
    let marchYear = month <= 2 ? year - 1 : year
    let (era, yearOfEra) = marchYear.quotientAndRemainderFloored(400)
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    return (era * 146_097 + dayOfEra - 719_468) * 86_400 + time
  }

  private static func date(_ days: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let (era, dayOfEra) = (days + 719_468).quotientAndRemainderFloored(146_097)
    let yearOfEra =
      (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let marchMonth = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
    let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
  }

  private static func digits(_ value: Int64, _ count: Int) -> String {
    let text = String(value)
    return String(repeating: "0", count: max(0, count - text.utf8.count)) + text
  }
}

extension Int64 {
  fileprivate func quotientAndRemainderFloored(_ divisor: Int64) -> (Int64, Int64) {
    let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
  }
}
