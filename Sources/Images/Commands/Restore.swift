// imgstore restore: a tree or a file of a snapshot into an empty place.

import Apply
import Platform
import Store

/// What a restore did.
public struct RestoreOutcome: Sendable {
  public let source: String
  public let destination: String
  public let report: ApplyReport
  /// Entries that the snapshot could not read and so does not have.
  public let skipped: [(path: [UInt8], why: String)]
  public let seconds: Double
}

extension Workspace {
  /// Writes what `text` names (without a path: the root tree) as `destination`, which must not be
  /// there yet, or be an empty folder. A file may also go into an existing folder.
  /// - Parameter overwriting: what is there may be replaced, entry by entry; what the snapshot does
  ///   not have stays.
  /// - Parameter path: what to restore, where the reference does not say it.
  public func restore(
    _ text: String, path: String? = nil, to destination: String, overwriting: Bool = false
  ) throws -> RestoreOutcome {
    let start = monotonicSeconds()
    let reference = try PathReference(text, path: path)
    let snapshot = try find(reference.snapshot)
    let found =
      try reference.path.map { try findEntry($0, in: snapshot) }
      ?? rootTree(of: snapshot)
    let object = "destination \(destination)"
    let wanted = try outputPlace(destination, object, createsDirectories: true)
    var place = wanted.resolved
    if let existing = try fileSystem.statIfPresent(at: place.directory.raw, place.name) {
      if found.entry.kind != .directory, existing.kind == .directory {
        // A link of that name is replaced, or in the way: it is not followed.
        place = try ResolvedPath(
          directory: fileSystem.openDirectory(at: place.directory.raw, place.name),
          name: AbsolutePath(found.path)?.lastComponent ?? [])
      }
    }
    try requireOutsideStore(place.directory, object)
    if overwriting {
      try requireReplaceable(place, by: found.entry.kind, destination)
    } else {
      try requireEmpty(place, destination)
    }
    let plan: Plan = try {
      var planner = Planner(target: try store(), live: try store())
      return try planner.plan(name: place.name, current: nil, wanted: found.entry)
    }()
    // What a sparse file needs stands in its hole map; what is replaced gives room.
    if !overwriting {
      let bytes = plan.files.reduce(Int64(0)) { sum, step in
        step.entry.holes == nil ? sum &+ Int64(clamping: step.entry.sizeBytes) : sum
      }
      try requireRoom(
        bytes: bytes, entries: Int64(plan.directories.count + plan.files.count),
        on: place.directory, "destination \(destination)")
    }
    progress.begin("restoring", totalBytes: plan.writtenBytes)
    let executor = Executor(
      fileSystem, try store(), base: place.directory,
      surroundings: overwriting ? .any : .empty, progress: progress)
    let report = try executor.run(plan)
    return RestoreOutcome(
      source: snapshot.name + (reference.path.map { ":\($0)" } ?? ""), destination: destination,
      report: report,
      skipped: plan.skipped
        + snapshot.snapshot.gaps(below: found.path).filter { $0.kind != .unreadable }
        .map { ($0.path, $0.reason) },
      seconds: monotonicSeconds() - start)
  }

  private func rootTree(of snapshot: CommittedSnapshot) throws -> FoundEntry {
    guard let piece = snapshot.snapshot.pieces.rootTree else {
      throw ImageError(
        .notFound, snapshot.name, "has no root tree",
        advice: "Name a file of it: '\(snapshot.name):PATH'; 'imgstore show \(snapshot.name)' "
          + "lists them")
    }
    return FoundEntry(path: piece.path, entry: piece.entry)
  }

  /// A folder is not replaced by a file, nor a file by a folder: that would be no restore. Nor is a device, a FIFO or a
  /// socket of this machine replaced by anything else.
  private func requireReplaceable(
    _ place: ResolvedPath, by kind: FileKind, _ destination: String
  ) throws {
    guard let stat = try fileSystem.statIfPresent(at: place.directory.raw, place.name),
      stat.kind != kind, stat.kind == .directory || kind == .directory || !stat.kind.isReplaceable
    else { return }
    throw ImageError(
      "destination \(destination)",
      "there is a \(stat.kind.noun) named \(printable(place.name)), where a \(kind.noun) would go",
      advice: "Name another place")
  }

  private func requireEmpty(_ place: ResolvedPath, _ destination: String) throws {
    guard let stat = try fileSystem.statIfPresent(at: place.directory.raw, place.name) else {
      return
    }
    let object = "destination \(destination)"
    guard stat.kind == .directory else {
      throw ImageError(
        object, "there is a \(stat.kind.noun) named \(printable(place.name)) already",
        advice: "Name another place; only 'restore --force' replaces what is there")
    }
    let folder = try fileSystem.openDirectory(at: place.directory.raw, place.name)
    guard try fileSystem.names(of: folder.raw).isEmpty else {
      throw ImageError(
        object, "is not empty",
        advice: "Name a folder that is empty or not there yet; 'restore --force' replaces entries "
          + "in place, and 'imgstore revert' a live image")
    }
  }
}

extension FileKind {
  /// Whether a file may take its place.
  fileprivate var isReplaceable: Bool { self == .file || self == .symlink }
}
