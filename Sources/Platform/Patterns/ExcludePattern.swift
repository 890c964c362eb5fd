// One line of an exclude list, as gitignore(5) defines it: a glob for paths below the top of a tree.
//
// 1. A pattern with a '/' before its end is anchored at the top of the tree; any other matches at
//    every depth.
// 2. '*' and '?' do not match '/'. "**" as a whole component matches any number of components; at the
//    end it matches everything inside, but not the directory itself.
// 3. Matching takes at most (components of the path) × (components of the pattern) globs, whatever the
//    pattern.

/// A compiled pattern.
public struct ExcludePattern: Sendable, Hashable {
  /// The reason that a text is not a valid pattern.
  public struct SyntaxError: Error, Equatable {
    /// A clause that follows the pattern or the list.
    public let reason: String

    /// Creates an error.
    /// - Parameter reason: continues a sentence about the pattern or the list.
    public init(reason: String) { self.reason = reason }
  }

  private enum Component: Sendable, Hashable {
    case name(BytePattern)
    /// "**"
    case any
  }

  /// The line that the pattern was compiled from.
  public let text: String
  /// Whether it includes again what an earlier pattern excluded ("!").
  public let isNegated: Bool
  /// Whether it matches directories only ("build/").
  public let matchesDirectoriesOnly: Bool
  private let isAnchored: Bool
  private let components: [Component]

  private static let maxBytes = 4096

  /// Compiles a line.
  /// - Returns: nil for an empty line and for a comment.
  /// - Throws: `SyntaxError` for a pattern that can never match.
  public init?(_ line: String) throws(SyntaxError) {
    var bytes = ExcludePattern.withoutTrailingBlanks(Array(line.utf8))
    guard let first = bytes.first, first != UInt8(ascii: "#") else { return nil }
    guard bytes.count <= ExcludePattern.maxBytes else {
      throw SyntaxError(reason: "has more than \(ExcludePattern.maxBytes) bytes")
    }
    guard !bytes.contains(where: { $0 < 0x20 || $0 == 0x7f }) else {
      throw SyntaxError(reason: "holds a control character")
    }
    text = String(decoding: bytes, as: UTF8.self)
    isNegated = first == UInt8(ascii: "!")
    if isNegated { bytes.removeFirst() }
    let slash = UInt8(ascii: "/")
    matchesDirectoriesOnly = bytes.last == slash
    if matchesDirectoriesOnly { bytes.removeLast() }
    isAnchored = bytes.contains(slash)
    if bytes.first == slash { bytes.removeFirst() }
    let parts = bytes.split(separator: slash, omittingEmptySubsequences: false).map(Array.init)
    guard !parts.contains([]) else {
      throw SyntaxError(reason: "has nothing between two slashes, or names the whole tree")
    }
    guard !parts.contains([0x2e]), !parts.contains([0x2e, 0x2e]) else {
      throw SyntaxError(reason: "has '.' or '..' as a component, which no path below a tree has")
    }
    guard !parts.contains(where: ExcludePattern.endsInBackslash) else {
      throw SyntaxError(reason: "has a backslash with nothing after it")
    }
    components = parts.map { $0 == [0x2a, 0x2a] ? .any : .name(BytePattern($0)) }
  }

  /// Returns whether the pattern matches a path, not counting "!".
  /// - Parameter path: the components below the top of the tree, at least one.
  public func matches(_ path: [ArraySlice<UInt8>], isDirectory: Bool) -> Bool {
    if matchesDirectoriesOnly, !isDirectory { return false }
    return matches(components[...], path)
  }

  /// Returns whether the pattern may match entries of a directory because of the directory's path, and
  /// not by their names alone.
  /// - Parameter directory: its components; none for the top of the tree.
  public func namesEntries(of directory: [ArraySlice<UInt8>]) -> Bool {
    isAnchored && matches(components.dropLast(), directory)
  }

  private func matches(_ pattern: ArraySlice<Component>, _ path: [ArraySlice<UInt8>]) -> Bool {
    if !isAnchored, case .name(let name) = pattern.first {
      return path.last.map { name.matches(Array($0)) } ?? false
    }
    // For each number of path components, whether the pattern matches so many so far.
    var reached = [Bool](repeating: false, count: path.count + 1)
    reached[0] = true
    for (i, component) in pattern.enumerated() {
      var next = [Bool](repeating: false, count: path.count + 1)
      switch component {
      case .name(let name):
        for at in path.indices where reached[at] && name.matches(Array(path[at])) {
          next[at + 1] = true
        }
      case .any:
        // At the end "**" matches everything inside; elsewhere it may match nothing.
        let skips = i == components.count - 1 ? 1 : 0
        var isReached = false
        for at in 0...path.count {
          if isReached || skips == 0 && reached[at] { next[at] = true }
          if reached[at] { isReached = true }
        }
      }
      reached = next
    }
    return reached[path.count]
  }

  /// Returns the line without trailing blanks, except after a backslash.
  private static func withoutTrailingBlanks(_ line: [UInt8]) -> [UInt8] {
    var end = line.count
    if line.last == UInt8(ascii: "\r") { end -= 1 }
    while end > 0, line[end - 1] == 0x20 {
      let backslashes = line[..<(end - 1)].reversed().prefix { $0 == UInt8(ascii: "\\") }.count
      if backslashes % 2 == 1 { break }
      end -= 1
    }
    return Array(line[..<end])
  }

  private static func endsInBackslash(_ part: [UInt8]) -> Bool {
    part.reversed().prefix { $0 == UInt8(ascii: "\\") }.count % 2 == 1
  }
}
