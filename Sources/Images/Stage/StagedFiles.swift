// The directory of a staged snapshot: the files that nodeset copies or looks for.
//
// 1. A file appears complete. Files of the same content stay.
// 2. Only files that staging writes are removed, and the directory if it is empty then.

import Platform
import Store
import XCAT

/// The files of a staged snapshot.
struct StagedFiles {
  private let context: Context
  private let path: AbsolutePath

  init(_ context: Context, _ path: AbsolutePath) {
    self.context = context
    self.path = path
  }

  func exists() throws -> Bool {
    try ImageCapturer(context).statLive(path) != nil
  }

  /// Writes the files: those of the snapshot, and an empty one for nil.
  func write(_ files: [(name: String, file: BootFile?)], of snapshot: CommittedSnapshot) throws {
    let resolved = try context.resolver.resolve(path.appending("kernel"), create: .readable)
    let fileSystem = context.fileSystem
    for (name, file) in files {
      let output = try OutputFile(
        fileSystem, in: resolved.directory, named: Array(name.utf8), mode: 0o644)
      if let file {
        let target = BootFileOutput(output.file, on: fileSystem) { _ in }
        try BootFileRenderer(context).render(
          file, of: snapshot, to: target, threads: processorCount)
      }
      try fileSystem.setMode(output.file.raw, 0o644)
      try output.publish()
    }
  }

  /// Removes the files, and the directory.
  /// - Returns: the paths of the removed files.
  func remove() throws -> [String] {
    let resolved: ResolvedPath
    do throws(SystemError) {
      resolved = try context.resolver.resolve(path.appending("kernel"), followLast: false)
    } catch {
      if error.isAbsent { return [] }
      throw error
    }
    let own = Set(
      (["kernel", "initrd-stateless.gz"] + StagedDefinition.rootImages).map { Array($0.utf8) })
    var removed: [String] = []
    let fileSystem = context.fileSystem
    for name in try fileSystem.names(of: resolved.directory.raw).sorted(by: precedes)
    where own.contains(name) {
      try fileSystem.remove(at: resolved.directory.raw, name, isDirectory: false)
      removed.append(path.appending(name).text)
    }
    let parent = try context.resolver.resolve(path, followLast: false)
    try? fileSystem.remove(at: parent.directory.raw, parent.name, isDirectory: true)
    return removed
  }
}
