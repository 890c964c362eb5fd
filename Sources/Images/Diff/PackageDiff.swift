// Compares the packages of two root trees, and assigns each changed path to the package that explains it.

import Codec
import Packages
import Platform
import Store

/// A package that differs between the two trees.
public struct PackageChange: Sendable, Equatable {
  public let name: String
  public let architecture: String
  /// The old version; nil if the package was added.
  public let old: String?
  /// The new version; nil if the package was removed.
  public let new: String?
  /// The old state; nil if the package is fully installed, or absent.
  public let oldState: Package.State?
  public let newState: Package.State?

  public init(
    name: String, architecture: String, old: String?, new: String?,
    oldState: Package.State? = nil, newState: Package.State? = nil
  ) {
    self.name = name
    self.architecture = architecture
    self.old = old
    self.new = new
    self.oldState = oldState
    self.newState = newState
  }

  fileprivate init(_ old: Package?, _ new: Package?) {
    func state(_ package: Package?) -> Package.State? {
      package?.state == .installed ? nil : package?.state
    }
    self.init(
      name: (new ?? old)?.name ?? "", architecture: (new ?? old)?.architecture ?? "",
      old: old?.version, new: new?.version, oldState: state(old), newState: state(new))
  }
}

/// The package that owns a changed path, and the relation of the change to it.
public enum ChangedPathOwner: Sendable, Equatable {
  /// The path belongs to a package that was added, removed or replaced by another version.
  case package(String)
  /// The path is a configuration file that differs from its package's version, or was removed.
  case configuration(String)
  /// The path belongs to a package that is the same in both trees: somebody changed the file.
  case modified(String)
  case unowned
}

/// The packages of one root tree in two states.
public struct PackageDiff: Sendable {
  /// The path of the tree on the management node.
  public let path: [UInt8]
  /// The kind of the old side's package database; nil if it has none.
  public let oldKind: DatabaseKind?
  public let newKind: DatabaseKind?
  /// The changed packages, sorted by name.
  public let changes: [PackageChange]
  public let unchangedCount: Int
  /// The owner of each changed path of the tree.
  public let ownerships: [[UInt8]: ChangedPathOwner]
  /// The parts of the databases that could not be read, one sentence each.
  public let remarks: [String]
}

/// Compares two sets of packages. A name may occur several times (kernels, architectures).
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
    // One old and one new package are two versions. Several packages are paired by architecture.
    for architecture in Set(after.map(\.architecture)) {
      let a = before.filter { $0.architecture == architecture }
      let b = after.filter { $0.architecture == architecture }
      guard a.count == 1, b.count == 1 else { continue }
      changes.append(PackageChange(a[0], b[0]))
      before.removeAll { $0 == a[0] }
      after.removeAll { $0 == b[0] }
    }
    if before.count == 1, after.count == 1 {
      changes.append(PackageChange(before[0], after[0]))
      continue
    }
    changes += before.map { PackageChange($0, nil) }
    changes += after.map { PackageChange(nil, $0) }
  }
  changes.sort {
    ($0.name, $0.architecture, $0.old ?? "", $0.new ?? "")
      < ($1.name, $1.architecture, $1.old ?? "", $1.new ?? "")
  }
  return (changes, both.count)
}

extension Comparison {
  /// Compares the packages of each root tree.
  /// - Throws: `PackagesError` if a database cannot be read.
  public func packages() throws -> [PackageDiff] {
    try treePaths.sorted(by: precedes).map { path in
      let changes = diff.entries.compactMap { change in
        ImagePath(change.path, in: path).map { (path: $0.path, change: change) }
      }.filter { !$0.path.isTop }
      let paths = Set(changes.map(\.path.bytes))
      let found = try onBothSides { side in
        try TreePackages(side == 0 ? old : new, tree: path)
      }
      // A removed package still owns its configuration files, on both sides.
      let same = Set(found[0].packages).intersection(found[1].packages)
        .union(Set(found[0].configurationOnly).intersection(found[1].configurationOnly))
      // An unchanged package owns the same paths on both sides, so the new side's answer is enough.
      let owners = try onBothSides { side in
        try found[side].owners(of: paths, ignoring: side == 0 ? same : [])
      }
      return try PackageComparison(
        old: found[0], new: found[1], oldOwners: owners[0], newOwners: owners[1], same: same,
        reader: new
      ).run(path, changes)
    }
  }

