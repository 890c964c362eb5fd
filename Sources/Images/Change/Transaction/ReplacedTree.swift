// Old trees of interrupted swaps. A crash may come between the exchange of two trees and the check of the
// old one (SwappedTreeCheck), and another process may have written to the old tree before the exchange. Such
// writes are in no snapshot, and the old tree looks like a leftover of the change.
//
// 1. The journal names the inode of each tree that may be exchanged, before the first step. A tree with
//    another inode at the path means that the leftover is the old tree.
// 2. The content of an old tree that neither the state before nor the target has is kept in a snapshot before
//    the leftover is removed. An old tree that cannot be read stays. An old tree in the place of a standby
//    tree has no record until it was checked, so no later command uses it.
// 3. A journal without inodes is of an older version. Its leftovers are removed without a check.

import Ingest
import Platform
import Store

/// Keeps what others wrote to trees that were exchanged.
struct ReplacedTrees: Collaborator {
  let context: Context

  /// Adds to a journal the trees that plans would exchange.
  func naming(exchangesOf plans: [ComponentPlan], in journal: Journal) -> Journal {
    var journal = journal
    journal.options = JournalOption.options(
      journal.options,
      exchanging: plans.enumerated().compactMap { index, component in
        guard component.staging != nil || component.standby != nil, component.current != nil,
          let observed = component.observed
        else { return nil }
        return JournalOption.ExchangedTree(
          inode: observed.stat.inode,
          temporaryName: component.standby?.relativeName
            ?? StrategyChooser(context).stagingName(journal.token, index),
          path: printable(component.path.bytes))
      })
    return journal
  }

  /// Keeps the content of old trees that other processes wrote before an interrupted exchange.
  /// - Returns: the snapshots with that content; empty if there is none.
  /// - Throws: `StoreError`, `SystemError`. The leftovers must stay then.
  func keepReplacedTrees(_ image: ImageName, _ journal: Journal) throws -> [CommittedSnapshot] {
    guard journal.before != nil else { return [] }
    let endpoints = try [journal.before, journal.target].compactMap { $0 }
      .compactMap { try ChangeJournal(context).findSnapshot($0, of: image) }
    guard let base = endpoints.first else { return [] }
    var kept: [CommittedSnapshot] = []
    for tree in JournalOption.exchangedTrees(journal) {
      guard
        let path = endpoints.flatMap(\.snapshot.components).map(\.path)
          .first(where: { printable($0) == tree.path }).flatMap({ AbsolutePath($0) }),
        let location = try locateIfPresent(path),
        let oldLocation = try locateIfPresent(tree.temporaryPath(nextTo: path)),
        let old = try context.fileSystem.statIfPresent(
          at: oldLocation.directory.raw, oldLocation.name),
        old.kind == .directory,
        try context.fileSystem.statIfPresent(at: location.directory.raw, location.name)?.inode
          != tree.inode
      else { continue }
      if let snapshot = try keepReplacedTree(
        image, journal, at: path, leftover: tree.temporaryPath(nextTo: path), base, endpoints)
      {
        kept.append(snapshot)
      }
    }
    return kept
  }

  private func locateIfPresent(_ path: AbsolutePath) throws -> ResolvedPath? {
    do throws(SystemError) { return try LivePaths(context).locate(path) } catch {
      if error.isAbsent { return nil }
      throw error
    }
  }

  private func keepReplacedTree(
    _ image: ImageName, _ journal: Journal, at path: AbsolutePath, leftover: AbsolutePath,
    _ base: CommittedSnapshot, _ endpoints: [CommittedSnapshot]
  ) throws -> CommittedSnapshot? {
    let store = try context.store()
    // Protects the captured objects from garbage collection until the snapshot references them.
    let session = try store.beginSession()
    defer { withExtendedLifetime(session) {} }
    let memory = MemoryObjects(over: store)
    let role = base.snapshot.component(at: path.bytes)?.role ?? .rootTree
    let captured = try StoreProtection(context).newCapture().run(
      [CaptureRoot(role: role, path: leftover)], cache: nil,
      into: .store(session, keeping: memory))
    try session.finish()
    guard captured.unreadableEntries == 0 else {
      throw ImageError(
        .changeUnfinished, printable(leftover.bytes),
        "is the old tree of the change, and has entries that cannot be read",
        hint: "Copy from it what you need, and remove it; then run the command again")
    }
    guard let top = captured.components.first?.entry else { return nil }
    let component = Snapshot.Component(role: role, path: path.bytes, entry: top)
    let state = ImageState(
      name: "the old tree", definition: base.snapshot.definition, rows: base.snapshot.keptRows,
      components: [component], source: memory, notes: [])
    let latest = try store.refs.latestReadable(of: image)
    // An earlier `resume` may have kept the tree, but not removed it.
    guard latest?.snapshot.component(at: path.bytes)?.entry != top,
      try ChangeRecorder(context).hasUnsavedChanges(state, endpoints, journal)
    else { return nil }
    var snapshot = base.snapshot
    snapshot.created = context.now()
    snapshot.parent = latest?.id
    snapshot.message = "found in the tree that was replaced: \(journal.message)"
    snapshot.provenance = context.provenance(.resume)
    snapshot.components =
      (base.snapshot.components.filter { $0.path != path.bytes } + [component])
      .sorted { precedes($0.path, $1.path) }
    if let old = base.snapshot.component(at: path.bytes)?.entry {
      let less = try TreeCounts(old, in: store)
      snapshot.entryCount = snapshot.entryCount &- less.entries
      snapshot.contentBytes = snapshot.contentBytes &- less.contentBytes
    }
    let more = try TreeCounts(top, in: store)
    snapshot.entryCount = snapshot.entryCount &+ more.entries
    snapshot.contentBytes = snapshot.contentBytes &+ more.contentBytes
    let committed = try store.refs.append(snapshot)
    context.reporter.warn(
      "another process wrote to \(path.text) before the interrupted exchange: \(committed.name) has "
        + "these files ('imgstore diff \(base.name) \(committed.name)')")
    return committed
  }
}
