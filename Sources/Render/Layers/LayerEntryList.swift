// Lists the entries of an image's layer: a whole tree, or the differences of a tree from the layers below
// it (OCI image specification, "Image Layer Filesystem Changeset").
//
// 1. Equal trees give equal entries, as in `ArchiveEntryList`. Names have no leading "./".
// 2. A directory above a difference is in the layer with its attributes, because programs may take missing
//    ones for new. Its whiteouts follow it, before its entries.
// 3. If a name of a hard-linked inode differs, all names of the inode are in the layer. So no link depends
//    on a file in another layer.
// 4. A tree with an entry that would count as a whiteout is refused: other programs would remove files.

import Archive
import Codec
import Platform
import Store

/// Lists a layer and frames its entries.
public struct LayerEntryList {
  private static let whiteoutPrefix = Array(".wh.".utf8)

  private let list: ArchiveEntryList
  private let whiteouts: [[UInt8]: [[UInt8]]]
  private let view: OverlayTree
  /// Whether the layer changes nothing.
  public let isEmpty: Bool

  /// The total size of its files, with each inode counted once.
  public var contentBytes: UInt64 { list.contentBytes }

  /// Lists the entries.
  /// - Parameters:
  ///   - top: the top directory of the tree.
  ///   - base: the tree of the layers below; nil for the first layer.
  ///   - view: contains both trees.
  /// - Throws: `StoreError`: `refused` for a tree that no layer can hold; `missing`; `damaged`.
  public init(_ top: Entry, over base: Entry?, from view: OverlayTree) throws {
    self.view = view
    var difference = LayerDifference(view)
    if let base { try difference.compare(base, top, []) }
    try difference.addLinks(top)
    var refused: [UInt8]?
    list = try ArchiveEntryList(top, from: view, as: .tar, named: []) { path in
      let path = path.dropFirst(2)
      let name = path.split(separator: 0x2f).last ?? []
      if name.starts(with: LayerEntryList.whiteoutPrefix) { refused = refused ?? Array(path) }
      return base == nil || difference.paths.contains(Array(path))
    }
    if let refused {
      throw StoreError(
        .refused, "file \(printable(refused))",
        "has a name that other programs take for the removal of another file",
        hint: "Rename it or exclude it, then take another snapshot", code: .unsupported)
    }
    whiteouts = difference.whiteouts
    isEmpty = base != nil && difference.paths.isEmpty
  }

  /// Calls `body` with every entry, in order.
  /// - Returns: the end of the archive, and the counts of members.
  /// - Throws: `StoreError`; the errors of `body`.
  public func forEach(
    _ body: (ArchiveEntry) throws -> Void
  ) throws -> (trailer: [UInt8], counts: TreeArchiveCounts) {
    func emit(_ entry: ArchiveEntry) throws {
      try body(entry)
      for name in whiteouts[entry.path] ?? [] {
        let path = (entry.path.isEmpty ? [] : entry.path + [0x2f]) + LayerEntryList.whiteoutPrefix
        let member = TarMember(path: path + name, kind: .file, mode: 0)
        try body(ArchiveEntry(path: member.path, header: try member.header()))
      }
    }
    return try list.forEach(emit)
  }

  /// Returns the SHA-256 of the plain layer, by which configurations name it.
  /// - Throws: `StoreError`.
  public func plainDigest(_ progress: Progress) throws -> Digest {
    var hash = SHA256()
    let zeros = [UInt8](repeating: 0, count: Int(TarMember.unitBytes))
    let (trailer, _) = try forEach { entry in
      hash.update(entry.header)
      switch entry.content {
      case .none, .spool: break
      case .bytes(let bytes): hash.update(bytes)
      case .blob(let blob, let size):
        try view.read(blob, sizeBytes: size) { bytes in
          hash.update(bytes)
          progress.add(bytes: UInt64(bytes.count))
        }
      }
      hash.update(Array(zeros.prefix(entry.paddingBytes)))
    }
    hash.update(trailer)
    return hash.finish()
  }
}

