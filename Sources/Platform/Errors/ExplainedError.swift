// Errors with a message for people and a code for programs.

/// The grammatical form of an error's reason.
public enum ReasonForm: Sendable {
  /// The reason continues the subject: "snapshot compute@3" "does not exist".
  case predicate
  /// The reason is a clause of its own: "store /srv/s" "cannot open /srv/s/format: Permission denied".
  case clause
  /// The reason is a whole sentence that names its subject, as xCAT's own messages are.
  case sentence
}

/// An error that explains itself. Each module has its own type; the command line prints them all alike.
public protocol ExplainedError: Error {
  /// The object that the error is about: "snapshot compute@3", "pack 3fa9…".
  var subject: String { get }
  /// The reason, without a full stop.
  var reason: String { get }
  /// The next step: an imperative sentence without its full stop; empty if there is none.
  var hint: String { get }
  /// The form of the reason.
  var form: ReasonForm { get }
  /// The kind of the error, for programs.
  var errorCode: ErrorCode { get }
  /// The subject and the reason, on one line.
  var message: String { get }
}

extension ExplainedError {
  public var errorCode: ErrorCode { .failed }
  public var form: ReasonForm { .predicate }

  public var message: String {
    switch form {
    case .predicate: "\(subject) \(reason)"
    case .clause: "\(subject): \(reason)"
    case .sentence: reason
    }
  }

  /// The message, and the hint on a line of its own, for a terminal or a log.
  public var messageWithHint: String { hint.isEmpty ? message : "\(message)\nhint: \(hint)" }
}

extension SystemError: ExplainedError {
  public var errorCode: ErrorCode {
    switch code {
    case .notFound: .notFound
    case .noSpace, .quota: .noSpace
    case .accessDenied, .notPermitted: .accessDenied
    case .readOnly: .readOnly
    default: .systemError
    }
  }
  public var form: ReasonForm { .clause }
  public var message: String {
    "cannot \(operation)\(path.isEmpty ? "" : " \(printable(path))"): \(code)"
  }
  public var subject: String { path.isEmpty ? "the system" : printable(path) }
  public var reason: String { "cannot \(operation): \(code)" }
  public var hint: String {
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
