// A view of files for the rules of this module. The rules work on a live file system and on a snapshot
// alike, and change neither.

import Platform

/// Read access to a file system.
public struct FileProvider {
  /// The kind of an entry.
  public enum Kind: Sendable { case file, directory, absent }

  /// Returns the kind of an entry, following symbolic links.
  public let kind: (AbsolutePath) throws -> Kind
  /// Returns the content of a file; nil if the path is not a file.
  public let read: (AbsolutePath) throws -> [UInt8]?
  /// Returns the names in a directory, in any order, without "." and "..".
  public let list: (AbsolutePath) throws -> [[UInt8]]

  /// Creates a view from its three operations.
  public init(
    kind: @escaping (AbsolutePath) throws -> Kind,
    read: @escaping (AbsolutePath) throws -> [UInt8]?,
    list: @escaping (AbsolutePath) throws -> [[UInt8]]
  ) {
    self.kind = kind
    self.read = read
    self.list = list
  }
}