/// The differences of two trees, as a layer expresses them.
private struct LayerDifference {
  private let view: OverlayTree
  /// The paths of the entries in the layer.
  private(set) var paths: Set<[UInt8]> = []
  /// The removed names, in byte order, by their directory.
  private(set) var whiteouts: [[UInt8]: [[UInt8]]] = [:]
  /// The link groups of which a name is in the layer.
  private var groups: Set<UInt64> = []

  init(_ view: OverlayTree) { self.view = view }

  /// Compares two directories.
  mutating func compare(_ old: Entry, _ new: Entry, _ path: [UInt8]) throws {
    if LayerDifference.differs(old, new) { add(new, path) }
    guard let newIDs = new.ids, old.ids != newIDs else { return }
    let oldEntries = try old.ids.map { try Tree.entries($0, from: view) } ?? []
    var pairs: [(Entry?, Entry?)] = []
    TreeDiff.pairs(oldEntries, try Tree.entries(newIDs, from: view)) { pairs.append(($0, $1)) }
    for (old, new) in pairs {
      let old = old.flatMap { LayerDifference.isInLayers($0) ? $0 : nil }
      let new = new.flatMap { LayerDifference.isInLayers($0) ? $0 : nil }
      switch (old, new) {
      case (nil, nil): break
      case (let old?, nil):
        add(directory: path)
        whiteouts[path, default: []].append(old.name)
      case (nil, let new?): try addAll(new, LayerDifference.path(path, new))
      case (let old?, let new?):
        let inside = LayerDifference.path(path, new)
        if old.kind != new.kind {
          try addAll(new, inside)
        } else if new.kind == .directory {
          try compare(old, new, inside)
        } else if LayerDifference.differs(old, new) {
          add(new, inside)
        }
      }
    }
  }

  /// Adds the other names of all inodes of which a name is in the layer.
  mutating func addLinks(_ top: Entry) throws {
    if groups.isEmpty { return }
    try addLinks(in: top, [])
  }

  private mutating func addLinks(in directory: Entry, _ path: [UInt8]) throws {
    guard let ids = directory.ids else { return }
    for entry in try Tree.entries(ids, from: view) {
      let inside = LayerDifference.path(path, entry)
      if entry.kind == .directory {
        try addLinks(in: entry, inside)
      } else if groups.contains(entry.linkGroup) {
        add(entry, inside)
      }
    }
  }

  private mutating func addAll(_ entry: Entry, _ path: [UInt8]) throws {
    add(entry, path)
    guard let ids = entry.ids else { return }
    for child in try Tree.entries(ids, from: view) {
      try addAll(child, LayerDifference.path(path, child))
    }
  }

  private mutating func add(_ entry: Entry, _ path: [UInt8]) {
    paths.insert(path)
    if entry.linkGroup != 0 { groups.insert(entry.linkGroup) }
    if !path.isEmpty { add(directory: Array(path.prefix(upTo: path.lastIndex(of: 0x2f) ?? 0))) }
  }

  private mutating func add(directory path: [UInt8]) {
    var path = path
    while paths.insert(path).inserted, !path.isEmpty {
      path = Array(path.prefix(upTo: path.lastIndex(of: 0x2f) ?? 0))
    }
  }

  private static func path(_ directory: [UInt8], _ entry: Entry) -> [UInt8] {
    directory.isEmpty ? entry.name : directory + [0x2f] + entry.name
  }

  /// Returns whether a layer contains the entry: not a socket, nor one that the snapshot could not read.
  private static func isInLayers(_ entry: Entry) -> Bool {
    entry.kind != .socket && !entry.content.isMissing
  }

  /// Returns whether the headers or contents differ. Layers have neither inode flags nor maps of holes.
  private static func differs(_ old: Entry, _ new: Entry) -> Bool {
    !old.changes(to: new).subtracting([.flags, .holes]).isEmpty
  }
}
