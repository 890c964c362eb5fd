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
  private let output: (Tree.EncodedObject) throws -> Void

  init(_ output: @escaping (Tree.EncodedObject) throws -> Void) { self.output = output }

  /// Encodes the tree of a component.
  mutating func build(_ root: ScannedDirectory) throws -> Tree.IDs {
    assignLinkGroups(root)
    return try encode(root).ids
  }

  private mutating func encode(
    _ directory: ScannedDirectory
  ) throws -> (ids: Tree.IDs, isUnchanged: Bool) {
    entryCount += UInt64(directory.entries.count)
    let summary = directory.summary
    contentBytes &+= summary.fileBytes
    var isUnchanged = directory.matchesCache && !summary.hasLinks
    for child in summary.directories where try !encode(child).isUnchanged { isUnchanged = false }
    let cached = directory.cached?.ids
    if isUnchanged, let cached {
      directory.ids = cached
      return (cached, true)
    }
    var objects: [Tree.EncodedObject] = []
    var entries: [Entry] = []
    entries.reserveCapacity(directory.entries.count)
    directory.forEachEntry { live in
      var childIDs: Tree.IDs?
      switch live.pointee.content {
      case .directory(let child): childIDs = child.ids
      case .excludedDirectory where objects.isEmpty:
        _ = Tree.encode([]) { objects.append($0) }
      default: break
      }
      entries.append(entry(live.pointee, childIDs))
    }
    let ids = Tree.encode(entries) { objects.append($0) }
    // The directory was encoded because of hard links, and may still be unchanged.
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
  }

  private func assignLinkGroups(_ root: ScannedDirectory) {
    var members: [Inode: [(ScannedDirectory, Int)]] = [:]
    collectLinks(root, &members)
    for group in members.values where group.count > 1 {
      guard let (directory, index) = group.first else { continue }
      let path = directory.address(of: directory.entries[index].name).path.bytes
      let name = max(SHA256.digest(of: path).prefix, 1)
      for (directory, index) in group { directory.entries[index].linkGroup = name }
    }
  }

  private func collectLinks(
    _ directory: ScannedDirectory, _ members: inout [Inode: [(ScannedDirectory, Int)]]
  ) {
    let summary = directory.summary
    if !summary.hasLinks {
      for child in summary.directories { collectLinks(child, &members) }
      return
    }
    for (i, entry) in directory.entries.enumerated() {
      if case .directory(let child) = entry.content {
        collectLinks(child, &members)
      } else if entry.stat.links > 1 {
        members[Inode(device: entry.stat.device, number: entry.stat.inode), default: []]
          .append((directory, i))
      }
    }
  }
}
