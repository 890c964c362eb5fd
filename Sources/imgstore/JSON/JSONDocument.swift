// How commands print JSON documents (docs/json.md): on standard output, one for each command.

import Glibc
import Images

/// Prints a document, with sorted keys.
func printJSON<Document: JSONDocument>(_ document: Document) throws {
  JSONOutput.begin()
  print(try JSONText.document(document))
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
    if let line = try? JSONText.line(error) { Terminal.line(line) }
  }

  /// Makes a signal that ends the process print the document of this failure, unless the command has begun to
  /// print.
  static func followSignals() {
    Interruption.setDocument { signal, message in
      let isFirst = state.withLock { state in
        defer { if state == .nothing { state = .interrupted } }
        return state == .nothing
      }
      guard isFirst, let error = try? JSONText.document(ErrorJSON(signal: signal, message)) else {
        return nil
      }
      return Array((error + "\n").utf8)
    }
  }
}

/// Prints a document that is one list, element by element, one per line.
struct JSONList<Document: JSONListDocument> {
  private var text = JSONListText<Document>()

  init() {
    JSONOutput.begin()
    print(text.start, terminator: "")
  }

  mutating func add(_ value: Document.Element) throws {
    print(try text.element(value), terminator: "")
  }

  mutating func end() { print(text.end) }
}

extension ErrorJSON {
  /// The failure of a command that a signal ended.
  /// - Parameter message: The state of its work; nil if it has changed nothing.
  init(signal: Int32, _ message: String?) {
    self.init(
      .interrupted, "the command",
      message ?? "was interrupted by a signal (\(InterruptedError.name(of: signal)))")
  }

  /// The failure of a command.
  init(_ error: any ExplainedError) {
    self.init(error, nodes: (error as? UnsnapshottedImage)?.nodes)
  }

  /// The failure of a command line.
  init(usage message: String) { self.init(.usage, "", message) }
}
