// How the rules of this room look at files, so that they serve a live file system and a snapshot
// alike, and decide without touching either.

import Platform

/// A file system to look at.
public struct FileProvider {
  public enum Kind: Sendable { case file, directory, absent }

  /// What is there, symbolic links followed.
  public let kind: (AbsolutePath) throws -> Kind
  /// The content of a file; nil where there is none.
  public let read: (AbsolutePath) throws -> [UInt8]?
  /// The names in a directory, in any order, without "." and "..".
  public let list: (AbsolutePath) throws -> [[UInt8]]

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
