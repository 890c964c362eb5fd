// Records the paths that did not exist before an import, so that a revert to that state removes them: files
// of any role, and the directories that the import created.
//
// 1. The snapshot lists them in notes. Only listed paths are removed for this reason.
// 2. A file that another image names by now belongs to that image too, and is kept.
// 3. A directory is removed only if it is empty.

import Ingest
import Platform
import Store

extension Snapshot {
  /// The paths of files that did not exist, for a capture of the files that are there now.
  var absentPathRequests: [CaptureRoot] {
    notes.filter { $0.code == .createdFile }.compactMap { AbsolutePath($0.path) }
      .map { CaptureRoot(role: .extra, path: $0) }
  }
}

/// Records and removes paths that did not exist before a change.
struct AbsentPaths: Collaborator {
  let context: Context

  /// Returns notes on the missing files, and the outermost missing directories, that `components` will
  /// create.
  func absenceNotes(of components: [Snapshot.Component], _ live: LiveImage) throws -> [Snapshot
    .Note]
  {
    let there = Set(live.capture.components.map(\.path))
    var notes: [Snapshot.Note] = []
    var directories: Set<AbsolutePath> = []
    var known: Set<AbsolutePath> = []
    for component in components where !there.contains(component.path) {
      guard let path = AbsolutePath(component.path) else { continue }
      notes.append(.init(.createdFile, path: path.bytes))
      guard known.insert(path.parent).inserted else { continue }
      for count in path.components.indices.dropFirst() {
        let directory = AbsolutePath(components: Array(path.components[..<count]))
        guard try ImageCapturer(context).statLive(directory) == nil else { continue }
        directories.insert(directory)
        break
      }
    }
    return notes
      + directories.sorted { precedes($0.bytes, $1.bytes) }.map {
        .init(.createdDirectory, path: $0.bytes)
      }
  }

  /// Returns the notes of a revert's target, without those on files that other images name by now.
  func effectiveNotes(_ target: Snapshot, of image: ImageName) throws -> [Snapshot.Note] {
    let absent = target.notes.filter { $0.code == .createdFile }
    if absent.isEmpty { return target.notes }
    let tables = try context.tables()
    let install = try context.installDirectory(tables)
    var named: [[UInt8]: String] = [:]
    for (other, definition) in try tables.definitions() where other != image.text {
      for file in try ImageCapturer(context).imageFiles(definition, install) {
        named[file.path.bytes] = other
      }
    }
    return target.notes.filter { note in
      guard note.code == .createdFile, let other = named[note.path] else { return true }
      if (try? ImageCapturer(context).statLive(AbsolutePath(note.path) ?? install)) != nil {
        context.reporter.warn("\(printable(note.path)) was kept: the image \(other) names it")
      }
      return false
    }
  }

  /// Removes the empty directories among those that an import created, deepest first.
  func removeEmptyDirectories(_ notes: [Snapshot.Note]) throws {
    let createdDirectories = notes.filter { $0.code == .createdDirectory }.compactMap {
      AbsolutePath($0.path)
    }
    var candidates: Set<AbsolutePath> = Set(createdDirectories)
    for note in notes where note.code == .createdFile {
      guard var directory = AbsolutePath(note.path)?.parent,
        let top = createdDirectories.first(where: { directory.isInside($0) })
      else { continue }
      while directory.isInside(top) {
        candidates.insert(directory)
        directory = directory.parent
      }
    }
    for directory in candidates.sorted(by: { $0.components.count > $1.components.count }) {
      do throws(SystemError) {
        let location = try context.resolver.resolve(directory)
        try context.fileSystem.remove(at: location.directory.raw, location.name, isDirectory: true)
      } catch {
        let isKept: [SystemError.Code] = [.notEmpty, .exists, .loop]
        guard error.isAbsent || isKept.contains(error.code) else {
          throw error
        }
      }
    }
  }
}
