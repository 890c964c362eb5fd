// The error type of the module.

import Platform

/// The domain of the module's errors.
public enum TransferDomain: FailureDomain {
  public static let usualCode = ErrorCode.failed
}

/// Describes a failed transfer: a code, the subject, the reason and what the user can do.
public typealias TransferError = Failure<TransferDomain>

extension TransferError {
  /// Returns the error for data from `source` that cannot be right.
  public static func damaged(_ source: String, _ reason: String) -> TransferError {
    TransferError(
      .remoteDamaged, source, reason,
      hint: "Run the command again. If the error stays, run 'imgstore verify --deep' there")
  }
}
