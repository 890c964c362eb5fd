// Converts the live tree to tree and times objects, bottom up.
//
// 1. A directory that matches the stat cache, with all its descendants, keeps its ids. Nothing is
//    encoded, hashed or stored for it.
// 2. Hard links: the entries of a component with the same inode form a group. The group is named by
//    the path of its first member in walk order, so that its name does not depend on other groups.
//    An inode whose other links are outside the component forms no group.

import Codec
import Platform
import Store

/// Encodes live directories.
struct TreeBuilder {
  private(set) var entryCount: UInt64 = 0
  private(set) var contentBytes: UInt64 = 0
  /// The groups of the component's inodes that have several names in it.
  private var linkGroups: [Inode: UInt64] = [:]
  private let output: (Tree.EncodedObject) throws -> Void

  init(_ output: @escaping (Tree.EncodedObject) throws -> Void) { self.output = output }

  /// Encodes the tree of a component.
  mutating func build(_ root: ScannedDirectory) throws -> Tree.IDs {
    linkGroups = try findLinkGroups(root)
    return try encode(root).ids
  }

  private mutating func encode(
    _ directory: ScannedDirectory
  ) throws -> (ids: Tree.IDs, isUnchanged: Bool) {
    entryCount += UInt64(directory.entryCount)
    let summary = directory.summary
    contentBytes &+= summary.fileBytes
    var isUnchanged = directory.matchesCache
    for child in summary.directories where try !encode(child).isUnchanged { isUnchanged = false }
    if summary.hasLinks, try updateLinkGroups(directory) { isUnchanged = false }
    let cached = directory.cached?.ids
    if isUnchanged, let cached {
      directory.ids = cached
      return (cached, true)
    }
    var objects: [Tree.EncodedObject] = []
    var entries: [Entry] = []
    entries.reserveCapacity(directory.entryCount)
    try directory.forEachEntry { live in
      if case .excludedDirectory = live.content, objects.isEmpty {
        _ = Tree.encode([]) { objects.append($0) }
      }
      entries.append(entry(live, live.content.directory?.ids))
    }
    let ids = Tree.encode(entries) { objects.append($0) }
    // Only the link groups of the cache's records were different.
    if let cached, cached == ids, directory.matchesCache {
      directory.ids = ids
      return (ids, true)
    }
    for object in objects { try output(object) }
    directory.ids = ids
    return (ids, false)
  }

  func entry(_ live: borrowing ScannedEntry, _ child: Tree.IDs?, name: [UInt8]? = nil) -> Entry {
    let content: EntryContent
    var times: Digest?
    var modified = live.stat.modified
    switch live.content {
    case .file(let blob): content = .file(blob: blob, sizeBytes: live.stat.size)
    case .directory(let directory):
      modified = directory.recordedTime ?? modified
      if directory.isUnreadable {
        content = .unreadableDirectory
      } else if let child {
        content = .directory(tree: child.tree)
        times = child.times
      } else {
        content = .unreadableDirectory
      }
    case .excludedDirectory:
      let empty = Tree.encode([]) { _ in }
      content = .directory(tree: empty.tree)
      times = empty.times
    case .unread, .vanished: content = .unreadableFile(sizeBytes: live.stat.size)
    case .unreadable:
      switch live.stat.kind {
      case .directory: content = .unreadableDirectory
      case .file: content = .unreadableFile(sizeBytes: live.stat.size)
      case .symlink: content = .unreadableNode(.symlink)
      case .characterDevice: content = .unreadableNode(.characterDevice)
      case .blockDevice: content = .unreadableNode(.blockDevice)
      case .fifo: content = .unreadableNode(.fifo)
      case .socket: content = .unreadableNode(.socket)
      }
    case .symlink(let target): content = .symlink(target: target)
    case .node:
      switch live.stat.kind {
      case .characterDevice: content = .device(isBlock: false, live.stat.node)
      case .blockDevice: content = .device(isBlock: true, live.stat.node)
      case .fifo: content = .fifo
      case .socket: content = .socket
      case .file, .directory, .symlink: preconditionFailure("content of an impossible kind")
      }
    }
    return Entry(
      name: name ?? live.name, content: content, mode: live.stat.mode, uid: live.stat.uid,
      gid: live.stat.gid, xattrs: live.xattrs, holes: live.holes, flags: live.flags,
      linkGroup: live.linkGroup, modified: modified, times: times)
  }

  // MARK: Hard links

  private struct Inode: Hashable {
    let device: UInt64
    let number: UInt64
    init(_ stat: FileStat) { (device, number) = (stat.device, stat.inode) }
  }

  /// The first name of an inode, until a second one is found.
  private enum LinkGroup {
    case single(ScannedDirectory, name: [UInt8])
    case several(UInt64)
  }

  /// Returns the groups of the inodes with several names in a component.
  private func findLinkGroups(_ root: ScannedDirectory) throws -> [Inode: UInt64] {
    var groups: [Inode: LinkGroup] = [:]
    try collectLinks(root, &groups)
    return groups.compactMapValues { if case .several(let name) = $0 { name } else { nil } }
  }

  private func collectLinks(
    _ directory: ScannedDirectory, _ groups: inout [Inode: LinkGroup]
  ) throws {
    let summary = directory.summary
    if !summary.hasLinks {
      for child in summary.directories { try collectLinks(child, &groups) }
      return
    }
    try directory.forEachStat { stat, _, name, child in
      if let child { return try collectLinks(child, &groups) }
      guard stat.kind != .directory, stat.links > 1 else { return }
      switch groups[Inode(stat)] {
      case nil: groups[Inode(stat)] = .single(directory, name: name())
      case .single(let first, let firstName):
        let path = first.address(of: firstName).path.bytes
        groups[Inode(stat)] = .several(max(SHA256.digest(of: path).prefix, 1))
      case .several: break
      }
    }
  }

  private func linkGroup(of stat: FileStat) -> UInt64 {
    stat.kind == .directory || stat.links < 2 ? 0 : linkGroups[Inode(stat)] ?? 0
  }

  /// Gives the entries of a directory their link groups.
  /// - Returns: whether one of them had another group.
  private func updateLinkGroups(_ directory: ScannedDirectory) throws -> Bool {
    var hasChanges = false
    try directory.forEachStat { stat, group, _, _ in
      if group != linkGroup(of: stat) { hasChanges = true }
    }
    if !hasChanges { return false }
    var changes: [(index: Int, entry: ScannedEntry)] = []
    var index = 0
    try directory.forEachEntry { entry in
      let group = linkGroup(of: entry.stat)
      if entry.linkGroup != group {
        var entry = entry
        entry.linkGroup = group
        changes.append((index, entry))
      }
      index += 1
    }
    try directory.replace(changes)
    return true
  }
}
