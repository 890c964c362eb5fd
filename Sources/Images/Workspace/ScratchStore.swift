// A temporary store for a dry run on a machine that has no store. A dry run leaves no new store behind.

import Platform

/// Makes a temporary store for a dry run.
struct ScratchStore: Collaborator {
  let context: Context

  /// Calls `body` with a copy of this context that has an empty temporary store. The store is in `TMPDIR`,
  /// or `/var/tmp`, and is removed afterwards.
  func with<R>(_ body: (Context) throws -> R) throws -> R {
    let parent = context.options.environment["TMPDIR"] ?? "/var/tmp"
    return try ScratchDirectory.with(
      in: Array(absolute(parent).utf8), named: "imgstore-dry-run", context.fileSystem
    ) { directory in
      var options = context.options
      options.store = String(decoding: directory.path + Array("/store".utf8), as: UTF8.self)
      options.announcesNewStore = false
      let scratch = try Context(
        options, fileSystem: context.fileSystem, progress: context.progress,
        reporter: context.reporter)
      _ = try scratch.store(create: true)
      return try body(scratch)
    }
  }
}
