// Reads the values of one table of a configuration file, and collects what is wrong with them.

import Platform

/// The problems of a file.
final class ConfigurationProblems {
  var errors: [ConfigurationError] = []
}

/// A table of a configuration file.
struct SectionReader {
  let path: String
  let table: TOMLTable
  /// The key of the table with a dot behind it; empty for the whole file.
  let prefix: String
  let problems: ConfigurationProblems

  func fail(_ line: Int, _ reason: String, hint: String = "") {
    problems.errors.append(ConfigurationError(path, line: line, reason, hint: hint))
  }

  /// Reports the keys that are not in a list, each with the nearest one that is.
  func requireKnown(_ keys: [String]) {
    for key in table.keys where !keys.contains(key) {
      let near = Spelling.near(key, keys).first
      fail(
        table[key]?.line ?? table.line, "'\(prefix)\(printable(key.utf8))' is not a setting",
        hint: near.map { "Did you mean '\(prefix)\($0)'?" }
          ?? "The settings here are " + keys.joined(separator: ", "))
    }
  }

  private func setting<Value>(
    _ key: String, _ expected: String, _ convert: (TOMLValue) -> Value?
  ) -> Setting<Value>? {
    guard let item = table[key] else { return nil }
    guard let value = convert(item.value) else {
      fail(item.line, "'\(prefix)\(key)' must be \(expected), and is \(describe(item.value))")
      return nil
    }
    return Setting(value, .file(path, line: item.line))
  }

  private func describe(_ value: TOMLValue) -> String {
    switch value {
    case .string(let text): TOMLText.string(text)
    case .integer(let number): "\(number)"
    case .boolean(let value): "\(value)"
    default: value.noun
    }
  }

  /// Reads a text.
  func text<Value>(
    _ key: String, _ expected: String, _ convert: (String) -> Value?
  ) -> Setting<Value>? {
    setting(key, expected) { value in
      guard case .string(let text) = value, !text.utf8.contains(0) else { return nil }
      return convert(text)
    }
  }

  func absolutePath(_ key: String) -> Setting<String>? {
    text(key, "an absolute path") { AbsolutePath($0) == nil || $0 == "/" ? nil : $0 }
  }

  func oneOf(_ key: String, _ words: [String]) -> Setting<String>? {
    text(key, "one of " + words.joined(separator: ", ")) { words.contains($0) ? $0 : nil }
  }

  /// The largest size and the longest time: more than any store or night has, and safe to compute with.
  private static let maxBytes: UInt64 = 1 << 60
  private static let maxSeconds = 1e9

  /// Reads a size: a text such as "20G", or a number of bytes.
  func size(_ key: String) -> Setting<UInt64>? {
    setting(key, "a size such as \"20G\"") { value in
      let bytes: UInt64? =
        switch value {
        case .string(let text): Quantity.bytes(text)
        case .integer(let number): UInt64(exactly: number)
        default: nil
        }
      return bytes.flatMap { $0 <= Self.maxBytes ? $0 : nil }
    }
  }

  /// Reads a duration: a text such as "30m", or a number of seconds.
  func duration(_ key: String) -> Setting<Double>? {
    setting(key, "a time such as \"30m\"") { value in
      let seconds: Double? =
        switch value {
        case .string(let text): Quantity.seconds(text)
        case .integer(let number): Double(number)
        default: nil
        }
      return seconds.flatMap { (0...Self.maxSeconds).contains($0) ? $0 : nil }
    }
  }

  func count(_ key: String) -> Setting<Int>? {
    setting(key, "a number from 0 to 1000000") { value in
      guard case .integer(let number) = value, (0...1_000_000).contains(number) else { return nil }
      return Int(number)
    }
  }

  func boolean(_ key: String) -> Setting<Bool>? {
    setting(key, "true or false") { value in
      guard case .boolean(let value) = value else { return nil }
      return value
    }
  }

  func strings(_ key: String, _ expected: String = "a list of strings") -> Setting<[String]>? {
    setting(key, expected) { value in
      guard case .array(let items) = value, items.count <= 1000 else { return nil }
      var texts: [String] = []
      for item in items {
        guard case .string(let text) = item.value, !text.isEmpty, !text.utf8.contains(0) else {
          return nil
        }
        texts.append(text)
      }
      return texts
    }
  }

  /// Reads a program with its arguments: a list that begins with an absolute path. No shell interprets it.
  func command(_ key: String) -> Setting<[String]>? {
    guard let words = strings(key, "a list: the absolute path of a program, and its arguments")
    else { return nil }
    guard let program = words.value.first, AbsolutePath(program) != nil, program != "/" else {
      fail(
        table[key]?.line ?? table.line,
        "'\(prefix)\(key)' must begin with the absolute path of a program",
        hint: "Each word is a string of its own: [\"/usr/bin/sync\", \"-f\"]")
      return nil
    }
    return words
  }

  /// Returns a table in this one; nil if it is not there.
  func section(_ key: String) -> SectionReader? {
    guard let item = table[key] else { return nil }
    guard case .table(let inner) = item.value else {
      fail(item.line, "'\(prefix)\(key)' must be a table, and is \(describe(item.value))")
      return nil
    }
    let isBare =
      !key.isEmpty
      && key.utf8.allSatisfy {
        $0 == 0x2d || $0 == 0x5f || Character(UnicodeScalar($0)).isLetter
          || Character(UnicodeScalar($0)).isNumber
      }
    return SectionReader(
      path: path, table: inner, prefix: prefix + (isBare ? key : TOMLText.string(key)) + ".",
      problems: problems)
  }
}
