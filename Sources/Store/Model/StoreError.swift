// The error type of the module. Store holds blobs, packs, trees, snapshots and refs; its specification is
// docs/format.md.

import Codec
import Platform
import SQLite

/// Describes a failure in the store: its kind, the object, the reason, and what the user can do.
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
  }

  /// The kind of the failure.
  public let kind: Kind
  /// The subject of the message: the file, image or object.
  public let object: String
  /// The reason, as a clause about the object.
  public let finding: String
  /// What the user can do; empty if there is nothing to suggest.
  public let advice: String

  public var errorCode: ErrorCode {
    switch kind {
    case .damaged, .missing: .damaged
    case .notFound: .notFound
    case .badName: .usage
    case .busy: .busy
    case .incompatible, .system, .index, .refused: .failed
    }
  }

  /// For kind `index`: true if a rebuild of the index may help.
  let isIndexDamage: Bool

  /// Creates an error. `finding` is a clause about `object`.
  public init(_ kind: Kind, _ object: String, _ finding: String, advice: String = "") {
    self.init(kind, object, finding, advice: advice, isIndexDamage: true)
  }

  init(
    _ kind: Kind, _ object: String, _ finding: String, advice: String = "", isIndexDamage: Bool
  ) {
    self.kind = kind
    self.isIndexDamage = isIndexDamage
    self.object = object
    self.finding = finding
    self.advice = advice
  }

  /// Returns the error for a failed system call on `object`.
  static func system(_ error: SystemError, _ object: String) -> StoreError {
    StoreError(
      .system(error), object,
      "cannot \(error.operation)" + (error.path.isEmpty ? "" : " \(printable(error.path))")
        + ": \(error.code)",
      advice: error.isOutOfSpace
        ? "Free space on the store's file system and run the command again. The store is intact, and "
          + "'imgstore gc --remove-only' frees what the command had stored"
        : error.advice)
  }

  /// Returns an error of kind `damaged`, with the advice to verify and repair.
  static func damaged(_ object: String, _ finding: String) -> StoreError {
    StoreError(
      .damaged, object, finding,
      advice: "Run 'imgstore verify --deep' to see which snapshots are affected, then "
        + repairAdvice)
  }

  /// Returns an error of kind `missing`, with the advice to verify and repair.
  static func missing(_ object: String, _ finding: String) -> StoreError {
    StoreError(
      .missing, object, finding,
      advice: "Run 'imgstore verify' to see which snapshots are affected, then " + repairAdvice)
  }

  private static let repairAdvice =
    "'imgstore repair'. 'imgstore remove' removes a snapshot that cannot be repaired"
}

/// Runs `body` and rethrows a failed system call as a `StoreError` about `object`.
func mapSystemErrors<R>(
  _ object: @autoclosure () -> String, _ body: () throws(SystemError) -> R
) throws(StoreError) -> R {
  do { return try body() } catch { throw .system(error, object()) }
}

/// Runs `body` and rethrows a decoding failure as damage of `object`.
func mapCodecErrors<R>(
  _ object: @autoclosure () -> String, _ body: () throws(CodecError) -> R
) throws(StoreError) -> R {
  do { return try body() } catch { throw .damaged(object(), "\(error)") }
}
