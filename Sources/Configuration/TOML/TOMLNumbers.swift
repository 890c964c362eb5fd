// The numbers, booleans, dates and times of a TOML document (https://toml.io/en/v1.0.0#integer).

/// Values that are written as one word.
enum TOMLWord {
  /// Returns the value of a word; nil if it is none.
  static func value(_ word: String) -> TOMLValue? {
    switch word {
    case "true": return .boolean(true)
    case "false": return .boolean(false)
    case "inf", "+inf": return .float(.infinity)
    case "-inf": return .float(-.infinity)
    case "nan", "+nan", "-nan": return .float(.nan)
    default: break
    }
    if let integer = integer(word) { return .integer(integer) }
    if let float = float(word) { return .float(float) }
    return isDateTime(word) ? .dateTime(word) : nil
  }

  private static func integer(_ word: String) -> Int64? {
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] where word.hasPrefix(prefix) {
      return digits(word.dropFirst(2), radix: radix).flatMap { Int64($0, radix: radix) }
    }
    let (sign, number) = split(word)
    guard let plain = digits(number, radix: 10), plain == "0" || !plain.hasPrefix("0") else {
      return nil
    }
    return Int64(sign + plain)
  }

  private static func float(_ word: String) -> Double? {
    let (sign, number) = split(word)
    let parts = number.split(
      omittingEmptySubsequences: false, whereSeparator: { $0 == "e" || $0 == "E" })
    guard let mantissa = parts.first, parts.count <= 2 else { return nil }
    let halves = mantissa.split(separator: ".", omittingEmptySubsequences: false)
    guard halves.count <= 2, halves.count == 2 || parts.count == 2,
      let whole = digits(halves[0], radix: 10), whole == "0" || !whole.hasPrefix("0")
    else { return nil }
    var text = sign + whole
    if halves.count == 2 {
      guard let fraction = digits(halves[1], radix: 10) else { return nil }
      text += "." + fraction
    }
    if parts.count == 2 {
      let (sign, number) = split(String(parts[1]))
      guard let exponent = digits(number, radix: 10) else { return nil }
      text += "e" + sign + exponent
    }
    return Double(text)
  }

  private static func split(_ word: String) -> (sign: String, number: Substring) {
    guard let first = word.first, first == "+" || first == "-" else { return ("", word[...]) }
    return (first == "-" ? "-" : "", word.dropFirst())
  }

  /// Returns digits without the underscores between them; nil for other text.
  private static func digits(_ text: Substring, radix: Int) -> String? {
    let groups = text.split(separator: "_", omittingEmptySubsequences: false)
    let isNumber = groups.allSatisfy { group in
      !group.isEmpty
        && group.utf8.allSatisfy { byte in
          Character(UnicodeScalar(byte)).hexDigitValue.map { $0 < radix } ?? false
        }
    }
    return isNumber ? groups.joined() : nil
  }

  // MARK: Dates and times (RFC 3339)

  /// Returns whether a word is a date, a time, or a date and a time with or without an offset.
  static func isDateTime(_ word: String) -> Bool {
    var rest = Array(word.utf8)[...]
    if isTime(rest) { return true }
    guard takeDate(&rest) else { return false }
    guard let separator = rest.popFirst() else { return true }
    guard [UInt8(ascii: "T"), UInt8(ascii: "t"), 0x20].contains(separator) else { return false }
    if let last = rest.last, last == UInt8(ascii: "Z") || last == UInt8(ascii: "z") {
      return isTime(rest.dropLast())
    }
    let offset = rest.suffix(6)
    if let sign = offset.first, sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") {
      var clock = offset.dropFirst()
      return takeClock(&clock) && clock.isEmpty && isTime(rest.dropLast(6))
    }
    return isTime(rest)
  }

  private static func isTime(_ text: ArraySlice<UInt8>) -> Bool {
    var rest = text
    guard takeClock(&rest), rest.popFirst() == UInt8(ascii: ":"), let second = number(&rest, 2),
      second < 60
    else { return false }
    guard let dot = rest.popFirst() else { return true }
    return dot == UInt8(ascii: ".") && !rest.isEmpty && rest.allSatisfy(isDigit)
  }

  private static func takeClock(_ rest: inout ArraySlice<UInt8>) -> Bool {
    guard let hour = number(&rest, 2), hour < 24, rest.popFirst() == UInt8(ascii: ":"),
      let minute = number(&rest, 2), minute < 60
    else { return false }
    return true
  }

  private static func takeDate(_ rest: inout ArraySlice<UInt8>) -> Bool {
    guard let year = number(&rest, 4), rest.popFirst() == UInt8(ascii: "-"),
      let month = number(&rest, 2), (1...12).contains(month), rest.popFirst() == UInt8(ascii: "-"),
      let day = number(&rest, 2)
    else { return false }
    let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    let days = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    return year > 0 && (1...days[month - 1]).contains(day)
  }

  private static func number(_ rest: inout ArraySlice<UInt8>, _ count: Int) -> Int? {
    let digits = rest.prefix(count)
    guard digits.count == count, digits.allSatisfy(isDigit) else { return nil }
    rest = rest.dropFirst(count)
    return digits.reduce(0) { $0 * 10 + Int($1 - 0x30) }
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
}
