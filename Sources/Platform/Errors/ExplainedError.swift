// The shape that every error has where it reaches a person: what, where, what it means, what to do.

/// What kind of failure an error is. Exit codes and JSON documents rest on it (docs/json.md): a value keeps its
/// meaning, and new ones may come.
public enum ErrorCode: String, Sendable, CaseIterable, Codable {
  case failed
  /// Words of the command line that do not fit the command.
  case usage
  /// There is no such image, snapshot, path or store.
  case notFound = "not-found"
  /// Another process holds a lock, and waiting for it was not allowed, or took too long.
  case busy
  /// Stored bytes are not what they were.
  case damaged
  /// A change of the image was begun and has not ended.
  case unfinished
  /// A signal stopped a change before anything was changed.
  case interrupted
}

/// An error that explains itself. Each room has its own type; the command line prints them alike.
public protocol ExplainedError: Error {
  /// The object that the error is about: "snapshot compute@3", "pack 3fa9…".
  var object: String { get }
  /// What was expected or tried, and what was found, as one sentence without its full stop.
  var finding: String { get }
  /// What to do next, as one sentence without its full stop; empty where nothing can be advised.
  var advice: String { get }
  /// The finding is a whole sentence that names its object, as xCAT's own messages are.
  var isSentence: Bool { get }
  /// What kind of failure it is, for programs.
  var errorCode: ErrorCode { get }
}

extension ExplainedError {
  public var errorCode: ErrorCode { .failed }
  public var isSentence: Bool { false }

  /// What is wrong, in one line.
  public var statement: String { isSentence ? finding : "\(object): \(finding)." }

  /// One paragraph for a terminal or a log.
  public var explanation: String {
    advice.isEmpty ? statement : "\(statement)\n  \(advice)."
  }
}

extension SystemError: ExplainedError {
  public var errorCode: ErrorCode { code == .notFound ? .notFound : .failed }
  public var object: String { path.isEmpty ? "the system" : printable(path) }
  public var finding: String { "cannot \(operation): \(code)" }
  public var advice: String {
    switch code {
    case .noSpace, .quota: "Make room on that file system and run the command again"
    case .accessDenied, .notPermitted:
      isRoot
        ? "Look for flags ('lsattr'), missing capabilities, and what the file system's server or "
          + "security policy refuses"
        : "Run the command as root, or as the owner of that path"
    case .tooManyOpenFiles, .tooManyOpenFilesInSystem:
      "Raise the limit on open files (ulimit -n) and run the command again"
    case .tryAgain where operation == "start a thread":
      "Raise the limits on processes and memory (ulimit -u, ulimit -v) and run the command again"
    case .outOfMemory: "Raise the limit on memory (ulimit -v) and run the command again"
    case .notImplemented: "Check that /proc is mounted; this kernel may be too old, too"
    case .readOnly: "The file system is mounted read-only: mount it writable first"
    default: ""
    }
  }
}
