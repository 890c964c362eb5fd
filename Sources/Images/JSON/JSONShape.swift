// The JSON forms of types, from which the schemas of docs/schema are printed.

/// The JSON form of a type.
public indirect enum JSONShape: Equatable {
  case string
  case boolean
  case number
  case integer(isUnsigned: Bool)
  case enumeration([String])
  case array(of: JSONShape)
  /// An object whose keys are data.
  case dictionary(of: JSONShape)
  /// An object with known keys, by the name of its type.
  case object(String)
}

/// The keys of an object.
public struct JSONObjectShape: Equatable {
  public struct Member: Equatable {
    public let key: String
    public let shape: JSONShape
    /// Whether the key is left out if there is no value.
    public let isOptional: Bool
  }
  public let members: [Member]
}

/// Collects the JSON forms of objects.
public final class JSONShapes {
  public private(set) var objects: [String: JSONObjectShape] = [:]
  /// The names that types with different keys share.
  public private(set) var conflicts: [String] = []

  public init() {}

  func add(_ name: String, _ object: JSONObjectShape) -> JSONShape {
    if let other = objects.updateValue(object, forKey: name), other != object {
      conflicts.append(name)
    }
    return .object(name)
  }
}

extension JSONEnumeration {
  public static func shape(in shapes: JSONShapes) -> JSONShape {
    .enumeration(allCases.map(\.rawValue))
  }
}

extension String: JSONValue {
  public static func shape(in shapes: JSONShapes) -> JSONShape { .string }
  public func add(_ key: JSONKeyName, to object: inout JSONContainer) throws {
    try object.encode(self, forKey: key)
  }
}
extension Bool: JSONValue {
  public static func shape(in shapes: JSONShapes) -> JSONShape { .boolean }
  public func add(_ key: JSONKeyName, to object: inout JSONContainer) throws {
    try object.encode(self, forKey: key)
  }
}
extension Double: JSONValue {
  public static func shape(in shapes: JSONShapes) -> JSONShape { .number }
  public func add(_ key: JSONKeyName, to object: inout JSONContainer) throws {
    try object.encode(self, forKey: key)
  }
}
extension Int: JSONValue {
  public static func shape(in shapes: JSONShapes) -> JSONShape { .integer(isUnsigned: false) }
  public func add(_ key: JSONKeyName, to object: inout JSONContainer) throws {
    try object.encode(self, forKey: key)
  }
}
extension Int64: JSONValue {
  public static func shape(in shapes: JSONShapes) -> JSONShape { .integer(isUnsigned: false) }
  public func add(_ key: JSONKeyName, to object: inout JSONContainer) throws {
    try object.encode(self, forKey: key)
  }
}
extension UInt32: JSONValue {
  public static func shape(in shapes: JSONShapes) -> JSONShape { .integer(isUnsigned: true) }
  public func add(_ key: JSONKeyName, to object: inout JSONContainer) throws {
    try object.encode(self, forKey: key)
  }
}
extension UInt64: JSONValue {
  public static func shape(in shapes: JSONShapes) -> JSONShape { .integer(isUnsigned: true) }
  public func add(_ key: JSONKeyName, to object: inout JSONContainer) throws {
    try object.encode(self, forKey: key)
  }
}
extension Array: JSONValue where Element: JSONValue {
  public static func shape(in shapes: JSONShapes) -> JSONShape {
    .array(of: Element.shape(in: shapes))
  }
}
extension Dictionary: JSONValue where Key == String, Value: JSONValue {
  public static func shape(in shapes: JSONShapes) -> JSONShape {
    .dictionary(of: Value.shape(in: shapes))
  }
}
