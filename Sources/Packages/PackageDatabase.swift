// Finds the package database of a root tree, and the owners of paths.

/// The files of a root tree, for the readers of this module. Paths are relative, without a leading "/".
public protocol RootTree {
  /// Returns the bytes of the regular file at `path`; nil if it does not exist.
  /// - Throws: an `ExplainedError` if it is longer than `limitBytes`, or unreadable.
  func file(_ path: [UInt8], limitBytes: Int) throws -> [UInt8]?
  /// Returns the content of the directory at `path`: each name, with the target of a symbolic link. Empty
  /// if the directory does not exist.
  func directory(_ path: [UInt8]) throws -> [(name: [UInt8], linkTarget: [UInt8]?)]
}

/// The package database of a root tree.
public struct PackageDatabase: Sendable {
  enum Reader: Sendable {
    case dpkg(Dpkg)
    case rpm(RPMDatabase)
  }
  let reader: Reader

  /// The tool and the form of the database.
  public var kind: DatabaseKind {
    switch reader {
    case .dpkg: .dpkg
    case .rpm(let database): database.form.kind
    }
  }

  /// Finds the database; nil if the tree has none. If it has both, the one with packages counts: a
  /// Debian system may have rpm's tools, and an rpm system dpkg's.
  public static func find(in tree: some RootTree) throws -> (PackageDatabase, PackageSet)? {
    var empty: (PackageDatabase, PackageSet)?
    if let (dpkg, set) = try Dpkg.read(tree) {
      let result = (PackageDatabase(reader: .dpkg(dpkg)), set)
      if !set.packages.isEmpty { return result }
      empty = result
    }
    if let (rpm, packages) = try RPMDatabase.read(tree) {
      let set = PackageSet(kind: rpm.form.kind, packages: packages)
      let result = (PackageDatabase(reader: .rpm(rpm)), set)
      if !packages.isEmpty { return result }
      empty = empty ?? result
    }
    return empty
  }

  /// Returns the owners of each of `paths` (relative, as in the tree), without paths that nobody owns.
  /// A directory may have many owners; a file has one, or several that agree on it.
  /// - Parameter ignored: packages whose files are skipped.
  public func owners(
    of paths: Set<[UInt8]>, in tree: some RootTree, ignoring ignored: Set<Package> = []
  ) throws -> [[UInt8]: [PackageOwnership]] {
    var collector = OwnerCollector(
      paths, ignoring: ignored, aliases: try DirectoryAliases(tree))
    switch reader {
    case .dpkg(let dpkg): try dpkg.collectOwners(tree, &collector)
    case .rpm(let rpm): try rpm.collectOwners(tree, &collector)
    }
    return collector.owners
  }
}
