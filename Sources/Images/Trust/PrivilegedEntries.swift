// What gives privilege in a tree that a stranger made: files with setuid, setgid or capabilities, and
// device nodes. Such a tree lies on the management node before any node boots it, and there the kernel
// honours all of them.
//
// 1. Expected are the device nodes that every system has, and files that a package of the tree's own
//    database owns. (A stranger can write the database, too: this keeps slips and crude plants out, and
//    makes the rest a matter of the packages that the tree names.)
// 2. All are counted and named; what is not expected is refused, unless the administrator takes it.

import Codec
import Packages
import Platform
import Store
import XCAT

/// An entry of an imported tree that gives privilege.
public struct PrivilegedEntry: Sendable, Equatable {
  public enum Kind: String, Sendable, CaseIterable {
    case setuid
    case setgid
    case capabilities
    case device
  }

  /// Its path on the management node.
  public let path: [UInt8]
  public let kinds: [Kind]
  /// For people: "setuid of user 0", "block device 8:0" …
  public let detail: String
  /// The package that owns the file; nil where none does.
  public let package: String?
  /// A device that every system has.
  public let isStandard: Bool

  public var isExpected: Bool { isStandard || package != nil }
}

/// Finds such entries.
struct PrivilegedEntries {
  /// memory(4), null(4), random(4), full(4), tty(4), console(4), ptmx(4): what a system has in /dev before
  /// udev runs. And the whiteout of overlay file systems, which is none.
  private static let standardDevices: Set<DeviceNumber> = Set(
    [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2), (0, 0)].map {
      DeviceNumber(major: $0.0, minor: $0.1)
    })
  private static let capability = Array("security.capability".utf8)

  let store: ObjectStore
  /// The state that the trees belong to.
  let state: ImageState

  func find() throws -> [PrivilegedEntry] {
    try state.pieces.flatMap { piece in
      guard piece.entry.kind == .directory else { return [PrivilegedEntry]() }
      return try find(in: piece)
    }
  }

  private func find(in piece: Snapshot.Component) throws -> [PrivilegedEntry] {
    var found: [(path: [UInt8], entry: Entry, kinds: [PrivilegedEntry.Kind])] = []
    var capable: [Digest: Bool] = [:]
    var waiting: [(path: [UInt8], ids: Tree.IDs)] = piece.entry.ids.map { [([], $0)] } ?? []
    while let (path, ids) = waiting.popLast() {
      for entry in try Tree.entries(ids, from: store) {
        let below = path.isEmpty ? entry.name : path + [0x2f] + entry.name
        if let ids = entry.ids { waiting.append((below, ids)) }
        let kinds = try kinds(of: entry, &capable)
        if !kinds.isEmpty { found.append((below, entry, kinds)) }
      }
    }
    let files = Set(found.filter { $0.entry.kind == .file }.map(\.path))
    let owners = try owners(of: files, piece)
    return found.sorted { precedes($0.path, $1.path) }.map { path, entry, kinds in
      PrivilegedEntry(
        path: piece.path + [0x2f] + path, kinds: kinds, detail: detail(entry, kinds),
        package: owners[path], isStandard: isStandard(entry))
    }
  }

  private func kinds(
    of entry: Entry, _ capable: inout [Digest: Bool]
  ) throws -> [PrivilegedEntry.Kind] {
    if entry.kind.isDevice { return [.device] }
    guard entry.kind == .file else { return [] }
    var kinds: [PrivilegedEntry.Kind] = []
    if entry.mode & 0o4000 != 0 { kinds.append(.setuid) }
    // Without the group's right to execute it is a mark for locks (fcntl(2)), and none of privilege.
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

  /// The packages that own files of a tree. A database that cannot be read owns nothing.
  private func owners(
    of files: Set<[UInt8]>, _ piece: Snapshot.Component
  ) throws -> [[UInt8]: String] {
    if files.isEmpty { return [:] }
    let tree = PackageRootTree(SnapshotReader(state: state, store: store, live: nil), piece)
    guard let found = try? PackageDatabase.find(in: tree),
      let owners = try? found.0.owners(of: files, in: tree)
    else { return [:] }
    return owners.compactMapValues { $0.first?.package.name }
  }
}

extension [PrivilegedEntry] {
  /// - Throws: `ImageError` that names the first ones that are not expected. Nothing was changed then.
  func refuseUnexpected() throws {
    let refused = filter { !$0.isExpected }
    guard let first = refused.first else { return }
    let others = refused.dropFirst().prefix(4).map { printable($0.path) }.joined(separator: ", ")
    let more = refused.count > 5 ? " and \(refused.count - 5) more" : ""
    throw ImageError(
      printable(first.path),
      first.kinds == [.device]
        ? "is a \(first.detail), which no system has of itself"
        : "has \(first.detail), and no package of the tree owns it",
      advice: "Nothing was imported; 'imgstore import --allow-privileged' takes it"
        + (refused.count > 1 ? ", and \(others)\(more)," : "")
        + " if you know where the bundle comes from")
  }
}
