// Finds the rules for a path. Patterns are indexed by the start or extension of their last component, so that
// an entry costs one lookup and a few comparisons.

/// The compiled patterns of a set of rules.
struct SecretPaths: Sendable {
  /// The patterns of all rules in the table.
  static let standard = SecretPaths(SecretRule.table)

  private struct Pattern: Sendable {
    let rule: Int
    /// Globs for the components before the last one.
    let directories: [[UInt8]]
    let name: [UInt8]
  }

  let rules: [SecretRule]
  private var exact: [[UInt8]: [Pattern]] = [:]
  /// Patterns by the first byte of the name, which is not "*".
  private var prefixed: [UInt8: [Pattern]] = [:]
  /// Patterns "*.ext", by the extension.
  private var suffixed: [[UInt8]: [Pattern]] = [:]
  private var others: [Pattern] = []
  /// Patterns "DIRECTORY/**".
  private var below: [Pattern] = []

  private static let star = UInt8(ascii: "*")
  private static let slash = UInt8(ascii: "/")
  private static let dot = UInt8(ascii: ".")

  init(_ rules: [SecretRule]) {
    self.rules = rules
    for (number, rule) in rules.enumerated() {
      for text in rule.patterns {
        var parts = text.utf8.split(separator: SecretPaths.slash).map { Array($0) }
        let name = parts.popLast() ?? []
        let pattern = Pattern(rule: number, directories: parts, name: name)
        if name == [SecretPaths.star, SecretPaths.star] {
          below.append(pattern)
        } else if !name.contains(SecretPaths.star) {
          exact[name, default: []].append(pattern)
        } else if let first = name.first, first != SecretPaths.star {
          prefixed[first, default: []].append(pattern)
        } else if name.count > 2, name[1] == SecretPaths.dot,
          !name.dropFirst(2).contains(SecretPaths.star),
          !name.dropFirst(2).contains(SecretPaths.dot)
        {
          suffixed[Array(name.dropFirst(2)), default: []].append(pattern)
        } else {
          others.append(pattern)
        }
      }
    }
  }

  /// Returns the rules that match a path, in the table's order.
  /// - Parameter path: components separated by "/". A leading "/" is ignored.
  func rules(for path: [UInt8]) -> [SecretRule] {
    var found: [Int] = []
    func add(_ pattern: Pattern) {
      if !found.contains(pattern.rule) { found.append(pattern.rule) }
    }
    let cut = path.lastIndex(of: SecretPaths.slash)
    let name = Array(path[(cut.map { $0 + 1 } ?? 0)...])
    guard let first = name.first else { return [] }
    let directories = path[..<(cut ?? 0)]
    for pattern in exact[name] ?? [] where fits(pattern.directories, directories) { add(pattern) }
    for pattern in prefixed[first] ?? []
    where matches(pattern.name[...], name[...]) && fits(pattern.directories, directories) {
      add(pattern)
    }
    if let dot = name.lastIndex(of: SecretPaths.dot) {
      for pattern in suffixed[Array(name[(dot + 1)...])] ?? []
      where fits(pattern.directories, directories) { add(pattern) }
    }
    for pattern in others
    where matches(pattern.name[...], name[...]) && fits(pattern.directories, directories) {
      add(pattern)
    }
    for pattern in below where lies(below: pattern.directories, directories) { add(pattern) }
    return found.sorted().map { rules[$0] }
  }

  /// Returns whether the last components of a directory's path match the globs.
  private func fits(_ globs: [[UInt8]], _ directories: ArraySlice<UInt8>) -> Bool {
    var rest = directories
    for glob in globs.reversed() {
      guard !rest.isEmpty else { return false }
      let cut = rest.lastIndex(of: SecretPaths.slash)
      guard matches(glob[...], rest[(cut.map { $0 + 1 } ?? rest.startIndex)...]) else {
        return false
      }
      rest = rest[..<(cut ?? rest.startIndex)]
    }
    return true
  }

  /// Returns whether a directory's path, or one of its ancestors, ends in these components.
  private func lies(below globs: [[UInt8]], _ directories: ArraySlice<UInt8>) -> Bool {
    var rest = directories
    while !rest.isEmpty {
      if fits(globs, rest) { return true }
      rest = rest[..<(rest.lastIndex(of: SecretPaths.slash) ?? rest.startIndex)]
    }
    return false
  }

  /// Returns whether a component matches a glob of literal bytes and "*".
  private func matches(_ glob: ArraySlice<UInt8>, _ text: ArraySlice<UInt8>) -> Bool {
    var (g, t) = (glob.startIndex, text.startIndex)
    var retry: (glob: Int, text: Int)?
    while t < text.endIndex {
      if g < glob.endIndex, glob[g] == SecretPaths.star {
        retry = (g + 1, t)
        g += 1
      } else if g < glob.endIndex, glob[g] == text[t] {
        g += 1
        t += 1
      } else if let (after, at) = retry {
        retry = (after, at + 1)
        (g, t) = (after, at + 1)
      } else {
        return false
      }
    }
    return glob[g...].allSatisfy { $0 == SecretPaths.star }
  }
}
