// Makes a standby tree: a root tree in the state of a snapshot, which shares the blocks of the live tree
// where the two have the same contents.
//
//     live tree ─clone─▶ tree ◀─write─ store;   sync ─▶ read and compare with the snapshot ─▶ record
//
// 1. The record is written last, after every byte was read back. Without it the tree is garbage.
// 2. Two trees never share an inode: a change of one must not change the other.
// 3. A file system that cannot share blocks has no standby trees: each would take the space of the whole
//    image.

import Apply
import Ingest
import Platform
import Store

/// Builds standby trees. The caller holds the image's lock and reads its directories.
struct StandbyBuilder: Collaborator {
  let context: Context

  /// Returns the root tree of a snapshot as a component, if a standby tree can have its state.
  /// - Throws: `ImageError` (`unsupported`) with the reason if it cannot.
  func component(of target: CommittedSnapshot) throws -> Snapshot.Component {
    guard let component = target.snapshot.components.rootTree, component.role == .rootTree,
      component.entry.kind == .directory
    else {
      throw ImageError(
        .unsupported, "snapshot \(target.name)", "has no root tree, so there is nothing to keep")
    }
    let inside = target.snapshot.notes.first {
      $0.isUntouchable && $0.path != component.path && isInside($0.path, component.path)
    }
    if let inside {
      throw ImageError(
        .unsupported, "snapshot \(target.name)",
        "does not contain \(printable(inside.path)), so its tree cannot be exchanged as a whole: "
          + inside.reason)
    }
    return component
  }

  /// Checks whether the file system of a tree can have standby trees.
  /// - Throws: `ImageError` (`unsupported`) if it cannot share blocks.
  func requireClones(_ directory: StandbyDirectory) throws {
    let fileSystem = context.fileSystem
    let tree = try fileSystem.statIfPresent(at: directory.live.directory.raw, directory.live.name)
    let parent = try fileSystem.stat(directory.descriptor.raw)
    func unsupported(_ reason: String) -> ImageError {
      ImageError(
        .unsupported, directory.path.text, "cannot have a standby tree: \(reason)",
        hint: "A revert works without one; on XFS and btrfs it can exchange the tree")
    }
    if let tree, tree.device != parent.device || tree.isMountRoot {
      throw unsupported(
        tree.inode == Volume.btrfsSubvolumeInode
          ? "it is a btrfs subvolume, and only plain directories can be exchanged"
          : "it is the root of a mounted file system")
    }
    guard fileSystem.canClone(in: directory.descriptor.raw) else {
      throw unsupported("its file system cannot share the blocks of files (no reflinks)")
    }
  }

  /// Builds the standby tree of a snapshot.
  /// - Parameter target: the snapshot, with its paths on this machine.
  /// - Throws: `ImageError` (`unsupported`, `noSpace`, `interrupted`), `StoreError`, `SystemError`. No tree
  ///   is left then.
  func build(
    _ target: CommittedSnapshot, _ component: Snapshot.Component, in directory: StandbyDirectory
  ) throws -> StandbyTree {
    let live = try LiveStateCapturer(context).captureLiveState(
      of: directory.image, target, storing: false)
    let location = directory.newLocation()
    let plan = try plan(component, live)
    if let reason = try StrategyChooser(context).lacksSpace(plan, in: directory.descriptor) {
      throw ImageError(
        .noSpace, directory.path.text, "cannot have a standby tree: \(reason)",
        hint: "'imgstore standby --remove' removes others")
    }
    do {
      try write(plan, at: location, component, cloning: directory.live)
      let captured = try verify(location, component, target, directory)
      try captured.saveCache(
        of: component.path, base: target.id, context.fileSystem, at: directory.descriptor,
        location.name + StandbyTree.recordSuffix)
    } catch {
      _ = try? StoreProtection(context).treeRemover().remove(
        at: location.directory.raw, location.name)
      throw error
    }
    return try directory.tree(named: location.name)
  }

  private func plan(_ component: Snapshot.Component, _ live: LiveCapture) throws -> Plan {
    let store = try context.store()
    return try store.withReadTransaction {
      var planner = StagingPlanner(target: store, live: live.source, mayLink: false)
      return try planner.plan(
        current: live.live.capture.components.component(at: component.path)?.entry,
        desired: component.entry)
    }
  }

  private func write(
    _ plan: Plan, at location: ResolvedPath, _ component: Snapshot.Component,
    cloning live: ResolvedPath
  ) throws {
    context.progress.begin("writing", totalBytes: plan.writtenBytes)
    let report = try Executor(
      context.fileSystem, try context.store(),
      ExecutionTarget(location, component: component.path, cloneSource: live),
      ExecutionOptions(.assumeEmpty), progress: context.progress
    ).run(plan)
    if let problem = report.problems.first {
      throw ImageError(
        .unsupported, printable(problem.path),
        "cannot be written as the snapshot has it: \(problem.what)",
        hint: "No standby tree was made; a revert works without one")
    }
    context.progress.begin("syncing")
    try context.fileSystem.syncFileSystem(of: location.directory.raw)
    // Otherwise the stat cache does not trust the files: they are too new.
    StatCache.waitForNextGranule()
  }

  /// Reads the whole tree, and compares it with the snapshot.
  private func verify(
    _ location: ResolvedPath, _ component: Snapshot.Component, _ target: CommittedSnapshot,
    _ directory: StandbyDirectory
  ) throws -> CaptureResult {
    let captured = try StandbyCapture(context).capture(
      location, as: directory.path, cache: nil)
    guard captured.component == component else {
      throw ImageError(
        .imageChanged, printable(component.path),
        "was written as a standby tree, but differs from \(target.name)",
        hint:
          "No standby tree was made. Run the command again; 'imgstore verify --deep' checks the store"
      )
    }
    return captured.result
  }
}

/// Captures standby trees as if they were at the path of the live tree.
struct StandbyCapture: Collaborator {
  let context: Context

  /// A captured standby tree.
  struct Captured {
    let result: CaptureResult
    /// The tree as a snapshot would have it; nil if it has entries that cannot be read.
    let component: Snapshot.Component?
  }

  /// Captures a tree. Files that a stat cache confirms are not read.
  func capture(
    _ location: ResolvedPath, as path: AbsolutePath, cache: StatCache?
  ) throws -> Captured {
    var capture = try StoreProtection(context).newCapture()
    capture.locations = [path: location]
    let result = try capture.run(
      [CaptureRoot(role: .rootTree, path: path)], cache: cache,
      into: .memory(MemoryObjects(over: try context.store())))
    let isWhole = result.unreadableEntries == 0 && !result.notes.contains(where: \.isUntouchable)
    return Captured(
      result: result, component: isWhole ? result.components.component(at: path.bytes) : nil)
  }
}
