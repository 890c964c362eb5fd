// Store: blobs, packs, trees, snapshots and refs; docs/format.md is its specification.
// This file: the one error type of the room.

import Codec
import Platform
import SQLite

/// What went wrong in the store.
public struct StoreError: ExplainedError {
  public enum Kind: Sendable, Equatable {
    /// Stored bytes are not what they were: bit rot, a torn write, a foreign hand.
    case damaged
    /// Something that other stored data needs is not there.
    case missing
    /// There is no such store, snapshot, tag or file.
    case notFound
    /// The folder is no store, or one of a newer version.
    case incompatible
    /// A system call failed.
    case system(SystemError)
    /// The index cannot be read or written, even after it was made anew.
    case index
    /// The request cannot be met as it stands: a taken tag, a store that is read-only.
    case refused
    /// Another process is at work there, and it was not waited for, or not any longer.
    case busy
    /// A text that can be no name of an image or a tag.
    case badName
  }

  public let kind: Kind
  public let object: String
  public let finding: String
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

  /// Of an error of kind `index`: a rebuilt index may do better.
  let isIndexDamage: Bool

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

  static func system(_ error: SystemError, _ object: String) -> StoreError {
    StoreError(
      .system(error), object,
      "cannot \(error.operation)" + (error.path.isEmpty ? "" : " \(printable(error.path))")
        + ": \(error.code)",
      advice: error.isOutOfSpace
        ? "Make room on the store's file system and run the command again; the store is intact, and "
          + "'imgstore gc --remove-only' frees what the command had stored"
        : error.advice)
  }

  static func damaged(_ object: String, _ finding: String) -> StoreError {
    StoreError(
      .damaged, object, finding,
      advice: "Run 'imgstore verify --deep' to see which snapshots are affected, then "
        + repairAdvice)
  }

  static func missing(_ object: String, _ finding: String) -> StoreError {
    StoreError(
      .missing, object, finding,
      advice: "Run 'imgstore verify' to see which snapshots are affected, then " + repairAdvice)
  }

  private static let repairAdvice =
    "'imgstore repair'; 'imgstore remove' takes away a snapshot that it cannot bring back"
}

/// Runs `body`, telling a failed system call as the store's error about `object`.
func explaining<R>(
  _ object: @autoclosure () -> String, _ body: () throws(SystemError) -> R
) throws(StoreError) -> R {
  do { return try body() } catch { throw .system(error, object()) }
}

/// Runs `body`, telling undecodable bytes as damage of `object`.
func decoding<R>(
  _ object: @autoclosure () -> String, _ body: () throws(CodecError) -> R
) throws(StoreError) -> R {
  do { return try body() } catch { throw .damaged(object(), "\(error)") }
}
