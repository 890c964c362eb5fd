// Adapts a root tree of a snapshot or the live image to the interface of the package database readers.

import Packages
import Platform
import Store

/// Reads files of a root tree from a state, and caches the directories that it has read.
final class PackageRootTree: RootTree {
  private let reader: SnapshotReader
  private let component: Snapshot.Component
  private var directories: [[UInt8]: [[UInt8]: Entry]] = [:]

  init(_ reader: SnapshotReader, _ component: Snapshot.Component) {
    self.reader = reader
    self.component = component
  }

  func file(_ path: [UInt8], limitBytes: Int) throws -> [UInt8]? {
    guard let entry = try entry(path), entry.kind == .file else { return nil }
    return try reader.bytes(
      of: LocatedEntry(path: component.path + [0x2f] + path, entry: entry), limitBytes: limitBytes)
  }

  func directory(_ path: [UInt8]) throws -> [(name: [UInt8], linkTarget: [UInt8]?)] {
    try entries(path).map { name, entry in
      if case .symlink(let target) = entry.content { return (name, target) }
      return (name, nil)
    }
  }

  func entry(_ path: [UInt8]) throws -> Entry? {
    if path.isEmpty { return component.entry }
    guard let slash = path.lastIndex(of: 0x2f) else { return try entries([])[path] }
    return try entries(Array(path[..<slash]))[Array(path[(slash + 1)...])]
  }

  private func entries(_ path: [UInt8]) throws -> [[UInt8]: Entry] {
    if let known = directories[path] { return known }
    let children = try entry(path).map { try reader.children(of: $0) } ?? []
    let entries = Dictionary(children.map { ($0.name, $0) }) { $1 }
    directories[path] = entries
    return entries
  }
}
