// Parses command lines as xCAT's own commands do: with Perl's Getopt::Long and "bundling"
// (https://perldoc.perl.org/Getopt::Long), so that existing scripts keep working
// (docs/xcat-contract.md#command-line-parsing).
//
// 1. Options may be anywhere among the operands; "--" ends them; "-" alone is an operand.
// 2. "-vp node", "-vpnode", "--postscripts node", "--postscripts=node", "--post node": one-letter options
//    bundle, values follow with or without a blank, and a long name may be shortened while it is unambiguous.
// 3. One-letter options are case-sensitive, long ones are not. A mandatory value may be anything, even
//    "-x" and "--"; only "--long=" without a value is an error.
// 4. Getopt::Long warns of an error and xCAT continues without the option; here it is an error.

/// An option of a command: its spellings, and whether it takes a value.
public struct OptionRule<Key: Hashable & Sendable>: Sendable {
  public let key: Key
  /// The one-letter spellings and the lower-case long ones, without hyphens.
  public let names: [String]
  public let takesValue: Bool

  /// Creates a rule.
  public init(_ key: Key, _ names: String..., takesValue: Bool = false) {
    self.key = key
    self.names = names
    self.takesValue = takesValue
  }
}

/// An error in a command line.
public enum OptionError: Error, Equatable, Sendable {
  case unknown(String)
  case ambiguous(String, [String])
  case needsValue(String)
  case takesNoValue(String)

  /// The message in the words of Getopt::Long.
  public var text: String {
    switch self {
    case .unknown(let name): name.isEmpty ? "Missing option after -" : "Unknown option: \(name)"
    case .ambiguous(let name, let hits):
      "Option \(name) is ambiguous (\(hits.joined(separator: ", ")))"
    case .needsValue(let name): "Option \(name) requires an argument"
    case .takesNoValue(let name): "Option \(name) does not take an argument"
    }
  }
}

/// A parsed command line.
public struct ParsedArguments<Key: Hashable & Sendable>: Sendable {
  /// The options in their order.
  public var options: [(key: Key, value: String)] = []
  /// The operands in their order.
  public var operands: [String] = []

  /// Returns whether the option was given.
  public func has(_ key: Key) -> Bool { options.contains { $0.key == key } }
  /// Returns every value of an option that may be repeated.
  public func values(_ key: Key) -> [String] {
    options.compactMap { $0.key == key ? $0.value : nil }
  }
  /// Returns the value of an option that may not be repeated: the last one counts.
  public func value(_ key: Key) -> String? { values(key).last }
}

/// Parses a command line.
/// - Throws: `OptionError`: the first error.
public func parseArguments<Key>(
  _ arguments: [String], _ rules: [OptionRule<Key>]
) throws(OptionError) -> ParsedArguments<Key> {
  var parser = OptionParser(rest: arguments[...], rules: rules)
  return try parser.parse()
}

private struct OptionParser<Key: Hashable & Sendable> {
  var rest: ArraySlice<String>
  let rules: [OptionRule<Key>]
  var parsed = ParsedArguments<Key>()

  mutating func parse() throws(OptionError) -> ParsedArguments<Key> {
    while let word = rest.popFirst() {
      if word == "--" {
        parsed.operands += rest
        break
      }
      if word.hasPrefix("--") {
        try long(word.dropFirst(2))
      } else if word.hasPrefix("-"), word != "-" {
        try bundle(word.dropFirst())
      } else {
        parsed.operands.append(word)
      }
    }
    return parsed
  }

  private mutating func long(_ text: Substring) throws(OptionError) {
    // "--=x" names the option "=x", which does not exist.
    let equals = text.dropFirst().firstIndex(of: "=")
    let name = String(text[..<(equals ?? text.endIndex)]).asciiLowercased
    let attached = equals.map { String(text[text.index(after: $0)...]) }
    let rule = try find(long: name)
    guard rule.takesValue else {
      if attached != nil { throw .takesNoValue(name) }
      parsed.options.append((rule.key, ""))
      return
    }
    guard let value = attached ?? rest.popFirst(), attached != "" else { throw .needsValue(name) }
    parsed.options.append((rule.key, value))
  }

  private func find(long name: String) throws(OptionError) -> OptionRule<Key> {
    if let exact = rules.first(where: { $0.names.contains(name) }) { return exact }
    let hits = rules.filter { $0.names.contains { $0.hasPrefix(name) } }
    guard let hit = hits.first else { throw .unknown(name) }
    guard hits.count == 1 else {
      throw .ambiguous(name, hits.flatMap(\.names).filter { $0.hasPrefix(name) }.sorted())
    }
    return hit
  }

  /// Reads the first letter of a bundle. The rest is its value, or the next bundle.
  private mutating func bundle(_ text: Substring) throws(OptionError) {
    let letter = String(text.prefix(1))
    let remainder = text.dropFirst()
    guard let rule = rules.first(where: { $0.names.contains(letter) }) else {
      throw .unknown(letter)
    }
    guard rule.takesValue else {
      parsed.options.append((rule.key, ""))
      if !remainder.isEmpty { rest = ["-" + String(remainder)] + rest }
      return
    }
    guard let value = remainder.isEmpty ? rest.popFirst() : String(remainder) else {
      throw .needsValue(letter)
    }
    parsed.options.append((rule.key, value))
  }
}

extension String {
  fileprivate var asciiLowercased: String {
    String(
      decoding: utf8.map { (0x41...0x5a).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
  }
}
