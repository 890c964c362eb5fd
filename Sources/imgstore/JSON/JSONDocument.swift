// What all JSON documents have in common (docs/json.md): one object, with the version of its schema and its kind.
// A list has an envelope, so that it can get more keys.
//
// 1. Documents and all values in them are `Codable` as the compiler derives it: the schemas of docs/schema are read
//    off `init(from:)` (JSONSchema.swift), and a hand-written one would have them lie.
// 2. `JSONDocuments.all` has every kind.

import FoundationEssentials
import Images
import Platform

/// A document that a command prints with --json.
protocol JSONDocument: Codable {
  /// Its kind, which is also the name of its schema.
  static var kind: String { get }
  /// The version of its schema: grows when a key goes or changes its meaning.
  static var schema: Int { get }
}

extension JSONDocument {
  static var schema: Int { 1 }
}

/// A string with a fixed set of values.
protocol JSONEnumeration: Codable, CaseIterable, RawRepresentable where RawValue == String {}

/// The keys that every document has.
enum JSONEnvelopeKey: String, CodingKey, CaseIterable {
  case schema
  case document
}

/// A document as it is printed.
private struct JSONEnvelope<Body: JSONDocument>: Encodable {
  let body: Body

  func encode(to encoder: any Encoder) throws {
    try body.encode(to: encoder)
    var container = encoder.container(keyedBy: JSONEnvelopeKey.self)
    try container.encode(Body.schema, forKey: .schema)
    try container.encode(Body.kind, forKey: .document)
  }
}

/// Prints a document, with sorted keys.
func printJSON<Document: JSONDocument>(_ document: Document) throws {
  JSONOutput.begin()
  print(try text(of: document))
}

private func text<Document: JSONDocument>(of document: Document) throws -> String {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
  return String(decoding: try encoder.encode(JSONEnvelope(body: document)), as: UTF8.self)
}

/// A command prints one document: a failure after it is told by its exit code and on standard error.
enum JSONOutput {
  private enum State {
    case nothing
    case begun
    /// The thread that waits for signals prints, and ends the process.
    case interrupted
  }
  private static let state = Monitor(State.nothing)

  /// Says that standard output has something of this command. Never returns where a signal ends the process.
  static func begin() {
    state.wait { state -> Void? in
      if state == .interrupted { return nil }
      state = .begun
      return ()
    }
  }

  /// Prints the document of a failure where none was printed before.
  static func printFailure(_ error: ErrorJSON) {
    if state.withLock({ $0 }) == .begun { return }
    try? printJSON(error)
  }

  /// Has a signal that ends the process print the document of that failure, where none was printed before.
  static func followSignals() {
    Interruption.setDocument { signal, words in
      let isFirst = state.withLock { state in
        defer { if state == .nothing { state = .interrupted } }
        return state == .nothing
      }
      guard isFirst, let error = try? text(of: ErrorJSON(signal: signal, words)) else { return nil }
      return Array((error + "\n").utf8)
    }
  }
}

/// A document that is one list, whose elements are printed as they come, one a line.
struct JSONList<Document: JSONListDocument> {
  private let encoder = JSONEncoder()
  private var isEmpty = true

  init() {
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    JSONOutput.begin()
    print("{\"document\":\"\(Document.kind)\",\"\(Document.listKey)\":[", terminator: "")
  }

  mutating func add(_ value: Document.Element) throws {
    print(isEmpty ? "\n" : ",\n", terminator: "")
    isEmpty = false
    print(String(decoding: try encoder.encode(value), as: UTF8.self), terminator: "")
  }

  mutating func end() { print((isEmpty ? "" : "\n") + "],\"schema\":\(Document.schema)}") }
}

/// A document that is one list of a length that is not known before.
protocol JSONListDocument: JSONDocument {
  associatedtype Element: Codable
  /// The key of the list.
  static var listKey: String { get }
}

/// What a failed command prints.
struct ErrorJSON: JSONDocument {
  static let kind = "error"
  struct Details: Codable {
    let code: ErrorCode
    let object: String
    let message: String
    let advice: String

    init(_ error: any ExplainedError) {
      code = error.errorCode
      object = error.object
      message = error.finding
      advice = error.advice
    }

    fileprivate init(interrupted message: String) {
      code = .interrupted
      object = "the command"
      self.message = message
      advice = ""
    }

    fileprivate init(usage message: String) {
      code = .usage
      object = ""
      self.message = message
      advice = ""
    }
  }
  let error: Details

  /// Why a signal ended the command.
  /// - Parameter words: what becomes of its work; nil where it has changed nothing.
  init(signal: Int32, _ words: String?) {
    error = Details(
      interrupted: words ?? "was interrupted by a signal (\(InterruptedError.name(of: signal)))")
  }

  init(_ error: any ExplainedError) { self.error = Details(error) }

  /// What is wrong with the words of the command line.
  init(usage message: String) { error = Details(usage: message) }
}

extension ErrorCode: JSONEnumeration {}
extension SnapshotOrigin: JSONEnumeration {}
