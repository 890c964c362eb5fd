// Finds privileged entries in an untrusted tree: files with setuid, setgid or capabilities, and device nodes.
// The tree is on the management node before any node boots it, and the kernel there honors all of them.
//
// 1. Two groups are expected: the device nodes of every system, and files that a package in the tree's own
//    database owns. The author of the tree can forge the database, too. So this check only stops mistakes and
//    crude attacks.
// 2. All entries are counted and named. Unexpected ones are refused unless the administrator allows them.

import Codec
import Packages
import Platform
import Store

/// A privileged entry of an imported tree.
public struct PrivilegedEntry: Sendable, Equatable {
  public enum Kind: String, Sendable, CaseIterable {
    case setuid
    case setgid
    case capabilities
    case device
  }

  /// The path on the management node.
  public let path: [UInt8]
  public let kinds: [Kind]
  /// A description for people: "setuid of user 0", "block device 8:0" …
  public let detail: String
  /// The package that owns the file; nil if there is none.
  public let package: String?
  /// Whether the entry is a device that every system has.
  public let isStandard: Bool

  public var isExpected: Bool { isStandard || package != nil }
}

/// Finds the privileged entries of an image's trees.
struct PrivilegedEntries {
  /// The devices in /dev before udev runs: memory(4), null(4), random(4), full(4), tty(4), console(4) and
  /// ptmx(4). Also the whiteout of overlay file systems, which is not a real device.
  private static let standardDevices: Set<DeviceNumber> = Set(
    [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2), (0, 0)].map {
      DeviceNumber(major: $0.0, minor: $0.1)
    })
  private static let capability = Array("security.capability".utf8)

  let store: ObjectStore
  /// The state that contains the trees.
  let state: ImageState

  func find() throws -> [PrivilegedEntry] {
    try state.components.flatMap { component in
      guard component.entry.kind == .directory else { return [PrivilegedEntry]() }
      return try find(in: component)
    }
  }

  private func find(in component: Snapshot.Component) throws -> [PrivilegedEntry] {
    var found: [(path: RelativePath, entry: Entry, kinds: [PrivilegedEntry.Kind])] = []
    var capable: [Digest: Bool] = [:]
    var waiting: [(path: RelativePath, ids: Tree.IDs)] =
      component.entry.ids.map { [(.top, $0)] } ?? []
    while let (path, ids) = waiting.popLast() {
      for entry in try Tree.entries(ids, from: store) {
        let below = path.appending(entry.name)
        if let ids = entry.ids { waiting.append((below, ids)) }
        let kinds = try kinds(of: entry, &capable)
        if !kinds.isEmpty { found.append((below, entry, kinds)) }
      }
    }
    let files = Set(found.filter { $0.entry.kind == .file }.map(\.path.bytes))
    let owners = try owners(of: files, component)
    return found.sorted { precedes($0.path.bytes, $1.path.bytes) }.map { path, entry, kinds in
      PrivilegedEntry(
        path: ImagePath(component: component.path, path: path).bytes, kinds: kinds,
        detail: detail(entry, kinds),
        package: owners[path.bytes], isStandard: isStandard(entry))
    }
  }

  private func kinds(
    of entry: Entry, _ capable: inout [Digest: Bool]
  ) throws -> [PrivilegedEntry.Kind] {
    if entry.kind.isDevice { return [.device] }
    guard entry.kind == .file else { return [] }
    var kinds: [PrivilegedEntry.Kind] = []
    if entry.mode & 0o4000 != 0 { kinds.append(.setuid) }
    // Setgid without group execute marks a file for mandatory locks (fcntl(2)) and gives no privilege.
    if entry.mode & 0o2000 != 0, entry.mode & 0o010 != 0 { kinds.append(.setgid) }
    if let id = entry.xattrs {
      if capable[id] == nil {
        capable[id] = try XattrSet.decode(store.object(.xattrs, id)).attributes.contains {
          $0.name == PrivilegedEntries.capability
        }
      }
      if capable[id] == true { kinds.append(.capabilities) }
    }
    return kinds
  }

  private func isStandard(_ entry: Entry) -> Bool {
    guard case .device(let isBlock, let number) = entry.content else { return false }
    return !isBlock && PrivilegedEntries.standardDevices.contains(number)
  }

  private func detail(_ entry: Entry, _ kinds: [PrivilegedEntry.Kind]) -> String {
    if case .device(let isBlock, let number) = entry.content {
      return "\(isBlock ? "block" : "character") device \(number.major):\(number.minor)"
    }
    return kinds.map { kind in
      switch kind {
      case .setuid: "setuid of user \(entry.uid)"
      case .setgid: "setgid of group \(entry.gid)"
      case .capabilities: "capabilities"
      case .device: "a device"
      }
    }.joined(separator: ", ")
  }

  /// Returns the packages that own files of a tree. If the database cannot be read, there are none.
  private func owners(
    of files: Set<[UInt8]>, _ component: Snapshot.Component
  ) throws -> [[UInt8]: String] {
    if files.isEmpty { return [:] }
    let tree = PackageRootTree(SnapshotReader(state: state, store: store, live: nil), component)
    guard let found = try? PackageDatabase.find(in: tree),
      let owners = try? found.0.owners(of: files, in: tree)
    else { return [:] }
    return owners.compactMapValues { $0.first?.package.name }
  }
}

extension [PrivilegedEntry] {
  /// Refuses unexpected entries before anything is changed.
  /// - Throws: `ImageError` with the first unexpected entries.
  func refuseUnexpected() throws {
    let refused = filter { !$0.isExpected }
    guard let first = refused.first else { return }
    let others = refused.dropFirst().prefix(4).map { printable($0.path) }.joined(separator: ", ")
    let more = refused.count > 5 ? " and \(refused.count - 5) more" : ""
    throw ImageError(
      .bundleInvalid, printable(first.path),
      first.kinds == [.device]
        ? "is a \(first.detail), which is not a standard device"
        : "has \(first.detail), but no package of the tree owns it",
      hint: "Nothing was imported. If you trust the bundle, allow it"
        + (refused.count > 1 ? " (also \(others)\(more))" : "")
        + " with 'imgstore import --allow-privileged'")
  }
}
