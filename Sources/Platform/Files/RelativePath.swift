// Names and paths inside a tree.
//
// 1. A `FileName` is one component: 1 to 255 bytes without "/" and NUL, neither "." nor "..".
// 2. A `RelativePath` consists of such components, joined by "/". The empty path is the tree itself.
// 3. Paths keep their joined bytes. Components are computed on request, so that a path of a large tree costs
//    one allocation.

private let slash = UInt8(ascii: "/")

/// The name of an entry in its directory.
public struct FileName: Hashable, Sendable {
  /// The bytes of the name.
  public let bytes: [UInt8]

  /// Checks a name; returns nil if no entry can have it.
  public init?(_ bytes: [UInt8]) {
    guard !bytes.isEmpty, bytes.count <= 255, bytes != [0x2e], bytes != [0x2e, 0x2e],
      !bytes.contains(slash), !bytes.contains(0)
    else { return nil }
    self.bytes = bytes
  }
}

/// A path of an entry relative to the top of its tree.
public struct RelativePath: Hashable, Sendable {
  /// The components, joined by "/"; empty for the top itself.
  public let bytes: [UInt8]

  /// The path of the top itself.
  public static let top = RelativePath(joined: [])

  private init(joined bytes: [UInt8]) { self.bytes = bytes }

  /// Checks a path; returns nil if a component is not a `FileName`.
  public init?(_ bytes: [UInt8]) {
    let parts = bytes.isEmpty ? [] : bytes.split(separator: slash, omittingEmptySubsequences: false)
    guard parts.allSatisfy({ FileName(Array($0)) != nil }) else { return nil }
    self.bytes = bytes
  }

  /// Parses a path that a person or a table wrote: "/" at the ends, double "/" and "." are dropped.
  /// - Returns: nil if the path contains ".." or a NUL, or a name that is too long.
  public init?(written bytes: some Collection<UInt8>) {
    self.init(names: writtenComponents(bytes))
  }

  /// Checks the components of a path; returns nil if one is not a `FileName`.
  public init?(names: [[UInt8]]) {
    guard names.allSatisfy({ FileName($0) != nil }) else { return nil }
    self.init(components: names)
  }

  /// Creates a path from components that are known to be names.
  public init(components: some Sequence<[UInt8]>) {
    bytes = Array(components.joined(separator: CollectionOfOne(slash)))
  }

  /// Whether this is the top itself.
  public var isTop: Bool { bytes.isEmpty }
  /// The path as printable text.
  public var text: String { printable(bytes) }
  /// The names, outermost first; none for the top.
  public var components: [[UInt8]] { bytes.split(separator: slash).map(Array.init) }
  /// The name of the entry; empty for the top.
  public var lastComponent: [UInt8] {
    bytes.lastIndex(of: slash).map { Array(bytes[($0 + 1)...]) } ?? bytes
  }
  /// The path of the directory; the top for entries in it and for the top itself.
  public var parent: RelativePath {
    RelativePath(joined: bytes.lastIndex(of: slash).map { Array(bytes[..<$0]) } ?? [])
  }

  /// Returns the path of an entry of this directory.
  /// - Parameter name: a `FileName`; trees contain only such names.
  public func appending(_ name: [UInt8]) -> RelativePath {
    RelativePath(joined: bytes.isEmpty ? name : joinedPath(bytes, name))
  }

  /// Returns the path of an entry below this directory.
  public func appending(_ path: RelativePath) -> RelativePath {
    path.isTop ? self : appending(path.bytes)
  }

  /// Returns whether this path is `other` or lies below it.
  public func isInside(_ other: RelativePath) -> Bool {
    other.isTop || Platform.isInside(bytes, other.bytes)
  }

  /// Returns the path relative to a directory that it is in; nil if it is not inside.
  public func relative(to directory: RelativePath) -> RelativePath? {
    guard isInside(directory) else { return nil }
    if directory.isTop { return self }
    return RelativePath(joined: Array(bytes.dropFirst(directory.bytes.count + 1)))
  }

  /// The paths of the directories above the entry and of the entry itself, outermost first; none for the top.
  public var prefixes: [RelativePath] {
    if isTop { return [] }
    let ends = bytes.indices.filter { bytes[$0] == slash } + [bytes.count]
    return ends.map { RelativePath(joined: Array(bytes[..<$0])) }
  }
}

/// Returns the components of a path that a person, a table or a symbolic link has, without ".". The walk
/// along the path interprets "..".
public func writtenComponents(_ path: some Collection<UInt8>) -> [[UInt8]] {
  Array(path).split(separator: slash).map { Array($0) }.filter { $0 != [0x2e] }
}

extension RelativePath: ExpressibleByStringLiteral {
  /// Creates a path from a literal, which has the form of a path.
  public init(stringLiteral literal: StaticString) {
    let bytes = literal.withUTF8Buffer { Array($0) }
    guard let path = RelativePath(bytes) else { preconditionFailure("not a path: \(literal)") }
    self = path
  }
}

/// Returns two non-empty parts of a path, joined by "/".
func joinedPath(_ directory: [UInt8], _ path: [UInt8]) -> [UInt8] {
  var joined: [UInt8] = []
  joined.reserveCapacity(directory.count + 1 + path.count)
  joined += directory
  if joined.last != slash { joined.append(slash) }
  joined += path
  return joined
}

/// Returns whether a path equals another one, or lies below it. Both are absolute, or relative to one
/// directory.
public func isInside(_ path: [UInt8], _ other: [UInt8]) -> Bool {
  if other == [slash] { return true }
  return path.starts(with: other) && (path.count == other.count || path[other.count] == slash)
}
