// imgstore restore: writes a tree or a file of a snapshot to a new or empty path.

import Apply
import Platform
import Store

/// The outcome of a restore.
public struct RestoreOutcome: Sendable {
  public let source: String
  public let destination: String
  public let report: ApplyReport
  /// The number of created directories, files, links and other nodes.
  public let entries: Int
  /// The entries that the snapshot lacks, with the reasons.
  public let skipped: [(path: [UInt8], reason: String)]
  /// Whether nothing was written.
  public let isDryRun: Bool
  /// The size in bytes of the content to write.
  public let plannedBytes: UInt64
  public let seconds: Double
}

extension Workspace {
  /// Restores an entry of a snapshot. The destination must not exist, or must be an empty directory. A file
  /// may also be restored into an existing directory.
  /// - Parameters:
  ///   - text: the snapshot, optionally with a path. Without a path, the root tree is restored.
  ///   - path: the path to restore, if the reference has none.
  ///   - overwriting: whether existing entries may be replaced, one by one. Entries that the snapshot lacks
  ///     stay.
  ///   - dryRun: whether the restore is only planned and checked.
  /// - Throws: `ImageError` if the reference or the destination is unsuitable; nothing is written then.
  ///   `StoreError`, `SystemError`.
  public func restore(
    _ text: String, path: String? = nil, to destination: String, overwriting: Bool = false,
    dryRun: Bool = false
  ) throws -> RestoreOutcome {
    try TreeRestorer(context).restore(
      text, path: path, to: destination, overwriting: overwriting, dryRun: dryRun)
  }

  /// Checks that the only operand after a reference is a destination, and not a path in the snapshot without
  /// a destination.
  /// - Throws: `ImageError` (`usage`) for a relative path that the snapshot has and this machine lacks.
  public func requireDestination(_ word: String, for text: String) throws {
    let reference = try PathReference(text)
    guard reference.path == nil, !word.hasPrefix("/"), !word.hasPrefix("./"),
      !word.hasPrefix("../"),
      try context.fileSystem.statIfPresent(
        at: context.fileSystem.workingDirectory, Array(absolute(word).utf8), followLink: false)
        == nil,
      (try? SnapshotResolver(context).findEntry(
        word, in: SnapshotResolver(context).find(reference.snapshot, remotes: .readInPlace))) != nil
    else { return }
    throw ImageError(
      .usage, "'\(word)'", "is a path in the snapshot, but there is no destination",
      hint:
        "Write 'imgstore restore \(shellQuoted(text)) \(shellQuoted(word)) DEST'; for the whole tree in "
        + "a new directory of that name, write \(shellQuoted("./" + word))")
  }
}

/// Copies entries of snapshots to other places.
struct TreeRestorer: Collaborator {
  let context: Context

  func restore(
    _ text: String, path: String? = nil, to destination: String, overwriting: Bool = false,
    dryRun: Bool = false
  ) throws -> RestoreOutcome {
    let start = monotonicSeconds()
    let reference = try PathReference(text, path: path)
    let snapshot = try SnapshotResolver(context).find(reference.snapshot, remotes: .readInPlace)
    let source =
      try reference.path.map { try SnapshotResolver(context).findEntry($0, in: snapshot) }
      ?? rootTree(of: snapshot)
    let object = "destination \(destination)"
    func requireAllowed(_ directory: Descriptor) throws {
      try StoreProtection(context).requireOutsideStore(directory, object)
      if !overwriting { try requireOutsideImages(directory, destination, snapshot) }
    }
    // Before missing directories are created.
    let nearest = try StoreProtection(context).openNearest(destination + "/..")
    if let nearest { try requireAllowed(nearest) }
    let location = try restoreLocation(destination, object, of: source, creates: !dryRun)
    if let location {
      try requireAllowed(location.directory)
      if overwriting {
        try requireReplaceable(location, by: source.entry.kind, destination)
      } else {
        try requireEmpty(location, destination)
      }
    }
    let store = try context.store()
    var planner = Planner(target: store, live: store)
    let plan = try planner.plan(current: nil, desired: source.entry)
    // The size of a sparse file's data is only in its hole map. Replaced entries free space, so there is no
    // check with `overwriting`.
    if !overwriting, let directory = location?.directory ?? nearest {
      let bytes = plan.files.lazy.filter { $0.entry.holes == nil }
        .reduce(Int64(0)) { $0 &+ Int64(clamping: $1.entry.sizeBytes) }
      try ChangePreflight(context).requireSpace(
        bytes: bytes, entries: Int64(plan.directories.count + plan.files.count), on: directory,
        object)
    }
    func outcome(_ report: ApplyReport, entries: Int) -> RestoreOutcome {
      RestoreOutcome(
        source: snapshot.name + (reference.path.map { ":\($0)" } ?? ""), destination: destination,
        report: report, entries: entries,
        skipped: plan.skipped.map {
          (ImagePath(component: location?.name ?? [0x78], path: $0.path).bytes, $0.reason)
        }
          + snapshot.snapshot.gaps(below: source.path).filter { $0.kind != .unreadable }
          .map { ($0.path, $0.reason) },
        isDryRun: dryRun, plannedBytes: plan.writtenBytes, seconds: monotonicSeconds() - start)
    }
    guard let location, !dryRun else {
      return outcome(ApplyReport(), entries: plan.files.count + plan.directories.count)
    }
    context.progress.begin("restoring", totalBytes: plan.writtenBytes)
    let report = try Executor(
      context.fileSystem, store, ExecutionTarget(location, component: location.name),
      ExecutionOptions(overwriting ? .overwrite : .assumeEmpty), progress: context.progress
    ).run(plan)
    return outcome(report, entries: report.writtenFiles + plan.directories.count)
  }

