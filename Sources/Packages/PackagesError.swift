// The errors of the module Packages, which reads the installed software of a root tree from dpkg's and
// rpm's databases. Their bytes may come from a store, a live tree or a test; nothing is extracted to
// disk.
//
// All bytes of a database are untrusted: lengths are checked before use, and inconsistent data is a
// `PackagesError`, never a trap.

import Platform

/// A package database that cannot be read, and the reason.
public struct PackagesError: ExplainedError {
  public let object: String
  public let finding: String
  public let advice: String

  /// Creates an error.
  public init(_ object: String, _ finding: String, advice: String = "") {
    self.object = object
    self.finding = finding
    self.advice = advice
  }

  static func damaged(_ path: [UInt8], _ finding: String) -> PackagesError {
    PackagesError(
      "package database \(printable(path))", finding,
      advice: "Compare files without --packages; the packages cannot be listed")
  }
}

/// Inconsistent data inside a database; the reader of the file adds the file's path.
struct Malformed: Error {
  let finding: String
  init(_ finding: String) { self.finding = finding }
}
