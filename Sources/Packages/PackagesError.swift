// Packages: which software is installed in a root tree, read from dpkg's and rpm's databases
// wherever their bytes come from: a store, a live tree, a test. Nothing is extracted to disk.
// This file: the room's error.
//
// All bytes of a database are untrusted: lengths are checked before use, and whatever does not hold
// together is a `PackagesError`, never a trap.

import Platform

/// Why a package database cannot be read.
public struct PackagesError: ExplainedError {
  public let object: String
  public let finding: String
  public let advice: String

  public init(_ object: String, _ finding: String, advice: String = "") {
    self.object = object
    self.finding = finding
    self.advice = advice
  }

  static func damaged(_ path: [UInt8], _ finding: String) -> PackagesError {
    PackagesError(
      "package database \(printable(path))", finding,
      advice: "Its packages cannot be listed; files can still be compared without --packages")
  }
}

/// What does not hold together inside a database; the reader of the file adds the file's path.
struct Malformed: Error {
  let finding: String
  init(_ finding: String) { self.finding = finding }
}
