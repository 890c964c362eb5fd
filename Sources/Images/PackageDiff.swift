// Which packages changed between two root trees, and which change of a path belongs to which.

import Codec
import Packages
import Platform
import Store

/// A package that is not the same in both trees.
public struct PackageChange: Sendable, Equatable {
  public let name: String
  public let architecture: String
  /// nil where it was added.
  public let old: String?
  /// nil where it was removed.
  public let new: String?

  public init(name: String, architecture: String, old: String?, new: String?) {
    self.name = name
    self.architecture = architecture
    self.old = old
    self.new = new
  }
}

/// What a changed path has to do with packages.
public enum Belonging: Sendable, Equatable {
  /// Of a package that was added, removed, or came in another version.
  case package(String)
  /// A configuration file that is not, or no longer, as its package brought it.
  case configuration(String)
  /// Of a package that is the same in both trees: somebody changed the file.
  case modified(String)
  case unowned
}

/// The packages of one root tree in two states.
public struct PackageDiff: Sendable {
  /// The path of the tree on the management node.
  public let path: [UInt8]
  /// nil where that side has no package database.
  public let oldKind: DatabaseKind?
  public let newKind: DatabaseKind?
  /// In order of their names.
  public let changes: [PackageChange]
  public let unchangedCount: Int
  /// For each changed path of the tree.
  public let belongings: [[UInt8]: Belonging]
}

/// Compares two sets of packages. A name may stand several times (kernels, architectures).
func compare(_ old: [Package], _ new: [Package]) -> (changes: [PackageChange], unchanged: Int) {
  let both = Set(old).intersection(new)
  var gone: [String: [Package]] = [:]
  var come: [String: [Package]] = [:]
  for package in Set(old) where !both.contains(package) {
    gone[package.name, default: []].append(package)
  }
  for package in Set(new) where !both.contains(package) {
    come[package.name, default: []].append(package)
  }
  var changes: [PackageChange] = []
  for name in Set(gone.keys).union(come.keys) {
    var before = gone[name] ?? []
    var after = come[name] ?? []
    // One for one is another version; of several, those of one architecture pair up.
    for architecture in Set(after.map(\.architecture)) {
      let a = before.filter { $0.architecture == architecture }
      let b = after.filter { $0.architecture == architecture }
      guard a.count == 1, b.count == 1 else { continue }
      changes.append(
        PackageChange(name: name, architecture: architecture, old: a[0].version, new: b[0].version))
      before.removeAll { $0 == a[0] }
      after.removeAll { $0 == b[0] }
    }
    if before.count == 1, after.count == 1 {
      changes.append(
        PackageChange(
          name: name, architecture: after[0].architecture, old: before[0].version,
          new: after[0].version))
      continue
    }
    changes += before.map {
      PackageChange(name: name, architecture: $0.architecture, old: $0.version, new: nil)
    }
    changes += after.map {
      PackageChange(name: name, architecture: $0.architecture, old: nil, new: $0.version)
    }
  }
  changes.sort {
    ($0.name, $0.architecture, $0.old ?? "", $0.new ?? "")
      < ($1.name, $1.architecture, $1.old ?? "", $1.new ?? "")
  }
  return (changes, both.count)
}

extension Comparison {
  /// The packages of each root tree.
  /// - Throws: `PackagesError` for a database that cannot be read.
  public func packages() throws -> [PackageDiff] {
    try treePaths.sorted(by: precedes).map { path in
      let prefix = path + [0x2f]
      let changes = diff.entries.filter { $0.path.starts(with: prefix) }
      let paths = Set(changes.map { Array($0.path.dropFirst(prefix.count)) })
      // The two sides share nothing but the store: each has a thread.
      let sides = Monitor<[TreePackages]>([.init(), .init()])
      try runThreads(2) { side in
        let packages = try TreePackages(side == 0 ? old : new, tree: path, owning: paths)
        sides.withLock { $0[side] = packages }
      }
      let (before, after) = sides.withLock { ($0[0], $0[1]) }
      return try PackageComparison(old: before, new: after, reader: new).run(path, changes)
    }
  }
}

/// The packages of one tree in one state, and who owns the paths that changed.
private struct TreePackages: Sendable {
  var kind: DatabaseKind?
  var packages: [Package] = []
  var owners: [[UInt8]: [Ownership]] = [:]

  init() {}

  init(_ reader: StateReader, tree path: [UInt8], owning paths: Set<[UInt8]>) throws {
    guard let piece = reader.state.pieces.first(where: { $0.path == path }) else { return }
    let tree = StateRootTree(reader, piece)
    guard let (database, found) = try PackageDatabase.find(in: tree) else { return }
    kind = found.kind
    packages = found.packages
    owners = try database.owners(of: paths, in: tree)
  }
}

/// The comparison of one tree's packages.
private struct PackageComparison {
  let old: TreePackages
  let new: TreePackages
  /// Reads files of the new side.
  let reader: StateReader

  func run(_ path: [UInt8], _ entries: [TreeChange]) throws -> PackageDiff {
    let (changes, unchanged) = compare(old.packages, new.packages)
    let same = Set(old.packages).intersection(new.packages)
    var belongings: [[UInt8]: Belonging] = [:]
    for change in entries {
      let key = Array(change.path.dropFirst(path.count + 1))
      let owners = new.owners[key] ?? old.owners[key] ?? []
      belongings[change.path] = try classify(change, owners, same)
    }
    return PackageDiff(
      path: path, oldKind: old.kind, newKind: new.kind, changes: changes,
      unchangedCount: unchanged, belongings: belongings)
  }

  private func classify(
    _ change: TreeChange, _ owners: [Ownership], _ same: Set<Package>
  ) throws -> Belonging {
    // Of several owners (folders, mostly) one that changed explains the change.
    let mover = owners.first { !same.contains($0.package) }
    guard let owner = mover ?? owners.first else { return .unowned }
    let ofMover: Belonging =
      mover == nil ? .modified(owner.package.name) : .package(owner.package.name)
    guard owner.isConfiguration else { return ofMover }
    switch change.kind {
    case .removed: return mover == nil ? .configuration(owner.package.name) : ofMover
    case .added(let entry), .changed(_, let entry, _):
      let isAsShipped = try isShipped(change.path, entry, owner.shipped)
      return mover != nil && isAsShipped ? ofMover : .configuration(owner.package.name)
    }
  }

  private func isShipped(_ path: [UInt8], _ entry: Entry, _ digest: ShippedDigest?) throws -> Bool {
    guard let blob = entry.blob else { return false }
    switch digest {
    case nil: return false
    case .sha256(let bytes): return blob.bytes == bytes
    case .md5(let bytes):
      // A configuration file of more than this is read by nobody.
      guard entry.sizeBytes <= 16 << 20 else { return false }
      let content = try reader.bytes(
        of: FoundEntry(path: path, entry: entry), limitBytes: 16 << 20)
      return MD5.digest(of: content) == bytes
    }
  }
}
