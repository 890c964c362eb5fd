// The filter of `imgstore find`.

import Glibc
import Platform
import Store

/// Conditions on an entry. A condition that is nil matches every entry.
public struct EntryFilter: Sendable {
  /// A shell pattern (fnmatch(3)) for the last path component, matched byte by byte.
  public var namePattern: String?
  public var kind: FileKind?
  /// Matches only files with more bytes than this.
  public var largerThanBytes: UInt64?

  public init() {}

  /// Returns whether an entry fulfils all conditions.
  public func matches(_ entry: Entry, name: [UInt8]) -> Bool {
    if let kind, entry.kind != kind { return false }
    if let largerThanBytes, entry.kind != .file || entry.sizeBytes <= largerThanBytes {
      return false
    }
    guard let namePattern else { return true }
    let text = name.map { CChar(bitPattern: $0) } + [0]
    return fnmatch(namePattern, text, 0) == 0
  }
}
