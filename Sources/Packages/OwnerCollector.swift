// The paths that a caller asks for, under the names that package databases use.

import Platform

/// Collects the owned paths of a database that the caller asked for.
struct OwnerCollector {
  /// Bytes that are hashed at once: the standard hash of `[UInt8]` takes them one by one.
  private struct Key: Hashable {
    let bytes: [UInt8]
    func hash(into hasher: inout Hasher) { bytes.withUnsafeBytes { hasher.combine(bytes: $0) } }
  }
  private let requested: Set<Key>
  let ignored: Set<Package>
  private let aliases: DirectoryAliases
  /// The directory of the last path, as spelled and as resolved. Lists name a directory's files
  /// consecutively.
  private var directory: (spelled: [UInt8], real: [UInt8]) = ([], [])
  private(set) var owners: [[UInt8]: [PackageOwnership]] = [:]

  init(_ requested: Set<[UInt8]>, ignoring ignored: Set<Package>, aliases: DirectoryAliases) {
    self.ignored = ignored
    self.requested = Set(requested.map(Key.init))
    self.aliases = aliases
  }

  /// Returns the path in the tree for an absolute one of a database; nil if the caller did not ask for it.
  mutating func requestedPath(_ absolute: some Collection<UInt8>) -> [UInt8]? {
    var path = Array(absolute.drop { $0 == 0x2f })
    if let slash = path.lastIndex(of: 0x2f) {
      if !path[..<slash].elementsEqual(directory.spelled) {
        let spelled = Array(path[..<slash])
        // A directory's own alias applies to its content.
        directory = (spelled, Array(aliases.resolve(spelled + [0x2f]).dropLast()))
      }
      path = directory.real + path[slash...]
    }
    return requested.contains(Key(bytes: path)) ? path : nil
  }

  mutating func add(_ path: [UInt8], _ ownership: PackageOwnership) {
    owners[path, default: []].append(ownership)
  }
}

/// The links among the outermost directories ("bin" to "usr/bin", "usr/lib64" to "lib"). A database names
/// files under the link, but the tree has them under its target.
struct DirectoryAliases {
  private var targets: [[UInt8]: [UInt8]] = [:]

  init(_ tree: some RootTree) throws {
    for parent in [[], Array("usr".utf8), Array("var".utf8)] as [[UInt8]] {
      for (name, link) in try tree.directory(parent) {
        guard let link, !link.isEmpty else { continue }
        var parts = link.first == 0x2f || parent.isEmpty ? [] : [parent]
        for part in link.split(separator: 0x2f).map(Array.init) where part != [0x2e] {
          if part == [0x2e, 0x2e] { parts = parts.dropLast() } else { parts.append(part) }
        }
        targets[parent.isEmpty ? name : parent + [0x2f] + name] = Array(
          parts.joined(separator: [0x2f]))
      }
    }
  }

  /// Returns the path with links on its way resolved. The last component is not resolved: a link there
  /// is the path itself.
  func resolve(_ path: [UInt8]) -> [UInt8] {
    var path = path
    // A link may lead to a link; more than a few indicate a cycle.
    for _ in 0..<4 {
      guard let next = step(path) else { break }
      path = next
    }
    return path
  }

  private func step(_ path: [UInt8]) -> [UInt8]? {
    guard let first = path.firstIndex(of: 0x2f) else { return nil }
    var cut = first
    if let target = targets[Array(path[..<first])] { return join(target, path[(first + 1)...]) }
    guard let second = path[(first + 1)...].firstIndex(of: 0x2f) else { return nil }
    cut = second
    return targets[Array(path[..<cut])].map { join($0, path[(cut + 1)...]) }
  }

  private func join(_ directory: [UInt8], _ rest: ArraySlice<UInt8>) -> [UInt8] {
    directory.isEmpty ? Array(rest) : directory + [0x2f] + rest
  }
}
