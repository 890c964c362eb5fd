// A temporary store for a dry run on a machine that has no store. A dry run leaves no new store behind.

import Platform

extension Workspace {
  /// Calls `body` with a copy of this workspace that has an empty temporary store. The store is in `TMPDIR`,
  /// or `/var/tmp`, and is removed afterwards.
  func withScratchStore<R>(_ body: (Workspace) throws -> R) throws -> R {
    let parent = options.environment["TMPDIR"] ?? "/var/tmp"
    return try ScratchDirectory.with(
      in: Array(absolute(parent).utf8), named: "imgstore-dry-run", fileSystem
    ) { directory in
      var options = options
      options.store = String(decoding: directory.path + Array("/store".utf8), as: UTF8.self)
      options.announcesNewStore = false
      let workspace = try Workspace(
        options, fileSystem: fileSystem, progress: progress, warn: warn, inform: inform)
      _ = try workspace.store(create: true)
      return try body(workspace)
    }
  }
}
