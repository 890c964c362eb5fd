// The error type of the module. Depot keeps the content of stores in a bucket; docs/format.md, "The depot",
// specifies its objects.

import Codec
import ObjectStorage
import Platform
import Store

/// The domain of the module's errors.
public enum DepotDomain: FailureDomain {
  public static let usualCode = ErrorCode.remoteDamaged
}

/// Describes a failure in a depot: a code, the subject, the reason and what the user can do.
public typealias DepotError = Failure<DepotDomain>

extension DepotError {
  /// Returns the error for an object of the depot whose bytes cannot be right.
  static func damaged(_ object: String, of depot: String, _ reason: String) -> DepotError {
    DepotError(
      .remoteDamaged, "\(object) of \(depot)", reason,
      hint: "Verify the depot to see which snapshots are affected")
  }
}

extension Error {
  /// True if a request failed because no object has its key.
  var isMissingObject: Bool { (self as? StorageError)?.kind == .notFound }
}

/// Runs `body` and reports a decoding failure as damage of an object of the depot.
func mapDepotErrors<R>(
  _ object: @autoclosure () -> String, of depot: String, _ body: () throws(CodecError) -> R
) throws(DepotError) -> R {
  do { return try body() } catch {
    throw .damaged(object(), of: depot, "is damaged: \(error)")
  }
}
