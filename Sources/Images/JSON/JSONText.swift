// The common form of all JSON documents (docs/json.md): one object, with the version of its schema and its
// kind. A list is inside an object, too, so that more keys can be added.
//
// The command line and the HTTP server write documents with these functions only, so that both give the same
// bytes.

import FoundationEssentials

/// The keys that every document has.
public enum JSONEnvelopeKey: String, CodingKey, CaseIterable {
  case schema
  case document
}

/// A document with the keys of the envelope.
private struct JSONEnvelope<Body: JSONDocument>: Encodable {
  let body: Body

  func encode(to encoder: any Encoder) throws {
    try body.encode(to: encoder)
    var container = encoder.container(keyedBy: JSONEnvelopeKey.self)
    try container.encode(Body.schema, forKey: .schema)
    try container.encode(Body.kind, forKey: .document)
  }
}

/// Encodes documents as text.
public enum JSONText {
  /// Returns a document with sorted keys, on several lines.
  public static func document<Document: JSONDocument>(_ document: Document) throws -> String {
    try encoded(JSONEnvelope(body: document), [.prettyPrinted])
  }

  /// Returns a document with sorted keys, on one line.
  public static func line<Document: JSONDocument>(_ document: Document) throws -> String {
    try encoded(JSONEnvelope(body: document), [])
  }

  /// Returns a value without an envelope, on several lines.
  public static func tree(_ tree: JSONTree) throws -> String {
    try encoded(tree, [.prettyPrinted])
  }

  private static func encoded(
    _ value: some Encodable, _ formatting: JSONEncoder.OutputFormatting
  ) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = formatting.union([.sortedKeys, .withoutEscapingSlashes])
    return String(decoding: try encoder.encode(value), as: UTF8.self)
  }
}

/// A document that is one list, whose length is unknown when printing begins. The key of the list is the
/// kind.
public protocol JSONListDocument: JSONDocument {
  associatedtype Element: JSONValue
  var list: [Element] { get }
}

/// Encodes a document that is one list, element by element, one per line.
public struct JSONListText<Document: JSONListDocument> {
  private let encoder = JSONEncoder()
  private var isEmpty = true

  public init() { encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes] }

  /// The text before the first element.
  public var start: String { "{\"document\":\"\(Document.kind)\",\"\(Document.kind)\":[" }

  /// Returns the text of the next element.
  public mutating func element(_ value: Document.Element) throws -> String {
    defer { isEmpty = false }
    return (isEmpty ? "\n" : ",\n") + String(decoding: try encoder.encode(value), as: UTF8.self)
  }

  /// The text after the last element.
  public var end: String { (isEmpty ? "" : "\n") + "],\"schema\":\(Document.schema)}" }
}
