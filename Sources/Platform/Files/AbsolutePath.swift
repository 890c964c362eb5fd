// Absolute paths as people and xCAT's tables write them.
//
// 1. An `AbsolutePath` begins with "/" and has no empty, "." or ".." component and no NUL.
// 2. It is lexical: `PathResolver` resolves symbolic links.

/// A clean absolute path.
public struct AbsolutePath: Hashable, Sendable {
  /// The components, outermost first; none for "/".
  public let components: [[UInt8]]

  /// Parses a path; returns nil for a relative path, one with "..", and one with a NUL.
  public init?(_ bytes: some Collection<UInt8>) {
    guard bytes.first == 0x2f, !bytes.contains(0) else { return nil }
    var components: [[UInt8]] = []
    for part in bytes.split(separator: 0x2f) where Array(part) != [0x2e] {
      let component = Array(part)
      guard component != [0x2e, 0x2e], component.count <= 255 else { return nil }
      components.append(component)
    }
    self.components = components
  }

  /// Parses a path from text.
  public init?(_ text: String) { self.init(Array(text.utf8)) }

  /// Creates a path from its components.
  public init(components: [[UInt8]]) { self.components = components }

  /// The bytes, with one "/" before each component.
  public var bytes: [UInt8] {
    if components.isEmpty { return [0x2f] }
    return components.reduce(into: []) { $0 += [0x2f] + $1 }
  }

  /// The path as printable text.
  public var text: String { printable(bytes) }
  /// The name of the entry; empty for "/".
  public var lastComponent: [UInt8] { components.last ?? [] }
  /// The path of the parent directory; "/" for "/".
  public var parent: AbsolutePath { AbsolutePath(components: Array(components.dropLast())) }

  /// Returns the path with a name or relative path appended.
  public func appending(_ name: [UInt8]) -> AbsolutePath {
    AbsolutePath(components: components + name.split(separator: 0x2f).map(Array.init))
  }

  /// Returns the path with a name or relative path appended.
  public func appending(_ name: String) -> AbsolutePath { appending(Array(name.utf8)) }

  /// Returns whether this path is `other` or lies below it.
  public func isInside(_ other: AbsolutePath) -> Bool {
    components.starts(with: other.components)
  }
}
