// The common form of all JSON documents (docs/json.md): one object, with the version of its schema and its
// kind. A list is inside an object, too, so that more keys can be added.

import FoundationEssentials
import Glibc
import Images

/// The keys that every document has.
enum JSONEnvelopeKey: String, CodingKey, CaseIterable {
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

/// Makes sure that a command prints one document. A later failure is reported by the exit code and on
/// standard error.
enum JSONOutput {
  private enum State {
    /// The command has printed nothing yet.
    case nothing
    /// The command has begun to print.
    case begun
    /// The signal thread prints a document and ends the process.
    case interrupted
  }
  private static let state = Monitor(State.nothing)

  /// Notes that the command prints on standard output. Does not return if a signal ends the process.
  static func begin() {
    state.wait { state -> Void? in
      if state == .interrupted { return nil }
      state = .begun
      return ()
    }
  }

  /// Prints the document of a failure: on standard output, unless the command has begun to print, and as
  /// one line on standard error.
  static func printFailure(_ error: ErrorJSON) {
    if state.withLock({ $0 }) != .begun { try? printJSON(error) }
    fflush(nil)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    if let line = try? encoder.encode(JSONEnvelope(body: error)) {
      Terminal.line(String(decoding: line, as: UTF8.self))
    }
  }

  /// Makes a signal that ends the process print the document of this failure, unless the command has begun to
  /// print.
  static func followSignals() {
    Interruption.setDocument { signal, message in
      let isFirst = state.withLock { state in
        defer { if state == .nothing { state = .interrupted } }
        return state == .nothing
      }
      guard isFirst, let error = try? text(of: ErrorJSON(signal: signal, message)) else {
        return nil
      }
      return Array((error + "\n").utf8)
    }
  }
}

/// Prints a document that is one list, element by element, one per line.
struct JSONList<Document: JSONListDocument> {
  private let encoder = JSONEncoder()
  private var isEmpty = true

  init() {
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    JSONOutput.begin()
    print("{\"document\":\"\(Document.kind)\",\"\(Document.kind)\":[", terminator: "")
  }

  mutating func add(_ value: Document.Element) throws {
    print(isEmpty ? "\n" : ",\n", terminator: "")
    isEmpty = false
    print(String(decoding: try encoder.encode(value), as: UTF8.self), terminator: "")
  }

  mutating func end() { print((isEmpty ? "" : "\n") + "],\"schema\":\(Document.schema)}") }
}

/// A document that is one list, whose length is unknown when printing begins. The key of the list is the
/// kind.
protocol JSONListDocument: JSONDocument {
  associatedtype Element: JSONValue
  var list: [Element] { get }
}

/// The document of a failed command.
struct ErrorJSON: JSONDocument {
  private let error: ErrorDetails
  /// The nodes that boot the image, if the error is that the image has no snapshot.
  private var nodes: [String]?

  /// The failure of a command that a signal ended.
  /// - Parameter message: The state of its work; nil if it has changed nothing.
  init(signal: Int32, _ message: String?) {
    error = ErrorDetails(
      .interrupted, "the command",
      message ?? "was interrupted by a signal (\(InterruptedError.name(of: signal)))")
  }

  init(_ error: any ExplainedError) {
    self.error = ErrorDetails(error)
    nodes = (error as? UnsnapshottedImage)?.nodes
  }

  /// The failure of a command line.
  init(usage message: String) { error = ErrorDetails(.usage, "", message) }

  static let form = JSONForm<Self>(kind: "error") { key in
    key("error", \.error)
    key("nodes", \.nodes)
  }
}
