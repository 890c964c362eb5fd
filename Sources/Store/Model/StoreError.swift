// The error type of the module. Store holds blobs, packs, trees, snapshots and refs; its specification is
// docs/format.md.

import Codec
import Platform

/// Describes a failure in the store: its kind, the subject, the reason, and what the user can do.
public struct StoreError: ExplainedError {
  /// The kind of a failure, which decides the error code.
  public enum Kind: Sendable, Equatable {
    /// Stored bytes have changed: bit rot, a torn write, or another program.
    case damaged
    /// An object that other stored data needs does not exist.
    case missing
    /// The store, snapshot, tag or file does not exist.
    case notFound
    /// The directory is not a store, or has a newer format version.
    case incompatible
    /// A system call failed.
    case system(SystemError)
    /// The index cannot be read or written, even after a rebuild.
    case index
    /// The store cannot do what was requested: a tag exists already, a store is read-only.
    case refused
    /// Another process holds a lock, and the wait was not requested or timed out.
    case busy
    /// The text is not a valid name of an image or a tag.
    case badName

    /// The usual code of a failure of this kind.
    fileprivate var errorCode: ErrorCode {
      switch self {
      case .damaged: .damaged
      case .missing: .objectMissing
      case .notFound: .notFound
      case .badName: .invalidName
      case .busy: .storeLocked
      case .incompatible: .storeIncompatible
      case .system(let error): error.code == .notFound ? .systemError : error.errorCode
      case .index: .indexUnusable
      case .refused: .failed
      }
    }
  }

  /// The kind of the failure.
  public let kind: Kind
  /// The subject of the message: the file, image or object.
  public let subject: String
  /// The reason, as a clause about the subject.
  public let reason: String
  /// What the user can do; empty if there is nothing to suggest.
  public let hint: String

  public let errorCode: ErrorCode

  public var form: ReasonForm {
    if case .system = kind { return .clause }
    return .predicate
  }

  /// For kind `index`: true if a rebuild of the index may help.
  let isIndexDamage: Bool

  /// Creates an error. `reason` is a clause about `subject`.
  /// - Parameter code: the stable code; nil for the usual one of the kind.
  public init(
    _ kind: Kind, _ subject: String, _ reason: String, hint: String = "", code: ErrorCode? = nil
  ) {
    self.init(kind, subject, reason, hint: hint, code: code, isIndexDamage: true)
  }

  init(
    _ kind: Kind, _ subject: String, _ reason: String, hint: String = "", code: ErrorCode? = nil,
    isIndexDamage: Bool
  ) {
    errorCode = code ?? kind.errorCode
    self.kind = kind
    self.isIndexDamage = isIndexDamage
    self.subject = subject
    self.reason = reason
    self.hint = hint
  }

  /// Returns the error for a failed system call on `subject`.
  static func system(_ error: SystemError, _ subject: String) -> StoreError {
    StoreError(
      .system(error), subject,
      "cannot \(error.operation)" + (error.path.isEmpty ? "" : " \(printable(error.path))")
        + ": \(error.code)",
      hint: error.isOutOfSpace
        ? "Free space on the store's file system and run the command again. The store is intact, and "
          + "'imgstore gc --remove-only' frees the data that the command stored"
        : error.hint)
  }

  /// Returns an error of kind `damaged`, with the hint to verify and repair.
  public static func damaged(_ subject: String, _ reason: String) -> StoreError {
    StoreError(
      .damaged, subject, reason,
      hint: "Run 'imgstore verify --deep' to see which snapshots are affected, then "
        + repairAdvice)
  }

  /// Returns an error of kind `missing`, with the hint to verify and repair.
  static func missing(_ subject: String, _ reason: String) -> StoreError {
    StoreError(
      .missing, subject, reason,
      hint: "Run 'imgstore verify' to see which snapshots are affected, then " + repairAdvice)
  }

  private static let repairAdvice =
    "'imgstore repair'. 'imgstore remove' removes a snapshot that cannot be repaired"
}

/// Runs `body` and rethrows a failed system call as a `StoreError` about `subject`.
func mapSystemErrors<R>(
  _ subject: @autoclosure () -> String, _ body: () throws(SystemError) -> R
) throws(StoreError) -> R {
  do { return try body() } catch { throw .system(error, subject()) }
}

/// Returns the result of a call, and rethrows a failed system call as a `StoreError` about `subject`.
func mapSystemError<R>(
  _ subject: @autoclosure () -> String, _ value: @autoclosure () throws(SystemError) -> R
) throws(StoreError) -> R {
  do { return try value() } catch { throw .system(error, subject()) }
}

/// Runs `body` and rethrows a decoding failure as damage of `subject`.
public func mapCodecErrors<R>(
  _ subject: @autoclosure () -> String, _ body: () throws(CodecError) -> R
) throws(StoreError) -> R {
  do { return try body() } catch { throw .damaged(subject(), "\(error)") }
}
