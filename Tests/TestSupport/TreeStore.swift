// A store for trees and archives, and the changes that make a tree representable in an archive
// format.

import Archive
import Foundation
import Ingest
import Platform
import Render
import Store
import Testing

/// A store in a temporary directory.
public final class TreeStore {
  public let store: ObjectStore
  private let files = KernelFileSystem.shared

  public init(_ directory: TemporaryDirectory) throws {
    store = try ObjectStore(
      files, path: Array(directory.path("store").utf8), create: true, report: { _ in })
  }

  /// Captures the tree at `path`.
  public func capture(_ path: String) throws -> Entry {
    let root = try files.openDirectory(at: files.workingDirectory, [0x2f], followLink: true)
    let session = try store.beginSession()
    let request = CaptureRoot(role: .rootTree, path: try #require(AbsolutePath(path)))
    let result = try Capture(PathResolver(files, root: root), progress: Progress()).run(
      [request], cache: nil, into: .store(session))
    try session.finish()
    #expect(result.notes.isEmpty, "\(result.notes)")
    return try #require(result.components.first?.entry)
  }

  /// Reads the tree of an archive.
  public func read(
    _ source: @escaping ByteSource, top: String = "rootimg",
    limits: ArchiveTreeLimits = ArchiveTreeLimits()
  ) throws -> ArchiveTree {
    let session = try store.beginSession()
    let tree = try session.withWorker {
      try ArchiveTreeReader(progress: Progress(), limits: limits)
        .read(source, worker: $0, top: Array(top.utf8))
    }
    try session.finish()
    return tree
  }

  public func read(file path: String) throws -> ArchiveTree {
    let file = try #require(FileHandle(forReadingAtPath: path))
    let plain = DecompressingReader { target in
      let data = try file.read(upToCount: target.count) ?? Data()
      data.copyBytes(to: target)
      return data.count
    }
    return try read { try plain.read($0) }
  }

  public func read(bytes: [UInt8], limits: ArchiveTreeLimits = ArchiveTreeLimits()) throws
    -> ArchiveTree
  {
    var rest = bytes[...]
    return try read(
      { target in
        let n = min(rest.count, target.count)
        target.copyBytes(from: rest.prefix(n))
        rest.removeFirst(n)
        return n
      }, limits: limits)
  }

  @discardableResult
  public func write(
    _ entry: Entry, as form: ArchiveEntryList.Form, to path: String,
    keeping: (([UInt8]) -> Bool)? = nil
  ) throws -> TreeArchiveCounts {
    _ = FileManager.default.createFile(atPath: path, contents: nil)
    let file = try #require(FileHandle(forWritingAtPath: path))
    defer { try? file.close() }
    let view = OverlayTree(store, modified: entry.modified)
    let list = try ArchiveEntryList(entry, from: view, as: form, named: Array("rootimg".utf8)) {
      path in path == [0x2e] || keeping?(Array(path.dropFirst(2))) ?? true
    }
    func append(_ entry: ArchiveEntry) throws {
      try file.write(contentsOf: entry.header)
      if case .blob(let blob, let size) = entry.content {
        try store.read(blob, sizeBytes: size) { _, bytes in try file.write(contentsOf: Data(bytes))
        }
      }
      try file.write(contentsOf: [UInt8](repeating: 0, count: entry.paddingBytes))
    }
    let (end, counts) = try list.forEach(append)
    try file.write(contentsOf: end)
    return counts
  }

  /// Returns every path of a tree with its entry, without the properties that `forget` changes.
  public func facts(_ top: Entry, _ forget: (inout Entry) -> Void = { _ in }) throws -> [String:
    Entry]
  {
    var all: [String: Entry] = [:]
    func visit(_ entry: Entry, _ path: String) throws {
      for child in try entry.ids.map({ try Tree.entries($0, from: store) }) ?? [] {
        try visit(child, path + "/" + printable(child.name))
      }
      var entry = entry
      if entry.kind == .directory {
        entry.content = .unreadableDirectory
        entry.times = nil
      }
      forget(&entry)
      all[path] = entry
    }
    try visit(top, "")
    return all
  }
}

/// Removes properties that the archive formats cannot represent. For all formats these are sockets
/// and holes. For cpio they are also attributes, fractions of seconds, times outside its range, and
/// hard links of symbolic links, which GNU cpio separates. The widest directory keeps enough
/// entries to be split into leaves.
public func fit(_ path: String, to form: ArchiveEntryList.Form) throws {
  let result = try run(
    fixture("scripts/trees/fit-tree-to-archive.py"), path, form == .cpio ? "cpio" : "tar")
  try #require(result.didSucceed, "\(result.errors)")
}
