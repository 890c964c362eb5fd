// The space of a snapshot's root tree by directory and by package.
//
// 1. Sizes are those of contents: before compression, and without regard to other snapshots.
// 2. A content counts once, whatever number of hard links or copies has it.

import Codec
import Packages
import Platform
import Store

/// The space of a root tree.
public struct TreeSpace: Sendable {
  /// The space of a directory or a package.
  public struct Share: Sendable {
    /// The printable path of a directory, or the name of a package.
    public let name: String
    public internal(set) var bytes: UInt64
    public internal(set) var files: Int
  }

  public let bytes: UInt64
  public let files: Int
  /// The directories down to a depth, largest first. A directory counts what is below it.
  public let directories: [Share]
  /// The packages, largest first; empty if the tree has no package database.
  public let packages: [Share]
  /// The files of no package.
  public let unowned: Share
}

extension SnapshotReader {
  /// Returns the space of the root tree; nil if the image has none.
  /// - Parameter depth: how deep below the top directories are listed.
  /// - Throws: `StoreError`; `PackagesError` if a package database cannot be read.
  public func space(depth: Int) throws -> TreeSpace? {
    guard let component = state.components.rootTree else { return nil }
    var sizes = FileSizes(depth: depth)
    try sizes.add(self, component.entry, RelativePath.top, [])
    var packages: [String: TreeSpace.Share] = [:]
    var unowned = TreeSpace.Share(name: "", bytes: 0, files: 0)
    let tree = PackageRootTree(self, component)
    let database = try PackageDatabase.find(in: tree)?.0
    if let database {
      let owners = try database.owners(of: Set(sizes.files.map(\.path)), in: tree)
      for file in sizes.files {
        if let owner = owners[file.path]?.firstByName {
          let name = owner.package.name
          packages[name, default: .init(name: name, bytes: 0, files: 0)].add(file.bytes)
        } else {
          unowned.add(file.bytes)
        }
      }
    }
    func sorted(_ shares: some Collection<TreeSpace.Share>) -> [TreeSpace.Share] {
      shares.sorted { ($1.bytes, $0.name) < ($0.bytes, $1.name) }
    }
    return TreeSpace(
      bytes: sizes.files.reduce(0) { $0 &+ $1.bytes }, files: sizes.files.count,
      directories: sorted(sizes.directories.values), packages: sorted(packages.values),
      unowned: unowned)
  }
}

extension TreeSpace.Share {
  fileprivate mutating func add(_ bytes: UInt64) {
    self.bytes &+= bytes
    files += 1
  }
}

/// The files of a tree, and the sums of its upper directories.
private struct FileSizes {
  let depth: Int
  private(set) var files: [(path: [UInt8], bytes: UInt64)] = []
  private(set) var directories: [String: TreeSpace.Share] = [:]
  private var seen: Set<Digest> = []

  init(depth: Int) { self.depth = depth }

  mutating func add(
    _ reader: SnapshotReader, _ entry: Entry, _ path: RelativePath, _ above: [String]
  ) throws {
    for child in try reader.children(of: entry) {
      let childPath = path.appending(child.name)
      if let blob = child.blob {
        let bytes = seen.insert(blob).inserted ? child.sizeBytes : 0
        files.append((childPath.bytes, bytes))
        for name in above { directories[name]?.add(bytes) }
      } else if child.kind == .directory {
        var above = above
        if above.count < depth {
          let name = printable(childPath.bytes)
          directories[name] = .init(name: name, bytes: 0, files: 0)
          above.append(name)
        }
        try add(reader, child, childPath, above)
      }
    }
  }
}
