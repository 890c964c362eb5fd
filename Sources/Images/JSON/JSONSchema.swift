// JSON Schemas of the documents that commands print, derived from their Swift types (JSONObject.swift).
//
// The schemas allow unknown keys and unknown values of enumerations, as docs/json.md requires of programs
// that read documents. The tests forbid them.

/// The schema of one kind of document.
public struct JSONSchema {
  private let kind: String
  private let version: Int
  private let top: String
  private let objects: [String: JSONObjectShape]

  /// Derives the schema of a kind of document.
  /// - Throws: `JSONSchemaConflict` if objects with different keys have one name.
  public init<Document: JSONDocument>(of type: Document.Type) throws {
    let shapes = JSONShapes()
    _ = type.shape(in: shapes)
    guard shapes.conflicts.isEmpty else { throw JSONSchemaConflict(names: shapes.conflicts) }
    kind = Document.kind
    version = Document.schema
    top = type.form.name
    objects = shapes.objects
  }

  /// The schema as a JSON value: JSON Schema, draft 2020-12.
  public var json: JSONTree {
    var document = objects[top].map(body) ?? [:]
    var properties = document["properties"]?.object ?? [:]
    properties[JSONEnvelopeKey.schema.rawValue] = .object(["const": .integer(version)])
    properties[JSONEnvelopeKey.document.rawValue] = .object(["const": .string(kind)])
    document["properties"] = .object(properties)
    let required = document["required"]?.array ?? []
    document["required"] = .array(
      JSONEnvelopeKey.allCases.map { .string($0.rawValue) } + required)
    document["$schema"] = .string("https://json-schema.org/draft/2020-12/schema")
    document["$id"] = .string("urn:imgstore:json:\(kind):\(version)")
    document["title"] = .string("imgstore: \(kind)")
    let others = objects.filter { $0.key != top }
    if !others.isEmpty {
      document["$defs"] = .object(others.mapValues { .object(body(of: $0)) })
    }
    return .object(document)
  }

  private func body(of object: JSONObjectShape) -> [String: JSONTree] {
    var properties: [String: JSONTree] = [:]
    for member in object.members { properties[member.key] = json(of: member.shape) }
    let required = object.members.filter { !$0.isOptional }.map { JSONTree.string($0.key) }
    return [
      "type": .string("object"), "properties": .object(properties), "required": .array(required),
    ]
  }

  private func json(of shape: JSONShape) -> JSONTree {
    func type(_ name: String) -> [String: JSONTree] { ["type": .string(name)] }
    switch shape {
    case .string: return .object(type("string"))
    case .boolean: return .object(type("boolean"))
    case .number: return .object(type("number"))
    case .integer(let isUnsigned):
      return .object(type("integer").merging(isUnsigned ? ["minimum": .integer(0)] : [:]) { $1 })
    // More values may be added, so these are examples.
    case .enumeration(let values):
      return .object(
        type("string").merging(["examples": .array(values.map { .string($0) })]) { $1 })
    case .array(let element):
      return .object(type("array").merging(["items": json(of: element)]) { $1 })
    case .dictionary(let element):
      return .object(type("object").merging(["additionalProperties": json(of: element)]) { $1 })
    case .object(let name): return .object(["$ref": .string("#/$defs/\(name)")])
    }
  }
}

/// Objects with different keys have these names.
public struct JSONSchemaConflict: Error {
  public let names: [String]
}

/// A JSON value without a type of its own.
public enum JSONTree: Encodable, Sendable {
  case string(String)
  case integer(Int)
  case boolean(Bool)
  case array([JSONTree])
  case object([String: JSONTree])

  public var array: [JSONTree]? { if case .array(let values) = self { values } else { nil } }
  public var object: [String: JSONTree]? {
    if case .object(let values) = self { values } else { nil }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .string(let value): try container.encode(value)
    case .integer(let value): try container.encode(value)
    case .boolean(let value): try container.encode(value)
    case .array(let values): try container.encode(values)
    case .object(let values): try container.encode(values)
    }
  }
}
