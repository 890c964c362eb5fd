// What is left out of an image that is a directory: the patterns of its definition, then those of the list that lies at
// the top of the tree (.imgstoreignore).
//
// 1. A snapshot has the patterns that were in force when it was taken. A change that leads to it leaves alone what
//    these patterns exclude, and what is excluded now: nobody has kept it.
// 2. What the definition excludes is the administrator's word about the image, and no part of its state: a revert leaves
//    it as it is.
// 3. The list comes with the tree, which may be anybody's: it is read without following a link, and is bounded. In a
//    change it protects only what no snapshot has, path by path: what a bundle brought can neither protect itself
//    from an undo nor keep a file from coming back. Nor does a list that excludes kept files protect itself.

import Codec
import Ingest
import Platform
import Store
import XCAT

extension Workspace {
  /// What is left out of an image's tree.
  /// - Parameters:
  ///   - target: a snapshot that the live image is compared with, or shall become.
  ///   - change: the trees that a change brings, besides the target's; nil where nothing will be changed.
  /// - Throws: `ImageError` for a list that cannot be read: nobody could say what belongs to the image.
  func excludes(
    of image: ImageName, _ definition: ImageDefinition, and target: Snapshot? = nil,
    change: [Entry]? = nil
  ) throws -> ExcludeLists {
    var lists = ExcludeLists()
    if let path = definition.directoryPath {
      lists.add(try patterns(of: image, definition.excludes, path))
      let list = try patterns(of: image, ignoreFile(in: path), path)
      lists.add(
        list, except: try change.map { try kept(list, in: stored(image, target) + $0) } ?? .init())
    }
    for lines in target?.excludes ?? [] {
      let list = try patterns(of: image, lines, nil)
      let own = [target?.pieces.rootTree?.entry].compactMap(\.self)
      let isOwn = lines == definition.excludes || change == nil
      lists.add(list, except: isOwn ? .init() : try kept(list, in: own))
    }
    return lists
  }

  /// The trees of the target and of the latest snapshot.
  private func stored(_ image: ImageName, _ target: Snapshot?) throws -> [Entry] {
    let latest = try store().refs.latestReadable(of: image)?.snapshot
    return [target, latest].compactMap { $0?.pieces.rootTree?.entry }
  }

  /// What of stored trees a list excludes: in a change the list does not count there.
  private func kept(_ list: ExcludePatterns, in trees: [Entry]) throws -> ExcludeExceptions {
    if list.isEmpty { return ExcludeExceptions() }
    let collector = KeptCollector(list, try store())
    for tree in trees { try collector.add(tree) }
    return collector.found
  }

  /// The first entry of a stored tree that a list excludes; nil where it excludes none.
  func firstEntry(in tree: Entry, excludedBy list: ExcludePatterns) throws -> [UInt8]? {
    if list.isEmpty { return nil }
    let store = try store()
    func search(_ entry: Entry, _ path: [UInt8]) throws -> [UInt8]? {
      guard let ids = entry.ids else { return nil }
      for child in try Tree.entries(ids, from: store) {
        let inside = path.isEmpty ? child.name : path + [0x2f] + child.name
        let isDirectory = child.kind == .directory
        if list.match(inside, isDirectory: isDirectory) != nil { return inside }
        if isDirectory, let found = try search(child, inside) { return found }
      }
      return nil
    }
    return try store.withReadTransaction { try search(tree, []) }
  }

  /// - Throws: `ImageError` where the list in a snapshot's tree could not be used once it is live.
  func requireUsableList(
    of image: ImageName, _ target: Snapshot, _ source: any ObjectSource
  ) throws {
    guard target.definition.isDirectory, let tree = target.pieces.rootTree?.entry else { return }
    do {
      _ = try patterns(of: image, ignoreFile(in: tree, source), nil)
    } catch let error as ExcludePattern.Malformed { throw unusable(image, error.reason, nil) }
  }

  /// What a capture of the image's root tree leaves out; nil where it leaves out nothing.
  func treeExcludes(
    _ definition: ImageDefinition, _ lists: ExcludeLists, latest: Snapshot?
  ) throws -> TreeExcludes? {
    guard !lists.isEmpty,
      let path = definition.directoryPath ?? latest?.definition.directoryPath
    else { return nil }
    let recorded = try latest?.pieces.rootTree.map {
      (top: $0.entry, source: try store() as any ObjectSource)
    }
    return TreeExcludes(lists, role: ImageFiles.rootTree, path: path, recorded: recorded)
  }

  private func patterns(
    of image: ImageName, _ lines: [String], _ path: AbsolutePath?
  ) throws -> ExcludePatterns {
    do throws(ExcludePattern.Malformed) {
      return try ExcludePatterns(lines)
    } catch { throw unusable(image, error.reason, path) }
  }

  private func unusable(
    _ image: ImageName, _ reason: String, _ path: AbsolutePath?
  ) -> ImageError {
    ImageError(
      "excludes of \(image)", reason,
      advice: "Correct them with 'imgstore add \(image) \(path?.text ?? "DIR") --exclude …', or in "
        + "\(String(decoding: ExcludePatterns.fileName, as: UTF8.self)) at the top of the tree")
  }

