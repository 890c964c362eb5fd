// The values of a TOML document (https://toml.io/en/v1.0.0), each with the line that it is on.
//
// A table remembers how it was defined, because TOML forbids most ways of defining one twice.

/// A table of a document: keys in the order of their definition.
public final class TOMLTable {
  /// How a table was defined.
  enum Origin {
    /// By the header of another table: `[a]` is implied by `[a.b]`.
    case implied
    /// By its own header.
    case header
    /// By a dotted key: `a` is defined by `a.b = 1`.
    case dottedKey
    /// As `{ … }`, which is complete.
    case inline
  }

  var origin: Origin
  /// The line of the definition.
  public internal(set) var line: Int
  /// The keys, in the order of their definition.
  public private(set) var keys: [String] = []
  private var items: [String: TOMLItem] = [:]

  init(_ origin: Origin, line: Int) { (self.origin, self.line) = (origin, line) }

  /// The value of a key; nil if there is none.
  public subscript(_ key: String) -> TOMLItem? { items[key] }

  func add(_ key: String, _ item: TOMLItem) {
    keys.append(key)
    items[key] = item
  }
}

/// A value, and the lines of its key and of itself.
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
  /// A date, a time, or both, as it is written.
  case dateTime(String)
  case array([TOMLItem])
  /// The tables of `[[a]]`, to which further headers add.
  case tableArray(TOMLTableArray)
  case table(TOMLTable)

  /// The name of the type, with its article.
  public var noun: String {
    switch self {
    case .string: "a string"
    case .integer: "an integer"
    case .float: "a float"
    case .boolean: "a boolean"
    case .dateTime: "a date or time"
    case .array, .tableArray: "an array"
    case .table: "a table"
    }
  }
}

/// The tables that headers like `[[a]]` define.
public final class TOMLTableArray {
  public internal(set) var tables: [TOMLTable] = []
}

/// A text that is not a TOML document.
public struct TOMLError: Error, Equatable {
  /// The line, from 1.
  public let line: Int
  /// The reason, as a clause.
  public let reason: String
}
