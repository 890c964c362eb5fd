// The excluded paths of a directory image. The patterns of its definition come first, then those of the
// configuration, then those of the list at the top of the tree (.imgstoreignore).
//
// 1. A snapshot records the patterns that were valid when it was taken. A change to that snapshot leaves
//    alone all paths that these patterns or the present ones exclude, because no snapshot contains them.
// 2. The patterns of the definition are the administrator's setting for the image, not a part of its state. A
//    revert does not change them.
// 3. The list comes with the tree, which may be untrusted. It is read without following a link, and its size
//    is limited.
// 4. In a change, the list protects only paths that no stored tree contains. So a bundle cannot protect its
//    own entries from an undo, and cannot prevent that a file is restored. A list that excludes stored files
//    does not protect itself.

import Codec
import Ingest
import Platform
import Store
import XCAT

/// Collects the exclude lists of an image that is a directory.
struct DirectoryExcludes: Collaborator {
  let context: Context

  /// Returns the excludes of an image's tree.
  /// - Parameters:
  ///   - target: the snapshot for a comparison, or to which a change leads.
  ///   - change: further trees that a change writes, in addition to the target's; nil if nothing will be
  ///     changed.
  /// - Throws: `ImageError` for a list that cannot be read, because then the content of the image is unknown.
  func excludes(
    of image: ImageName, _ definition: ImageDefinition, and target: Snapshot? = nil,
    change: [Entry]? = nil
  ) throws -> ExcludeLists {
    var lists = ExcludeLists()
    if let path = definition.directoryPath {
      lists.add(try patterns(of: image, definition.excludes, path))
      lists.add(try patterns(of: image, configured(image), path))
      let list = try patterns(of: image, ignoreFile(in: path), path)
      lists.add(
        list,
        except: try change.map {
          try storedMatches(of: list, in: storedTrees(image, target) + $0)
        } ?? .init())
    }
    for lines in target?.excludes ?? [] {
      let list = try patterns(of: image, lines, nil)
      let own = [target?.components.rootTree?.entry].compactMap(\.self)
      let isOwn = lines == definition.excludes || lines == configured(image) || change == nil
      lists.add(list, except: isOwn ? .init() : try storedMatches(of: list, in: own))
    }
    return lists
  }

  /// Returns the patterns of the configuration. Like those of the definition, they are settings of the
  /// administrator.
  private func configured(_ image: ImageName) -> [String] {
    context.settings(of: image).excludes?.value ?? []
  }

  /// Returns the trees of the target and of the latest snapshot.
  private func storedTrees(_ image: ImageName, _ target: Snapshot?) throws -> [Entry] {
    let latest = try context.store().refs.latestReadable(of: image)?.snapshot
    return [target, latest].compactMap { $0?.components.rootTree?.entry }
  }

  /// Returns the entries of stored trees that a list excludes. In a change the list does not apply to them.
  private func storedMatches(
    of list: ExcludePatterns, in trees: [Entry]
  ) throws -> ExcludeExceptions {
    if list.isEmpty { return ExcludeExceptions() }
    let collector = ExcludedEntryCollector(list, try context.store())
    for tree in trees { try collector.add(tree) }
    return collector.exceptions
  }

  /// Returns the path of the first entry of a stored tree that a list excludes; nil if it excludes none.
  func firstEntry(in tree: Entry, excludedBy list: ExcludePatterns) throws -> RelativePath? {
    if list.isEmpty { return nil }
    let store = try context.store()
    func search(_ entry: Entry, _ path: RelativePath) throws -> RelativePath? {
      guard let ids = entry.ids else { return nil }
      for child in try Tree.entries(ids, from: store) {
        let inside = path.appending(child.name)
        let isDirectory = child.kind == .directory
        if list.match(inside, isDirectory: isDirectory) != nil { return inside }
        if isDirectory, let match = try search(child, inside) { return match }
      }
      return nil
    }
    return try store.withReadTransaction { try search(tree, .top) }
  }

  /// Checks that the list in a snapshot's tree is valid, because commands read it once it is live.
  /// - Throws: `ImageError` if it is not.
  func requireUsableList(
    of image: ImageName, _ target: Snapshot, _ source: any ObjectSource
  ) throws {
    guard target.definition.isDirectory, let tree = target.components.rootTree?.entry else {
      return
    }
    do {
      _ = try patterns(of: image, ignoreFile(in: tree, source), nil)
    } catch let error as ExcludePattern.SyntaxError { throw unusable(image, error.reason, nil) }
  }

  /// Returns the excludes for a capture of the image's root tree; nil if there are none.
  func treeExcludes(
    _ definition: ImageDefinition, _ lists: ExcludeLists, latest: Snapshot?
  ) throws -> TreeExcludes? {
    guard !lists.isEmpty,
      let path = definition.directoryPath ?? latest?.definition.directoryPath
    else { return nil }
    let recorded = try latest?.components.rootTree.map {
      (top: $0.entry, source: try context.store() as any ObjectSource)
    }
    return TreeExcludes(lists, role: .rootTree, path: path, recorded: recorded)
  }

