// The JSON form of outcomes and values (docs/json.md). Each type lists its keys once, in `form`. The list
// gives both the document (`encode`) and the schema of docs/schema (`shape`).
//
// 1. A key has one type in all values: that of its expression.
// 2. A key is optional, and left out if it has no value, exactly if its expression is optional.
// 3. Paths are printable, in a spelling from which a program can restore the bytes (PrintableBytes.swift).

/// A value with a JSON form that its type determines.
public protocol JSONValue: Encodable {
  /// Returns the form, and adds the objects in it to `shapes`.
  static func shape(in shapes: JSONShapes) -> JSONShape
  /// Encodes the value of a key. Plain values have their own functions: the generic one of `JSONEncoder`
  /// takes twice as long.
  func add(_ key: JSONKeyName, to object: inout JSONContainer) throws
}

/// The encoded keys of an object.
public typealias JSONContainer = KeyedEncodingContainer<JSONKeyName>

extension JSONValue {
  public func add(_ key: JSONKeyName, to object: inout JSONContainer) throws {
    try object.encode(self, forKey: key)
  }
}

/// A value that is a JSON object with known keys.
public protocol JSONObject: JSONValue {
  /// The keys, and the name of the type in schemas.
  static var form: JSONForm<Self> { get }
}

/// A document that a command prints with --json. It is one object, so that more keys can be added. Its form
/// has a kind.
public protocol JSONDocument: JSONObject {}

/// A string with a fixed set of values.
public protocol JSONEnumeration: JSONValue, CaseIterable, RawRepresentable
where RawValue == String {}

/// The form of an object.
public struct JSONForm<Root>: Sendable {
  /// The name of the type in schemas.
  public let name: String
  /// The kind of a document, which is also the name of its schema; empty for other objects.
  public let kind: String
  fileprivate let keys: @Sendable (inout JSONKeys<Root>) -> Void

  /// - Parameters:
  ///   - name: The name in schemas; nil for that of the type: "Import.Image" for "imgstore.ImportJSON.Image".
  ///   - keys: Lists the keys: `key("name") { … }` for each.
  public init(
    _ name: String? = nil, kind: String = "",
    _ keys: @escaping @Sendable (_ key: inout JSONKeys<Root>) -> Void
  ) {
    self.name =
      name
      ?? String(reflecting: Root.self).split(separator: ".").dropFirst()
      .map { $0.hasSuffix("JSON") ? String($0.dropLast(4)) : String($0) }.joined(separator: ".")
    self.kind = kind
    self.keys = keys
  }
}

extension JSONDocument {
  /// The kind of the document.
  public static var kind: String { form.kind }
  /// The version of its schema. It grows when a key is removed or changes its meaning.
  public static var schema: Int { 1 }
}

extension JSONObject {
  public static func shape(in shapes: JSONShapes) -> JSONShape {
    var keys = JSONKeys<Self>(shapes)
    form.keys(&keys)
    return shapes.add(form.name, JSONObjectShape(members: keys.members))
  }

  public func encode(to encoder: any Encoder) throws {
    var keys = JSONKeys(self, encoder.container(keyedBy: JSONKeyName.self))
    Self.form.keys(&keys)
    if let error = keys.error { throw error }
  }
}

/// The keys of an object: encodes those of a value, or collects the shapes of those of a type.
public struct JSONKeys<Root> {
  private let root: Root?
  private var container: KeyedEncodingContainer<JSONKeyName>?
  private let shapes: JSONShapes?
  fileprivate private(set) var members: [JSONObjectShape.Member] = []
  fileprivate private(set) var error: (any Error)?

  fileprivate init(_ root: Root, _ container: KeyedEncodingContainer<JSONKeyName>) {
    (self.root, self.container, shapes) = (root, container, nil)
  }

  fileprivate init(_ shapes: JSONShapes) {
    (root, container, self.shapes) = (nil, nil, shapes)
  }

  /// Adds a key that every value has.
  public mutating func callAsFunction<Value: JSONValue>(
    _ name: String, _ value: (Root) -> Value
  ) {
    if let root { encode(name, value(root)) } else { add(name, Value.self, isOptional: false) }
  }

  /// Adds a key that is left out if it has no value.
  public mutating func callAsFunction<Value: JSONValue>(
    _ name: String, _ value: (Root) -> Value?
  ) {
    guard let root else { return add(name, Value.self, isOptional: true) }
    if let value = value(root) { encode(name, value) }
  }

  private mutating func encode(_ name: String, _ value: some JSONValue) {
    guard error == nil, var container else { return }
    do {
      try value.add(JSONKeyName(stringValue: name), to: &container)
    } catch { self.error = error }
  }

  private mutating func add(_ name: String, _ type: (some JSONValue).Type, isOptional: Bool) {
    guard let shapes else { return }
    members.append(.init(key: name, shape: type.shape(in: shapes), isOptional: isOptional))
  }
}

/// The name of a key.
public struct JSONKeyName: CodingKey {
  public let stringValue: String
  public var intValue: Int? { nil }

  public init(stringValue: String) { self.stringValue = stringValue }
  public init?(intValue: Int) { nil }
}
