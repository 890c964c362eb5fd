// A list of exclude patterns (gitignore(5)): the last pattern that matches a path decides.
//
// 1. A walk asks for each entry from the top down and does not enter an excluded directory. Nothing
//    inside one can therefore be included again, as with git.
// 2. A list may come with an untrusted tree: its size is bounded, and matching is linear.

/// A list of patterns, in order.
public struct ExcludePatterns: Sendable, Hashable {
  /// The name of the list that a tree may have at its top.
  public static let fileName = Array(".imgstoreignore".utf8)
  /// The size limit of such a list.
  public static let maxFileBytes = 64 << 10
  private static let maxPatterns = 1000

  /// The compiled patterns, in order.
  public private(set) var patterns: [ExcludePattern] = []

  /// Compiles a list.
  /// - Parameter lines: patterns, comments and empty lines.
  /// - Throws: `ExcludePattern.SyntaxError`, whose reason names the line.
  public init(_ lines: some Sequence<String>) throws(ExcludePattern.SyntaxError) {
    for line in lines {
      do {
        guard let pattern = try ExcludePattern(line) else { continue }
        patterns.append(pattern)
      } catch {
        throw ExcludePattern.SyntaxError(
          reason: "the pattern '\(printable(line.utf8.prefix(255)))' \(error.reason)")
      }
      guard patterns.count <= ExcludePatterns.maxPatterns else {
        throw ExcludePattern.SyntaxError(
          reason: "there are more than \(ExcludePatterns.maxPatterns) patterns")
      }
    }
  }

  /// Whether the list has no patterns.
  public var isEmpty: Bool { patterns.isEmpty }

  /// The patterns as lines.
  public var lines: [String] { patterns.map(\.text) }

  /// Returns the pattern that excludes an entry; nil if none does.
  /// - Parameter path: relative to the top of the tree; no directory above it is excluded.
  public func match(_ path: RelativePath, isDirectory: Bool) -> ExcludePattern? {
    let components = path.bytes.split(separator: UInt8(ascii: "/"))
    let last = patterns.last { $0.matches(components, isDirectory: isDirectory) }
    return last.flatMap { $0.isNegated ? nil : $0 }
  }

  /// Returns whether a pattern names entries of this directory by its path (as "tmp/*" does for
  /// "tmp"). Excluded entries that appear and disappear there change the directory's time.
  public func nameEntries(of directory: RelativePath) -> Bool {
    let components = directory.bytes.split(separator: UInt8(ascii: "/"))
    return patterns.contains { !$0.isNegated && $0.namesEntries(of: components) }
  }
}

/// Several lists: an entry that one of them excludes is excluded, whatever the others include again.
public struct ExcludeLists: Sendable, Hashable {
  /// The lists, in the order of `add`.
  public private(set) var lists: [ExcludePatterns] = []
  /// Of each list.
  private var exceptions: [ExcludeExceptions] = []

  /// Makes an empty collection.
  public init() {}

  /// Whether there are no lists.
  public var isEmpty: Bool { lists.isEmpty }

  /// Adds a list, unless it is empty. One that is there already keeps the exceptions that both have.
  /// - Parameter exceptions: what the list does not exclude, whatever its patterns say.
  public mutating func add(
    _ list: ExcludePatterns, except exceptions: ExcludeExceptions = ExcludeExceptions()
  ) {
    if list.isEmpty { return }
    if let i = lists.firstIndex(of: list) {
      self.exceptions[i].formIntersection(exceptions)
    } else {
      lists.append(list)
      self.exceptions.append(exceptions)
    }
  }

  /// Returns a pattern that excludes an entry; nil if none does.
  public func match(_ path: RelativePath, isDirectory: Bool) -> ExcludePattern? {
    for (list, exceptions) in zip(lists, exceptions) {
      if let pattern = exceptions.match(list, path, isDirectory: isDirectory) { return pattern }
    }
    return nil
  }

  /// Returns whether a pattern names entries of this directory by its path.
  public func nameEntries(of directory: RelativePath) -> Bool {
    lists.contains { $0.nameEntries(of: directory) }
  }
}