  private func patterns(
    of image: ImageName, _ lines: [String], _ path: AbsolutePath?
  ) throws -> ExcludePatterns {
    do throws(ExcludePattern.SyntaxError) {
      return try ExcludePatterns(lines)
    } catch { throw unusable(image, error.reason, path) }
  }

  private func unusable(
    _ image: ImageName, _ reason: String, _ path: AbsolutePath?
  ) -> ImageError {
    ImageError(
      "excludes of \(image)", reason,
      hint: "Correct them with 'imgstore add \(image) \(path?.text ?? "DIR") --exclude …', or in "
        + "\(String(decoding: ExcludePatterns.fileName, as: UTF8.self)) at the top of the tree")
  }

  /// Returns the lines of the list at the top of a live tree; none if it is not a regular file.
  /// - Throws: `ImageError` if it cannot be read or is too large.
  func ignoreFile(in directory: AbsolutePath) throws -> [String] {
    let path = directory.appending(ExcludePatterns.fileName)
    do throws(SystemError) {
      let resolved = try context.resolver.resolve(path, followLast: false)
      let file = try context.fileSystem.openFile(
        at: resolved.directory.raw, resolved.name, [.read, .noFollow, .nonBlocking])
      guard try context.fileSystem.stat(file.raw).kind == .file else { return [] }
      return lines(try readAll(file, path, limitBytes: ExcludePatterns.maxFileBytes))
    } catch {
      // A link or a directory of that name is not a list.
      if error.isAbsent || error.code == .loop { return [] }
      throw ImageError(
        path.text, "cannot be read, so the excluded paths are unknown: \(error.code)",
        hint:
          "Write one pattern on each line, in at most \(ExcludePatterns.maxFileBytes >> 10) KiB")
    }
  }

  /// Returns the lines of the list in a stored tree; none if it is not a regular file.
  /// - Throws: `ExcludePattern.SyntaxError` if it is too large.
  func ignoreFile(in tree: Entry, _ source: any ObjectSource) throws -> [String] {
    guard let ids = tree.ids,
      let entry = try Tree.entries(ids, from: source).first(where: {
        $0.name == ExcludePatterns.fileName
      }), let blob = entry.blob
    else { return [] }
    guard entry.sizeBytes <= UInt64(ExcludePatterns.maxFileBytes) else {
      throw ExcludePattern.SyntaxError(
        reason: "the list has more than \(ExcludePatterns.maxFileBytes >> 10) KiB")
    }
    var bytes: [UInt8] = []
    try context.store().read(blob, sizeBytes: entry.sizeBytes) { _, part in bytes += part }
    return lines(bytes)
  }

  private func readAll(
    _ file: Descriptor, _ path: AbsolutePath, limitBytes: Int
  ) throws(SystemError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: limitBytes + 1)
    var length = 0
    while length < bytes.count {
      var count = 0
      var failure: SystemError?
      bytes.withUnsafeMutableBytes { buffer in
        do throws(SystemError) {
          count = try context.fileSystem.read(
            file.raw, into: UnsafeMutableRawBufferPointer(rebasing: buffer[length...]))
        } catch { failure = error }
      }
      if let failure { throw failure }
      if count == 0 { return Array(bytes[..<length]) }
      length += count
    }
    throw SystemError(code: .tooLarge, "read", path.bytes)
  }

  private func lines(_ bytes: [UInt8]) -> [String] {
    bytes.split(separator: 0x0a).map { String(decoding: $0, as: UTF8.self) }
  }
}

/// Collects the entries of stored trees that a list excludes. It visits each distinct tree once.
private final class ExcludedEntryCollector {
  private let list: ExcludePatterns
  private let store: ObjectStore
  private var seen: Set<Digest> = []
  private var matches = ExcludeExceptions()

  init(_ list: ExcludePatterns, _ store: ObjectStore) {
    self.list = list
    self.store = store
  }

  /// The matching entries. If there are any, the list itself is one of them.
  var exceptions: ExcludeExceptions {
    var exceptions = matches
    if !exceptions.isEmpty {
      exceptions.insert(RelativePath.top.appending(ExcludePatterns.fileName), isDirectory: false)
    }
    return exceptions
  }

  func add(_ tree: Entry) throws {
    guard let id = tree.tree, seen.insert(id).inserted else { return }
    try store.withReadTransaction { try collect(tree, .top, isExcluded: false) }
  }

  private func collect(_ entry: Entry, _ path: RelativePath, isExcluded: Bool) throws {
    guard let ids = entry.ids else { return }
    for child in try Tree.entries(ids, from: store) {
      let inside = path.appending(child.name)
      let isDirectory = child.kind == .directory
      let isOut = isExcluded || list.match(inside, isDirectory: isDirectory) != nil
      if isOut { matches.insert(inside, isDirectory: isDirectory) }
      if isDirectory { try collect(child, inside, isExcluded: isOut) }
    }
  }
}