  /// The lines of the list at the top of a tree; none where there is no such file.
  func ignoreFile(in directory: AbsolutePath) throws -> [String] {
    let path = directory.appending(ExcludePatterns.fileName)
    do throws(SystemError) {
      let place = try resolver.resolve(path, followLast: false)
      let file = try fileSystem.openFile(
        at: place.directory.raw, place.name, [.read, .noFollow, .nonBlocking])
      guard try fileSystem.stat(file.raw).kind == .file else { return [] }
      return lines(try readAll(file, path, limitBytes: ExcludePatterns.maxFileBytes))
    } catch {
      // A link, or a directory, of that name is no list.
      if error.isAbsent || error.code == .loop { return [] }
      throw ImageError(
        path.text, "cannot be read, so that nobody knows what to leave out: \(error.code)",
        advice:
          "It is a file of at most \(ExcludePatterns.maxFileBytes >> 10) KiB, a pattern a line")
    }
  }

  /// The lines of the list in a stored tree.
  /// - Throws: `ExcludePattern.Malformed` for a list that is too long.
  func ignoreFile(in tree: Entry, _ source: any ObjectSource) throws -> [String] {
    guard let ids = tree.ids,
      let entry = try Tree.entries(ids, from: source).first(where: {
        $0.name == ExcludePatterns.fileName
      }), let blob = entry.blob
    else { return [] }
    guard entry.sizeBytes <= UInt64(ExcludePatterns.maxFileBytes) else {
      throw ExcludePattern.Malformed(
        reason: "the list has more than \(ExcludePatterns.maxFileBytes >> 10) KiB")
    }
    var bytes: [UInt8] = []
    try store().read(blob, sizeBytes: entry.sizeBytes) { _, part in bytes += part }
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
          count = try fileSystem.read(
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

/// Collects what of stored trees a list excludes.
private final class KeptCollector {
  private let list: ExcludePatterns
  private let store: ObjectStore
  private var seen: Set<Digest> = []
  private var kept = ExcludeExceptions()

  init(_ list: ExcludePatterns, _ store: ObjectStore) {
    self.list = list
    self.store = store
  }

  /// What was found; and the list itself, where it excludes something that is kept.
  var found: ExcludeExceptions {
    var found = kept
    if !found.isEmpty { found.insert(ExcludePatterns.fileName, isDirectory: false) }
    return found
  }

  func add(_ tree: Entry) throws {
    guard let id = tree.tree, seen.insert(id).inserted else { return }
    try store.withReadTransaction { try collect(tree, [], isExcluded: false) }
  }

  private func collect(_ entry: Entry, _ path: [UInt8], isExcluded: Bool) throws {
    guard let ids = entry.ids else { return }
    for child in try Tree.entries(ids, from: store) {
      let inside = path.isEmpty ? child.name : path + [0x2f] + child.name
      let isDirectory = child.kind == .directory
      let isOut = isExcluded || list.match(inside, isDirectory: isDirectory) != nil
      if isOut { kept.insert(inside, isDirectory: isDirectory) }
      if isDirectory { try collect(child, inside, isExcluded: isOut) }
    }
  }
}

extension CommittedSnapshot {
  /// The snapshot with what the image's definition excludes now, for a change that leads to it: what is excluded
  /// now or was then is left alone.
  /// - Parameter restoresDefinition: the definition excludes afterwards what it excluded then.
  func keepingExcludes(
    of live: LiveImage, restoresDefinition: Bool = false
  ) -> CommittedSnapshot {
    var definition = snapshot.definition
    guard live.definition.isDirectory, definition.isDirectory,
      live.definition.excludes != definition.excludes || live.excludes != snapshot.excludes
    else { return self }
    if !restoresDefinition {
      definition.directory["exclude"] = live.definition.directory["exclude"]
    }
    let excludes = snapshot.excludes + live.excludes.filter { !snapshot.excludes.contains($0) }
    var kept = snapshot
    kept.tables = snapshotTables(definition, snapshot.keptRows, excludes: excludes)
    return CommittedSnapshot(number: number, id: id, snapshot: kept)
  }

  /// The snapshot with more lists of what is left out, for a change that leads to it.
  func excluding(_ lists: [[String]]) -> CommittedSnapshot {
    let new = lists.filter { !snapshot.excludes.contains($0) }
    guard !new.isEmpty, snapshot.definition.isDirectory else { return self }
    var copy = snapshot
    copy.tables = snapshotTables(
      snapshot.definition, snapshot.keptRows, excludes: snapshot.excludes + new)
    return CommittedSnapshot(number: number, id: id, snapshot: copy)
  }

  /// The snapshot at the place where the image is now, which the administrator may have moved.
  func relocated(to live: ImageDefinition?) -> CommittedSnapshot {
    guard let new = live?.directoryPath?.bytes,
      let old = snapshot.definition.directoryPath?.bytes
    else { return self }
    let hasFormerTree = snapshot.pieces.contains { $0.role == Snapshot.Component.formerTree }
    guard new != old || hasFormerTree else { return self }
    func moved(_ path: [UInt8]) -> [UInt8] {
      path == old || path.starts(with: old + [0x2f]) ? new + path.dropFirst(old.count) : path
    }
    var definition = snapshot.definition
    definition.directory["path"] = live?.directory["path"]
    var copy = snapshot
    copy.tables = snapshotTables(definition, snapshot.keptRows, excludes: snapshot.excludes)
    copy.pieces.removeAll { $0.role == Snapshot.Component.formerTree }
    for i in copy.pieces.indices { copy.pieces[i].path = moved(copy.pieces[i].path) }
    copy.pieces.sort { precedes($0.path, $1.path) }
    for i in copy.notes.indices { copy.notes[i].path = moved(copy.notes[i].path) }
    return CommittedSnapshot(number: number, id: id, snapshot: copy)
  }
}
