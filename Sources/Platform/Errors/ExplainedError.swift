// The form of every error that a person sees: the object, the reason, and what to do.

/// The kind of an error. Exit codes and JSON documents depend on it (docs/json.md): a value keeps its
/// meaning, and new ones may be added.
public enum ErrorCode: String, Sendable, CaseIterable, Codable {
  case failed
  /// The command line does not fit the command.
  case usage
  /// No such image, snapshot, path or store exists.
  case notFound = "not-found"
  /// Another process holds a lock, and waiting was not allowed or took too long.
  case busy
  /// Stored bytes have changed.
  case damaged
  /// An earlier change of the image has not finished.
  case unfinished
  /// A signal stopped a change before anything was modified.
  case interrupted
}

/// An error that explains itself. Each module has its own type; the command line prints them all
/// alike.
public protocol ExplainedError: Error {
  /// The object that the error is about: "snapshot compute@3", "pack 3fa9…".
  var object: String { get }
  /// The reason: a clause that follows the object, without a full stop.
  var finding: String { get }
  /// The next step: an imperative sentence without its full stop; empty if there is none.
  var advice: String { get }
  /// Whether the reason is a whole sentence that names its object, as xCAT's own messages are.
  var isSentence: Bool { get }
  /// The kind of the error, for programs.
  var errorCode: ErrorCode { get }
}

extension ExplainedError {
  public var errorCode: ErrorCode { .failed }
  public var isSentence: Bool { false }

  /// The object and the reason, on one line.
  public var statement: String { isSentence ? finding : "\(object): \(finding)." }

  /// The statement and the advice, for a terminal or a log.
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
    case .noSpace, .quota: "Free space on that file system and run the command again"
    case .accessDenied, .notPermitted:
      isRoot
        ? "Check inode flags ('lsattr'), missing capabilities, and the rules of the file server or "
          + "the security policy"
        : "Run the command as root, or as the owner of that path"
    case .tooManyOpenFiles, .tooManyOpenFilesInSystem:
      "Raise the limit on open files (ulimit -n) and run the command again"
    case .tryAgain where operation == "start a thread":
      "Raise the limits on processes and memory (ulimit -u, ulimit -v) and run the command again"
    case .outOfMemory: "Raise the limit on memory (ulimit -v) and run the command again"
    case .notImplemented: "Check that /proc is mounted and that the kernel is recent enough"
    case .readOnly: "Remount the file system writable"
    default: ""
    }
  }
}
