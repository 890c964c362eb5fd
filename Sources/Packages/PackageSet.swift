// The packages of one root tree, and which of them a path belongs to.

import Platform

/// Which tool keeps the database, and in which of its forms.
public enum DatabaseKind: String, Sendable {
  case dpkg
  /// `rpmdb.sqlite`: Fedora 33, EL 9, and later.
  case rpmSQLite = "rpm-sqlite"
  /// `Packages.db`: SUSE.
  case rpmNDB = "rpm-ndb"
  /// `Packages`, a Berkeley DB hash: EL 8 and earlier.
  case rpmBerkeley = "rpm-bdb"
}

/// An installed package.
public struct Package: Hashable, Sendable {
  /// As the tool prints it: "openssl", "libc6:amd64" where dpkg says the architecture too.
  public let name: String
  /// As the tool prints it: "3.0.17-1", "2:9.0-1"; for rpm "epoch:version-release".
  public let version: String
  /// Empty where the database names none.
  public let architecture: String
  public let state: State

  /// How far an installation came (dpkg(1), "package states").
  public enum State: String, Sendable {
    case installed
    case halfInstalled = "half-installed"
    case unpacked
    case halfConfigured = "half-configured"
  }

  public init(name: String, version: String, architecture: String, state: State = .installed) {
    self.name = name
    self.version = version
    self.architecture = architecture
    self.state = state
  }
}

/// The packages of a root tree.
public struct PackageSet: Sendable {
  public let kind: DatabaseKind
  /// In order of their names, then of the database. A name may stand more than once (kernels).
  public let packages: [Package]
  /// Removed packages whose configuration files are still there (dpkg's state "config-files").
  public let configurationOnly: [Package]
  /// What could not be read of the database, a sentence each.
  public let remarks: [String]

  init(
    kind: DatabaseKind, packages: [Package], configurationOnly: [Package] = [],
    remarks: [String] = []
  ) {
    self.kind = kind
    self.packages = packages
    self.configurationOnly = configurationOnly
    self.remarks = remarks
  }
}

/// That a package holds a path.
public struct Ownership: Hashable, Sendable {
  public let package: Package
  /// A configuration file: the administrator may have changed it.
  public let isConfiguration: Bool
  /// The content that the package brought; nil where the database does not say.
  public let shipped: ShippedDigest?
}

/// A digest that a package database keeps of a file's content.
public enum ShippedDigest: Hashable, Sendable {
  case md5([UInt8])
  case sha256([UInt8])
}

/// Files of a root tree, as the readers of this room need them. Paths are relative, without "/" in
/// front.
public protocol RootTree {
  /// The bytes of the regular file at `path`; nil where there is none.
  /// - Throws: an `ExplainedError` where it is there and longer than `limitBytes`, or unreadable.
  func file(_ path: [UInt8], limitBytes: Int) throws -> [UInt8]?
  /// What is in the folder at `path`: each name, and where it leads if it is a symbolic link.
  /// Empty where there is no such folder.
  func folder(_ path: [UInt8]) throws -> [(name: [UInt8], linkTarget: [UInt8]?)]
}

/// The package database of a root tree.
public struct PackageDatabase: Sendable {
  enum Reader: Sendable {
    case dpkg(Dpkg)
    case rpm(RPMDatabase)
  }
  let reader: Reader

  public var kind: DatabaseKind {
    switch reader {
    case .dpkg: .dpkg
    case .rpm(let database): database.form.kind
    }
  }

  /// Finds the database; nil where the tree has none. With both, the one with packages counts: a
  /// Debian system may have rpm's tools, and an rpm system dpkg's.
  public static func find(in tree: some RootTree) throws -> (PackageDatabase, PackageSet)? {
    var empty: (PackageDatabase, PackageSet)?
    if let (dpkg, set) = try Dpkg.read(tree) {
      let found = (PackageDatabase(reader: .dpkg(dpkg)), set)
      if !set.packages.isEmpty { return found }
      empty = found
    }
    if let (rpm, packages) = try RPMDatabase.read(tree) {
      let set = PackageSet(kind: rpm.form.kind, packages: packages)
      let found = (PackageDatabase(reader: .rpm(rpm)), set)
      if !packages.isEmpty { return found }
      empty = empty ?? found
    }
    return empty
  }

  /// Who owns each of `paths` (relative, as in the tree); a path that nobody owns is left out. A
  /// folder may have many owners, a file has one, or several that agree on it.
  /// - Parameter ignored: packages whose files are not looked at.
  public func owners(
    of paths: Set<[UInt8]>, in tree: some RootTree, ignoring ignored: Set<Package> = []
  ) throws -> [[UInt8]: [Ownership]] {
    var collector = OwnerCollector(
      paths, ignoring: ignored, aliases: try DirectoryAliases(tree))
    switch reader {
    case .dpkg(let dpkg): try dpkg.collectOwners(tree, &collector)
    case .rpm(let rpm): try rpm.collectOwners(tree, &collector)
    }
    return collector.owners
  }
}

/// Takes owned paths as databases spell them and keeps those that are asked for.
struct OwnerCollector {
  /// Bytes that hash in one go: the standard hash of `[UInt8]` takes them one by one.
  private struct Key: Hashable {
    let bytes: [UInt8]
    func hash(into hasher: inout Hasher) { bytes.withUnsafeBytes { hasher.combine(bytes: $0) } }
  }
  private let wanted: Set<Key>
  let ignored: Set<Package>
  private let aliases: DirectoryAliases
  /// The folder of the last path, and where it is: lists name a folder's files one after another.
  private var folder: (spelled: [UInt8], real: [UInt8]) = ([], [])
  private(set) var owners: [[UInt8]: [Ownership]] = [:]

  init(_ wanted: Set<[UInt8]>, ignoring ignored: Set<Package>, aliases: DirectoryAliases) {
    self.ignored = ignored
    self.wanted = Set(wanted.map(Key.init))
    self.aliases = aliases
  }

  /// The path in the tree for an absolute one of a database; nil where it is not asked for.
  mutating func wantedPath(_ absolute: some Collection<UInt8>) -> [UInt8]? {
    var path = Array(absolute.drop { $0 == 0x2f })
    if let slash = path.lastIndex(of: 0x2f) {
      if !path[..<slash].elementsEqual(folder.spelled) {
        let spelled = Array(path[..<slash])
        // A folder's own alias counts for what is in it.
        folder = (spelled, Array(aliases.resolve(spelled + [0x2f]).dropLast()))
      }
      path = folder.real + path[slash...]
    }
    return wanted.contains(Key(bytes: path)) ? path : nil
  }

  mutating func add(_ path: [UInt8], _ ownership: Ownership) {
    owners[path, default: []].append(ownership)
  }
}

/// Links among the outermost folders ("bin" to "usr/bin", "usr/lib64" to "lib"): a database names
/// files under the link, the tree holds them under its target.
struct DirectoryAliases {
  private var targets: [[UInt8]: [UInt8]] = [:]

  init(_ tree: some RootTree) throws {
    for parent in [[], Array("usr".utf8), Array("var".utf8)] as [[UInt8]] {
      for (name, link) in try tree.folder(parent) {
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

  /// The path with links on its way resolved. What stands behind the last "/" is no folder: a link
  /// there is the path itself.
  func resolve(_ path: [UInt8]) -> [UInt8] {
    var path = path
    // A link may lead to a link; more than a few of them is a circle.
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

  private func join(_ folder: [UInt8], _ rest: ArraySlice<UInt8>) -> [UInt8] {
    folder.isEmpty ? Array(rest) : folder + [0x2f] + rest
  }
}
