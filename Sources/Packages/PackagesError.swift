// The errors of the module Packages, which reads the installed software of a root tree from dpkg's and rpm's
// databases. Their bytes may come from a store, a live tree or a test; nothing is extracted to disk.
//
// All bytes of a database are untrusted: lengths are checked before use, and inconsistent data is a
// `PackagesError`, never a trap.

import Platform

/// A package database that cannot be read, and the reason.
public typealias PackagesError = Failure<PackagesDomain>

/// The module Packages, for its errors.
public enum PackagesDomain: FailureDomain {
  public static let usualCode = ErrorCode.packagesInvalid
}

extension PackagesError {
  static func damaged(_ path: [UInt8], _ reason: String) -> PackagesError {
    PackagesError(
      "package database \(printable(path))", reason,
      hint: "Compare files without --packages; the packages cannot be listed")
  }
}

/// Inconsistent data inside a database; the reader of the file adds the file's path.
struct MalformedDataError: Error {
  let reason: String
  init(_ reason: String) { self.reason = reason }
}
