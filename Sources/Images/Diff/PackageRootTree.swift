// Adapts a root tree of a snapshot or the live image to the interface of the package database readers.

import Packages
import Platform
import Render
import Store

/// Reads files of a root tree, and caches the directories that it has read.
final class PackageRootTree: RootTree {
  private let top: Entry
  private let children: (Entry) throws -> [Entry]
  private let content: (RelativePath, Entry, _ limitBytes: Int) throws -> [UInt8]?
  private var directories: [RelativePath: [[UInt8]: Entry]] = [:]

  /// Creates an adapter of a tree in a state of an image.
  init(_ reader: SnapshotReader, _ component: Snapshot.Component) {
    top = component.entry
    children = { try reader.children(of: $0) }
    content = { path, entry, limitBytes in
      let address = ImagePath(component: component.path, path: path)
      return try reader.bytes(
        of: LocatedEntry(address: address, entry: entry), limitBytes: limitBytes)
    }
  }

  /// Creates an adapter of a stored tree, with or without edits.
  init(_ view: OverlayTree, _ top: Entry) {
    self.top = top
    children = { try $0.ids.map { try Tree.entries($0, from: view) } ?? [] }
    content = { _, entry, limitBytes in
      guard case .file(let blob, let size) = entry.content, size <= UInt64(limitBytes) else {
        return nil
      }
      var bytes: [UInt8] = []
      try view.read(blob, sizeBytes: size) { bytes += $0 }
      return bytes
    }
  }

  func file(_ path: [UInt8], limitBytes: Int) throws -> [UInt8]? {
    guard let path = RelativePath(path), let entry = try entry(path), entry.kind == .file else {
      return nil
    }
    return try content(path, entry, limitBytes)
  }

  func directory(_ path: [UInt8]) throws -> [(name: [UInt8], linkTarget: [UInt8]?)] {
    guard let path = RelativePath(path) else { return [] }
    return try entries(path).map { name, entry in
      if case .symlink(let target) = entry.content { return (name, target) }
      return (name, nil)
    }
  }

  private func entry(_ path: RelativePath) throws -> Entry? {
    path.isTop ? top : try entries(path.parent)[path.lastComponent]
  }

  private func entries(_ path: RelativePath) throws -> [[UInt8]: Entry] {
    if let known = directories[path] { return known }
    let children = try entry(path).map(children) ?? []
    let entries = Dictionary(children.map { ($0.name, $0) }) { $1 }
    directories[path] = entries
    return entries
  }
}