  /// Returns the location of a restored entry.
  /// - Parameter creates: whether missing parent directories are created.
  /// - Returns: nil if a parent directory is missing and not created.
  private func restoreLocation(
    _ destination: String, _ object: String, of source: LocatedEntry, creates: Bool
  ) throws -> ResolvedPath? {
    let location: ResolvedPath
    do {
      location = try OutputLocator(context).outputLocation(
        destination, object, createsDirectories: creates
      ).resolved
    } catch let error as SystemError where !creates && error.code == .notFound {
      return nil
    }
    guard
      let existing = try context.fileSystem.statIfPresent(
        at: location.directory.raw, location.name),
      source.entry.kind != .directory, existing.kind == .directory
    else { return location }
    // A link of that name is not followed: it is replaced, or refused.
    return try ResolvedPath(
      directory: context.fileSystem.openDirectory(at: location.directory.raw, location.name),
      name: AbsolutePath(source.path)?.lastComponent ?? [])
  }

  /// Refuses a destination inside a live image: `revert` changes images, and can be undone.
  private func requireOutsideImages(
    _ directory: Descriptor, _ destination: String, _ snapshot: CommittedSnapshot
  ) throws {
    for (image, tree) in try DirectoryChecks(context).liveTrees() {
      guard let stat = try ImageCapturer(context).statLive(tree),
        try context.fileSystem.isInside(directory, FileIdentity(stat))
      else { continue }
      throw ImageError(
        "destination \(destination)", "is inside the image \(image)",
        hint:
          "Nothing was written. 'imgstore revert \(shellQuoted(snapshot.name)) PATH' reverts a path "
          + "of the image; --force restores here anyway")
    }
  }

  /// Returns the root tree of a snapshot.
  private func rootTree(of snapshot: CommittedSnapshot) throws -> LocatedEntry {
    guard let component = snapshot.snapshot.components.rootTree else {
      throw ImageError(
        .pathNotFound, snapshot.name, "has no root tree",
        hint: "Name one of its files with '\(snapshot.name):PATH'; 'imgstore show "
          + "\(snapshot.name)' lists them")
    }
    return LocatedEntry(address: ImagePath(component: component.path), entry: component.entry)
  }

  /// Checks that an entry may be replaced. Files do not replace directories, and directories do not replace
  /// files. Devices, FIFOs and sockets of this machine are only replaced by their own kind.
  private func requireReplaceable(
    _ location: ResolvedPath, by kind: FileKind, _ destination: String
  ) throws {
    guard
      let stat = try context.fileSystem.statIfPresent(at: location.directory.raw, location.name),
      stat.kind != kind, stat.kind == .directory || kind == .directory || !stat.kind.isReplaceable
    else { return }
    throw ImageError(
      "destination \(destination)",
      "contains a \(stat.kind.noun) named \(printable(location.name)), "
        + "but the snapshot has a \(kind.noun)",
      hint: "Name another path")
  }

  /// Checks that the destination does not exist, or is an empty directory.
  private func requireEmpty(_ location: ResolvedPath, _ destination: String) throws {
    guard let stat = try context.fileSystem.statIfPresent(at: location.directory.raw, location.name)
    else {
      return
    }
    let object = "destination \(destination)"
    guard stat.kind == .directory else {
      throw ImageError(
        .alreadyExists,
        object, "already contains a \(stat.kind.noun) named \(printable(location.name))",
        hint: "Name another path; only 'restore --force' replaces existing files")
    }
    let directory = try context.fileSystem.openDirectory(at: location.directory.raw, location.name)
    guard try context.fileSystem.names(of: directory.raw).isEmpty else {
      throw ImageError(
        .alreadyExists,
        object, "is not empty",
        hint: "Name a directory that is empty or does not exist; 'restore --force' replaces "
          + "entries in place, and 'imgstore revert' restores a live image")
    }
  }
}

extension FileKind {
  /// Whether an entry of another kind may replace one of this kind.
  fileprivate var isReplaceable: Bool { self == .file || self == .symlink }
}
