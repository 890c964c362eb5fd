// What is left out of an image that is a directory: the patterns of its definition, then those of the list that lies at
// the top of the tree (.imgstoreignore).
//
// 1. A snapshot has the patterns that were in force when it was taken. A change that leads to it leaves alone what
//    these patterns exclude, and what is excluded now: nobody has kept it.
// 2. What the definition excludes is the administrator's word about the image, and no part of its state: a revert leaves
//    it as it is.
// 3. The list comes with the tree, which may be anybody's: it is read without following a link, and is bounded.

import Codec
import Ingest
import Platform
import Store
import XCAT

extension Workspace {
  /// What is left out of an image's tree.
  /// - Parameter target: a snapshot that the live image is compared with, or shall become.
  /// - Throws: `ImageError` for a list that cannot be read: nobody could say what belongs to the image.
  func excludes(
    of image: ImageName, _ definition: ImageDefinition, and target: Snapshot? = nil
  ) throws -> ExcludeLists {
    var lists = ExcludeLists()
    if let path = definition.directoryPath {
      let list = try ignoreFile(in: path)
      lists.add(try patterns(of: image, definition.excludes + list, path))
    }
    for lines in target?.excludes ?? [] { lists.add(try patterns(of: image, lines, nil)) }
    return lists
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
    } catch {
      throw ImageError(
        "excludes of \(image)", error.reason,
        advice:
          "Correct them with 'imgstore add \(image) \(path?.text ?? "DIR") --exclude …', or in "
          + "\(String(decoding: ExcludePatterns.fileName, as: UTF8.self)) at the top of the tree")
    }
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
  func ignoreFile(in tree: Entry, _ source: any ObjectSource) throws -> [String] {
    guard let ids = tree.ids,
      let entry = try Tree.entries(ids, from: source).first(where: {
        $0.name == ExcludePatterns.fileName
      }), let blob = entry.blob, entry.sizeBytes <= UInt64(ExcludePatterns.maxFileBytes)
    else { return [] }
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

extension CommittedSnapshot {
  /// The snapshot with what the image's definition excludes now, for a change that leads to it: what is excluded
  /// now or was then is left alone.
  func keepingExcludes(of live: LiveImage) -> CommittedSnapshot {
    var definition = snapshot.definition
    guard live.definition.isDirectory, definition.isDirectory,
      live.definition.excludes != definition.excludes || live.excludes != snapshot.excludes
    else { return self }
    definition.directory["exclude"] = live.definition.directory["exclude"]
    let excludes = snapshot.excludes + live.excludes.filter { !snapshot.excludes.contains($0) }
    var kept = snapshot
    kept.tables = snapshotTables(definition, snapshot.keptRows, excludes: excludes)
    return CommittedSnapshot(number: number, id: id, snapshot: kept)
  }

  /// The snapshot at the place where the image is now, which the administrator may have moved.
  func relocated(to live: ImageDefinition?) -> CommittedSnapshot {
    guard let new = live?.directoryPath?.bytes,
      let old = snapshot.definition.directoryPath?.bytes, new != old
    else { return self }
    func moved(_ path: [UInt8]) -> [UInt8] {
      path == old || path.starts(with: old + [0x2f]) ? new + path.dropFirst(old.count) : path
    }
    var definition = snapshot.definition
    definition.directory["path"] = live?.directory["path"]
    var copy = snapshot
    copy.tables = snapshotTables(definition, snapshot.keptRows, excludes: snapshot.excludes)
    for i in copy.pieces.indices { copy.pieces[i].path = moved(copy.pieces[i].path) }
    copy.pieces.sort { precedes($0.path, $1.path) }
    for i in copy.notes.indices { copy.notes[i].path = moved(copy.notes[i].path) }
    return CommittedSnapshot(number: number, id: id, snapshot: copy)
  }
}
