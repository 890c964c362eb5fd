// Absolute paths as people and xCAT's tables write them.
//
// 1. An `AbsolutePath` begins with "/" and has no empty, "." or ".." component and no NUL.
// 2. It is lexical: `PathResolver` resolves symbolic links.

private let slash = UInt8(ascii: "/")

/// A clean absolute path.
public struct AbsolutePath: Hashable, Sendable {
  /// The bytes, with one "/" before each component.
  public let bytes: [UInt8]

  /// The path "/".
  public static let root = AbsolutePath(components: [])

  /// Parses a path; returns nil for a relative path, one with "..", and one with a NUL.
  public init?(_ bytes: some Collection<UInt8>) {
    guard bytes.first == slash, let path = RelativePath(written: bytes) else { return nil }
    self.bytes = [slash] + path.bytes
  }

  private init(joined bytes: [UInt8]) { self.bytes = bytes }

  /// Parses a path from text.
  public init?(_ text: String) { self.init(Array(text.utf8)) }

  /// Creates a path from its components.
  public init(components: some Sequence<[UInt8]>) {
    bytes = [slash] + components.joined(separator: CollectionOfOne(slash))
  }

  /// Whether this is "/".
  public var isRoot: Bool { bytes.count == 1 }
  /// The components, outermost first; none for "/".
  public var components: [[UInt8]] { bytes.split(separator: slash).map(Array.init) }
  /// The path as printable text.
  public var text: String { printable(bytes) }
  /// The name of the entry; empty for "/".
  public var lastComponent: [UInt8] {
    bytes.lastIndex(of: slash).map { Array(bytes[($0 + 1)...]) } ?? []
  }
  /// The path of the parent directory; "/" for "/".
  public var parent: AbsolutePath {
    let end = bytes.lastIndex(of: slash) ?? 0
    return AbsolutePath(joined: Array(bytes[..<max(end, 1)]))
  }

  /// Returns the path with a name or relative path appended.
  public func appending(_ name: [UInt8]) -> AbsolutePath {
    AbsolutePath(components: components + name.split(separator: slash).map(Array.init))
  }

  /// Returns the path with a name or relative path appended.
  public func appending(_ name: String) -> AbsolutePath { appending(Array(name.utf8)) }

  /// Returns the path of an entry below this directory.
  public func appending(_ path: RelativePath) -> AbsolutePath {
    path.isTop ? self : AbsolutePath(joined: joinedPath(bytes, path.bytes))
  }

  /// Returns whether this path is `other` or lies below it.
  public func isInside(_ other: AbsolutePath) -> Bool { Platform.isInside(bytes, other.bytes) }

  /// Returns the path relative to a directory that it is in; nil if it is not inside.
  public func relative(to directory: AbsolutePath) -> RelativePath? {
    guard isInside(directory) else { return nil }
    return RelativePath(components: components.dropFirst(directory.components.count))
  }
}
