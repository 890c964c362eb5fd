// The values of a TOML document (https://toml.io/en/v1.0.0), each with the line that it is on.

/// A table of a document: keys in the order of their definition.
public struct TOMLTable {
  /// The line of the table's header, or of its first key.
  public let line: Int
  /// The keys, in the order of their definition.
  public private(set) var keys: [String] = []
  private var items: [String: TOMLItem] = [:]

  init(line: Int) { self.line = line }

  /// The value of a key; nil if there is none.
  public subscript(_ key: String) -> TOMLItem? { items[key] }

  /// Adds a key. Returns false if there is an equal one.
  mutating func add(_ key: String, _ item: TOMLItem) -> Bool {
    guard items.updateValue(item, forKey: key) == nil else { return false }
    keys.append(key)
    return true
  }
}

/// A value and its line.
public struct TOMLItem {
  /// The line of the key, or of an element in an array.
  public let line: Int
  /// The value.
  public let value: TOMLValue
}

/// A value of a document.
public enum TOMLValue {
  case string(String)
  case integer(Int64)
  case float(Double)
  case boolean(Bool)
  /// A date, a time, or both.
  case dateTime
  case array([TOMLItem])
  case table(TOMLTable)

  /// The name of the type, with its article.
  public var noun: String {
    switch self {
    case .string: "a string"
    case .integer: "an integer"
    case .float: "a float"
    case .boolean: "a boolean"
    case .dateTime: "a date or time"
    case .array: "an array"
    case .table: "a table"
    }
  }
}

/// A text that is not a TOML document.
public struct TOMLError: Error, Equatable {
  /// The line, from 1.
  public let line: Int
  /// The reason, as a clause.
  public let reason: String
}
