// The members of a bundle, as other programs read them: python's tarfile, GNU cpio, an XML parser.

import Foundation
import Testing

/// The members of one bundle.
public struct BundleMembers: Sendable, Equatable {
  public struct Member: Codable, Equatable, Sendable {
    public var type: String
    public var mode: String
    public var uid: Int
    public var gid: Int
    /// Its content: a file's SHA-256; of a packed tree, a line for each entry; of a manifest, its
    /// elements in one order; of a link, where it leads.
    public var content: String
  }

  /// By name, "./" included.
  public var all: [String: Member]

  /// - Throws: `TestFailure` where python's tarfile cannot read the bundle or warns.
  public init(_ bundle: String) throws {
    let result = try run(
      "python3", "-W", "error", fixture("scripts/oracles/list-bundle-members.py"), bundle)
    guard result.didSucceed, result.errors.isEmpty else {
      throw TestFailure("python: \(result.errors)")
    }
    all = try JSONDecoder().decode([String: Member].self, from: Data(result.output.utf8))
  }

  public subscript(_ name: String) -> Member? { all[name] }

  /// The names of all members.
  public var names: Set<String> { Set(all.keys) }
}

/// The bytes of a member, found by the end of its name.
public func memberText(_ name: String, of bundle: String) throws -> String {
  let result = try run(
    "tar", "-xOf", bundle, "--wildcards", "--no-wildcards-match-slash", "./*/\(name)")
  guard result.didSucceed else { throw TestFailure("tar: \(result.errors)") }
  return result.output
}
