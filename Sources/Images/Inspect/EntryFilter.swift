// Which entries `imgstore find` shows.

import Glibc
import Platform
import Store

/// Conditions on an entry; those that are nil hold for all.
public struct EntryFilter: Sendable {
  /// A shell pattern (fnmatch(3)) for the last component, byte by byte.
  public var namePattern: String?
  public var kind: FileKind?
  /// Files of more bytes than this.
  public var largerThanBytes: UInt64?

  public init() {}

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
