// Determines the JSON form of a `Codable` type: decodes a value of the type without input, and records its
// requests.
//
// 1. Every array has one element, every dictionary has one key, and every optional value is present.
// 2. Only compiler-derived implementations are supported. If a type reads a key conditionally, its
//    description is incomplete.
// 3. A type that contains itself cannot be described.

/// The reason why a type cannot be described.
struct ShapeError: Error {
  let reason: String
}

/// Collects the JSON forms of types.
final class ShapeCollector {
  private(set) var objects: [String: JSONObjectShape] = [:]
  private var open: Set<String> = []

  /// Returns the JSON form of a type, with a value of the type.
  /// - Throws: `ShapeError`.
  func shape<Value: Decodable>(of type: Value.Type) throws -> (shape: JSONShape, value: Value) {
    if let (shape, value) = primitive(type) ?? enumeration(type) {
      guard let value = value as? Value else { throw ShapeError(reason: "\(type) is unknown") }
      return (shape, value)
    }
    let name = ShapeCollector.name(of: type)
    guard open.insert(name).inserted else { throw ShapeError(reason: "\(type) contains itself") }
    defer { open.remove(name) }
    let decoder = ShapeDecoder(self)
    let value = try Value(from: decoder)
    switch decoder.result {
    case .object(let object):
      objects[name] = object
      return (.object(name), value)
    case .array(let element): return (.array(of: element), value)
    case .dictionary(let element): return (.dictionary(of: element), value)
    case nil: throw ShapeError(reason: "\(type) asks for nothing")
    }
  }

  private func primitive(_ type: any Decodable.Type) -> (JSONShape, any Decodable)? {
    switch type {
    case is String.Type: (.string, "")
    case is Bool.Type: (.boolean, false)
    case is Double.Type: (.number, 0.0)
    case is Int.Type: (.integer(isUnsigned: false), 0)
    case is Int64.Type: (.integer(isUnsigned: false), Int64(0))
    case is UInt32.Type: (.integer(isUnsigned: true), UInt32(0))
    case is UInt64.Type: (.integer(isUnsigned: true), UInt64(0))
    default: nil
    }
  }

  private func enumeration(_ type: any Decodable.Type) -> (JSONShape, any Decodable)? {
    func shape<E: JSONEnumeration>(_ type: E.Type) -> (JSONShape, any Decodable)? {
      guard let first = Array(type.allCases).first else { return nil }
      return (.enumeration(type.allCases.map(\.rawValue)), first)
    }
    guard let type = type as? any JSONEnumeration.Type else { return nil }
    return shape(type)
  }

  /// Returns the name of a type in the schemas: "Import.Image" for "imgstore.ImportJSON.Image".
  private static func name(of type: any Decodable.Type) -> String {
    String(reflecting: type).split(separator: ".").dropFirst()
      .map { $0.hasSuffix("JSON") ? String($0.dropLast(4)) : String($0) }.joined(separator: ".")
  }
}

/// Answers the requests of a type, and records them.
private final class ShapeDecoder: Decoder {
  enum Result {
    case object(JSONObjectShape)
    case array(JSONShape)
    case dictionary(JSONShape)
  }

  let collector: ShapeCollector
  var result: Result?
  /// The keys whose presence the type has tested.
  fileprivate var optional: Set<String> = []
  /// Whether the keys are data: the type has requested all keys.
  fileprivate var isDictionary = false

  init(_ collector: ShapeCollector) { self.collector = collector }

  var codingPath: [any CodingKey] { [] }
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedDecodingContainer<Key> {
    if result == nil { result = .object(JSONObjectShape()) }
    return KeyedDecodingContainer(KeyedShape<Key>(decoder: self))
  }

  func unkeyedContainer() -> any UnkeyedDecodingContainer { UnkeyedShape(decoder: self) }

  func singleValueContainer() throws -> any SingleValueDecodingContainer {
    throw ShapeError(reason: "a value that is neither object nor list")
  }

  fileprivate func note(_ key: String, _ shape: JSONShape) {
    if isDictionary {
      result = .dictionary(shape)
    } else if case .object(var object) = result {
      object.members.append(.init(key: key, shape: shape, isOptional: optional.contains(key)))
      result = .object(object)
    }
  }
}

private struct KeyedShape<Key: CodingKey>: KeyedDecodingContainerProtocol {
  let decoder: ShapeDecoder
  var codingPath: [any CodingKey] { [] }
  var allKeys: [Key] {
    decoder.isDictionary = true
    return [Key(stringValue: "key")].compactMap(\.self)
  }

  func contains(_ key: Key) -> Bool {
    decoder.optional.insert(key.stringValue)
    return true
  }

  func decodeNil(forKey key: Key) -> Bool { false }

  func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
    let (shape, value) = try decoder.collector.shape(of: type)
    decoder.note(key.stringValue, shape)
    return value
  }

  func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type, forKey key: Key
  ) throws -> KeyedDecodingContainer<Nested> {
    throw ShapeError(reason: "a nested container")
  }
  func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
    throw ShapeError(reason: "a nested container")
  }
  func superDecoder() throws -> any Decoder { throw ShapeError(reason: "a superclass") }
  func superDecoder(forKey key: Key) throws -> any Decoder {
    throw ShapeError(reason: "a superclass")
  }
}

private struct UnkeyedShape: UnkeyedDecodingContainer {
  let decoder: ShapeDecoder
  var codingPath: [any CodingKey] { [] }
  var count: Int? { 1 }
  var currentIndex = 0
  var isAtEnd: Bool { currentIndex > 0 }

  init(decoder: ShapeDecoder) { self.decoder = decoder }

  mutating func decodeNil() -> Bool { false }

  mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    let (shape, value) = try decoder.collector.shape(of: type)
    decoder.result = .array(shape)
    currentIndex += 1
    return value
  }

  mutating func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type
  ) throws -> KeyedDecodingContainer<Nested> {
    throw ShapeError(reason: "a nested container")
  }
  mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
    throw ShapeError(reason: "a nested container")
  }
  mutating func superDecoder() throws -> any Decoder { throw ShapeError(reason: "a superclass") }
}
