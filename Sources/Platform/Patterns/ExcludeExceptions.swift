// Entries that exclude patterns match, but that stay included, because a snapshot or a change has kept them.
//
// 1. An exception is one path. Entries below an excluded directory stay excluded, unless they are exceptions,
//    too.
// 2. No entry below an exception is excluded if the exception is a file: a directory that replaces a kept
//    file cannot exclude its own content.

/// Entries that patterns do not exclude.
public struct ExcludeExceptions: Sendable, Hashable {
  /// By path below the top of the tree: whether it is a directory, wherever it is kept.
  private var directories: [RelativePath: Bool] = [:]

  /// Makes an empty collection.
  public init() {}

  public var isEmpty: Bool { directories.isEmpty }

  /// Adds an entry.
  /// - Parameter path: relative to the top of the tree.
  public mutating func insert(_ path: RelativePath, isDirectory: Bool) {
    directories[path] = (directories[path] ?? true) && isDirectory
  }

  /// Keeps what both collections have.
  mutating func formIntersection(_ other: ExcludeExceptions) {
    directories = directories.filter { other.directories[$0.key] != nil }.reduce(into: [:]) {
      $0[$1.key] = $1.value || other.directories[$1.key] ?? false
    }
  }

  /// Returns the pattern of a list that excludes an entry, itself or with a directory above it; nil where
  /// none does, or where the entry is an exception.
  func match(
    _ list: ExcludePatterns, _ path: RelativePath, isDirectory: Bool
  ) -> ExcludePattern? {
    if isEmpty { return list.match(path, isDirectory: isDirectory) }
    var excluding: ExcludePattern?
    for above in path.prefixes {
      excluding = excluding ?? list.match(above, isDirectory: above != path || isDirectory)
      guard let excluding else { continue }
      guard let isKeptDirectory = directories[above] else { return excluding }
      if !isKeptDirectory { return nil }
    }
    return nil
  }
}
