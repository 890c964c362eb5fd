// The public API: one method for each command. A method only hands the command to a collaborator, which does
// the work and holds the `Context`.

import Platform
import Store

/// An open workspace. It opens the store once, at the first use.
public final class Workspace: Sendable {
  /// The version of imgstore.
  public static let version = "0.2.0"

  let context: Context
  /// The options.
  public var options: WorkspaceOptions { context.options }
  /// The progress of the running command.
  public var progress: Progress { context.progress }

  /// Opens the root of a workspace. The store is opened later.
  /// - Parameters:
  ///   - fileSystem: the file system calls; tests inject their own.
  ///   - warn: receives warnings, one line each.
  ///   - inform: receives other messages, one line each; nil for `warn`.
  /// - Throws: `ImageError` if the root cannot be opened as a directory.
  public init(
    _ options: WorkspaceOptions, fileSystem: any FileSystem = KernelFileSystem.shared,
    progress: Progress = Progress(), warn: @escaping @Sendable (String) -> Void,
    inform: (@Sendable (String) -> Void)? = nil
  ) throws {
    context = try Context(
      options, fileSystem: fileSystem, progress: progress,
      reporter: Reporter(isQuiet: options.isQuiet, warn: warn, inform: inform))
  }

  /// Returns the store, and opens it at the first call.
  /// - Parameters:
  ///   - create: creates the store if nothing exists at its path.
  ///   - odd: what to do if another kind of entry has the name of one of the store's directories.
  ///   - isAnnounced: reports the creation of a store, and refuses it where an existing store is probably
  ///     just not mounted.
  /// - Throws: `StoreError` (`notFound`) if the store does not exist; `ImageError` (`storeNotFound`) if it
  ///   may not be created.
  public func store(
    create: Bool = false, odd: OddLayoutPolicy = .refuse, isAnnounced: Bool = true
  ) throws -> ObjectStore {
    try context.store(create: create, odd: odd, isAnnounced: isAnnounced)
  }

  /// The path of the store if it does not exist; nil if it does.
  public var absentStore: String? { context.absentStore }

  /// Returns whether the tables define an image of that name.
  public func isDefined(_ name: String) throws -> Bool {
    try context.tables().definition(of: name) != nil
  }

  /// Returns xCAT's directory for temporary files (site.tmpdir), as a path of this machine; nil if it is
  /// unset or does not exist.
  public func temporaryDirectory() throws -> String? {
    guard let text = try context.tables().site("tmpdir"), let path = AbsolutePath(text) else {
      return nil
    }
    let real = absolute(options.root + path.text)
    let stat = try context.fileSystem.statIfPresent(
      at: context.fileSystem.workingDirectory, Array(real.utf8), followLink: true)
    return stat?.kind == .directory ? real : nil
  }

  /// Returns a path of the command line as a path of the management node. An absolute path is returned
  /// without "." and "..". A relative path is below the working directory, which must lie below the root.
  /// - Throws: `ImageError` for a relative path outside the root.
  public func managementPath(_ path: String) throws -> String {
    try LivePaths(context).managementPath(path)
  }
}
