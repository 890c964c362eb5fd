// Sizes and durations as people write them: on the command line and in the configuration.

/// Parses sizes and durations.
public enum Quantity {
  /// Returns the number of bytes of a size: "500M" and "500MB" are powers of 1000, "500Mi" and "500MiB" of
  /// 1024. Returns nil for other text.
  public static func bytes(_ text: String) -> UInt64? {
    var (number, unit) = split(text)
    if unit.hasSuffix("b") { unit.removeLast() }
    let isBinary = unit.hasSuffix("i")
    if isBinary { unit.removeLast() }
    let powers = ["": 0, "k": 1, "m": 2, "g": 3, "t": 4]
    let parts = number.split(separator: ".", omittingEmptySubsequences: false)
    guard let power = powers[unit], !isBinary || power > 0, let whole = UInt64(parts[0]),
      parts.count == 1 || parts.count == 2 && power > 0 && UInt32(parts[1]) != nil
    else { return nil }
    let factor = (0..<power).reduce(UInt64(1)) { product, _ in product * (isBinary ? 1024 : 1000) }
    let (bytes, overflow) = whole.multipliedReportingOverflow(by: factor)
    let fraction = parts.count == 2 ? Double("0.\(parts[1])") ?? 0 : 0
    return overflow ? .max : bytes &+ min(UInt64(fraction * Double(factor)), .max - bytes)
  }

  /// Returns the seconds of a duration: "90s", "5m", "1h30m", "1d". A number without a unit is in seconds.
  /// Returns nil for other text.
  public static func seconds(_ text: String) -> Double? {
    let factors: [Character: Double] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
    var rest = text.lowercased()[...]
    if !rest.isEmpty, rest.allSatisfy({ $0.isASCII && $0.isNumber }) { rest += "s" }
    var total = 0.0
    repeat {
      let digits = rest.prefix { $0.isASCII && $0.isNumber }
      rest = rest.dropFirst(digits.count)
      guard let number = UInt32(digits), let factor = rest.popFirst().flatMap({ factors[$0] })
      else { return nil }
      total += Double(number) * factor
    } while !rest.isEmpty
    return total
  }

  /// Returns the seconds of a span of history: "24h", "30d", "8w", "6m", "2y". Months have 31 days, and years
  /// 366. Returns nil for other text.
  public static func historySeconds(_ text: String) -> Int64? {
    let units: [Character: Int64] = [
      "h": 3600, "d": 86_400, "w": 7 * 86_400, "m": 31 * 86_400, "y": 366 * 86_400,
    ]
    guard let unit = text.last.flatMap({ units[$0] }), let number = Int32(text.dropLast()),
      number > 0
    else { return nil }
    return Int64(number) * unit
  }

  private static func split(_ text: String) -> (number: String, unit: String) {
    let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    return (String(digits), text.dropFirst(digits.count).lowercased())
  }
}
