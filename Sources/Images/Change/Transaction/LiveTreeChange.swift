// Makes an edited tree the live one. xCAT edits the tree on disk directly; here a snapshot comes first.
//
// 1. Only entries that the given snapshot holds are changed. A revert to it rolls the change back.
// 2. Only differences are written. An interrupted change is completed by a repetition.

import Ingest
import Platform
import Render
import Store
import XCAT

/// Changes the live root tree to an edited one.
struct LiveTreeChange: Collaborator {
  let context: Context

  /// What a command edits, and how the edit is recorded.
  struct Request {
    let image: ImageName
    let definition: ImageDefinition
    /// The path of the live tree.
    let path: AbsolutePath
    /// A snapshot of the current live tree.
    let before: CommittedSnapshot
    let label: SnapshotLabel
    /// Whether xCAT's lock on the tree is taken, too; false if the caller holds it.
    var locksTree = false
  }

  /// Changes the live root tree to `tree`, and takes a snapshot of it.
  /// - Returns: the new snapshot; nil if the live tree already equals `tree`.
  func apply(
    _ tree: EditableTree, _ request: Request
  ) throws -> (snapshot: CommittedSnapshot, outcome: ApplyOutcome)? {
    let (image, path, before) = (request.image, request.path, request.before)
    let store = try context.store()
    let session = try store.beginSession()
    try add(tree.view, to: session)
    let lock = try ImageLocks(context).lock(image, store)
    let directories = try DirectoryLocker(context).lockDirectories(
      image, [path], locksTree: request.locksTree)
    defer { withExtendedLifetime((lock, directories, session)) {} }
    // Other files of the image, such as a packed image, may be newer than `before`. The same snapshot records
    // them.
    let live = try ImageCapturer(context).captureLive(
      image, CaptureScope(request.definition, recipes: .existing), latest: before,
      into: .store(session))
    try session.finish()
    _ = try RecipeConverter(context).storeCandidates(of: live)
    guard let old = live.capture.components.content(at: path.bytes),
      old == before.snapshot.components.content(at: path.bytes)
    else {
      throw ImageError(
        .imageChanged,
        path.text, "was changed by another process; nothing was done",
        hint: "Run the command again when no process writes to the tree")
    }
    let new = Snapshot.Component(role: old.role, path: old.path, entry: tree.top)
    let plans = try ComponentPlanner(context).planComponents(
      from: PlanSide([old], store, notes: live.notes), to: PlanSide([new], store),
      captured: live.capture)
    try ChangePreflight(context).preflight(plans)
    try requireAllChangeable(plans, EditableTree(old.entry, in: tree.view), tree)
    guard plans.contains(where: { !$0.plan.isEmpty }) else { return nil }
    var target = SnapshotTaker(context).newSnapshot(
      of: image, live, latest: before, SnapshotRecord(request.label.recording(before: before.id)))
    target.components = target.components.map { $0.path == old.path ? new : $0 }
    let (less, more) = (try TreeCounts(old.entry, in: store), try TreeCounts(tree.top, in: store))
    target.entryCount = target.entryCount &+ more.entries &- less.entries
    target.contentBytes = target.contentBytes &+ more.contentBytes &- less.contentBytes
    let result = try ImageTransaction(
      context,
      TreeEditChange(
        context: context, image: image, path: old.path, before: before, edited: target,
        plans: plans, command: request.label.command)
    ).run()
    var outcome = ComponentPlanner(context).describe(plans, [], [])
    outcome.report = result.report
    outcome.limits = result.proof.limits
    return (result.target, outcome)
  }

  /// Stores the new contents and objects of a view's edits.
  func add(_ view: OverlayTree, to session: WriteSession) throws {
    for content in view.newContents { try session.addBlob(content) }
    try session.withWorker { worker in
      for object in view.newObjects { try worker.add(object.kind, object.id, object.bytes) }
      // Filling a directory reads the empty tree, which the view may not have created.
      _ = try Tree.encode([]) { try worker.add($0.kind, $0.id, $0.bytes) }
    }
  }

  /// Checks that entries that the plans leave alone are equal in the edited tree.
  func requireAllChangeable(
    _ plans: [ComponentPlan], _ old: EditableTree, _ new: EditableTree
  ) throws {
    for component in plans {
      for (path, reason) in component.plan.skipped {
        guard try old.find(path) != new.find(path) else { continue }
        throw ImageError(
          .imageChanged,
          "\(component.path.text)/\(path.text)",
          "cannot be changed to the target: \(reason)",
          hint: "Nothing was changed; unmount what is mounted there, and run the command again")
      }
    }
  }
}
