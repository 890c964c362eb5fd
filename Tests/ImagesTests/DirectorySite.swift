// A small tree that is an image of its own, without xCAT.

import Foundation
import Images
import Platform
import TestSupport

struct DirectorySite {
  let folder: TemporaryFolder
  let workspace: Workspace
  let messages: Monitor<[String]>
  var tree: String { folder.path("srv/compute") }

  init() throws {
    folder = try TemporaryFolder()
    let messages = Monitor<[String]>([])
    self.messages = messages
    workspace = try Workspace(WorkspaceOptions(store: folder.path("store"))) { line in
      messages.withLock { $0.append(line) }
    }
    try shell(
      """
      mkdir -p "$1/etc" "$1/var/log" "$1/usr/lib"; cd "$1"
      echo one >etc/hosts; echo a >usr/lib/a; echo m >var/log/messages
      """, tree)
  }

  func run(_ script: String) throws { try shell("cd \"$1\"; " + script, folder.path("")) }

  func content(_ path: String) -> String? {
    try? String(contentsOfFile: folder.path(path), encoding: .utf8)
  }

  func exists(_ path: String) -> Bool {
    FileManager.default.fileExists(atPath: folder.path(path))
  }

  /// The code of the error that a body ends with; nil where it ends with none.
  func code(_ body: () throws -> Void) -> ErrorCode? {
    do { try body() } catch let error as any ExplainedError { return error.errorCode } catch {}
    return nil
  }

  /// Writes a bundle of the tree as it is now.
  func bundle(_ name: String) throws -> String {
    var export = ExportRequest(try workspace.snapshot(tree).committed.name)
    let path = folder.path(name)
    export.destination = .file(path)
    _ = try workspace.export(export)
    return path
  }
}