  /// Runs `body` for both sides, each on its own thread: they share only the store.
  private func onBothSides<T: Sendable>(
    _ body: @escaping @Sendable (_ side: Int) throws -> T
  ) throws -> [T] {
    let results = Monitor<[Int: T]>([:])
    try runThreads(2) { side in
      let result = try body(side)
      results.withLock { $0[side] = result }
    }
    return results.withLock { [$0[0], $0[1]].compactMap(\.self) }
  }
}

/// The packages of one tree in one state.
private struct TreePackages: Sendable {
  let reader: SnapshotReader
  let component: Snapshot.Component?
  private(set) var database: PackageDatabase?
  private(set) var packages: [Package] = []
  private(set) var configurationOnly: [Package] = []
  private(set) var remarks: [String] = []

  init(_ reader: SnapshotReader, tree path: [UInt8]) throws {
    self.reader = reader
    component = reader.state.components.first { $0.path == path }
    guard let component,
      let found = try PackageDatabase.find(in: PackageRootTree(reader, component))
    else {
      return
    }
    (database, packages) = (found.0, found.1.packages)
    (configurationOnly, remarks) = (found.1.configurationOnly, found.1.remarks)
  }

  func owners(
    of paths: Set<[UInt8]>, ignoring ignored: Set<Package>
  ) throws -> [[UInt8]: [PackageOwnership]] {
    guard let component, let database else { return [:] }
    return try database.owners(of: paths, in: PackageRootTree(reader, component), ignoring: ignored)
  }
}

extension [PackageOwnership] {
  /// The owner with the first name. Databases give owners in any order, and answers should not change.
  var firstByName: PackageOwnership? {
    self.min {
      ($0.package.name, $0.package.architecture, $0.package.version)
        < ($1.package.name, $1.package.architecture, $1.package.version)
    }
  }
}

/// The comparison of one tree's packages.
private struct PackageComparison {
  let old: TreePackages
  let new: TreePackages
  let oldOwners: [[UInt8]: [PackageOwnership]]
  let newOwners: [[UInt8]: [PackageOwnership]]
  /// The packages that both sides have.
  let same: Set<Package>
  /// Reads files of the new side.
  let reader: SnapshotReader

  func run(_ path: [UInt8], _ entries: [(path: RelativePath, change: TreeChange)]) throws
    -> PackageDiff
  {
    let (changes, unchanged) = compare(old.packages, new.packages)
    var ownerships: [[UInt8]: ChangedPathOwner] = [:]
    for (inside, change) in entries {
      ownerships[change.path] = try classify(
        change, newOwners[inside.bytes] ?? oldOwners[inside.bytes] ?? [])
    }
    return PackageDiff(
      path: path, oldKind: old.database?.kind, newKind: new.database?.kind, changes: changes,
      unchangedCount: unchanged, ownerships: ownerships,
      remarks: old.remarks.map { "before: \($0)" } + new.remarks.map { "after: \($0)" })
  }

  private func classify(
    _ change: TreeChange, _ owners: [PackageOwnership]
  ) throws -> ChangedPathOwner {
    // Directories often have several owners. One that changed explains the change.
    let mover = owners.filter { !same.contains($0.package) }.firstByName
    guard let owner = mover ?? owners.firstByName else { return .unowned }
    let ofMover: ChangedPathOwner =
      mover == nil ? .modified(owner.package.name) : .package(owner.package.name)
    guard owner.isConfiguration else { return ofMover }
    switch change.kind {
    case .removed: return mover == nil ? .configuration(owner.package.name) : ofMover
    case .added(let entry), .changed(_, let entry, _):
      let isAsShipped = try isShipped(change.address, entry, owner.shipped)
      return mover != nil && isAsShipped ? ofMover : .configuration(owner.package.name)
    }
  }

  private func isShipped(_ address: ImagePath, _ entry: Entry, _ digest: ShippedDigest?) throws
    -> Bool
  {
    guard let blob = entry.blob else { return false }
    switch digest {
    case nil: return false
    case .sha256(let bytes): return blob.bytes == bytes
    case .md5(let bytes):
      // Larger files are not hashed: no configuration file is that large.
      guard entry.sizeBytes <= 16 << 20 else { return false }
      let content = try reader.bytes(
        of: LocatedEntry(address: address, entry: entry), limitBytes: 16 << 20)
      return MD5.digest(of: content) == bytes
    }
  }
}
