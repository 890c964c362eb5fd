// The change that a copy makes, as its transaction sees it. Like an import, it records the new image before
// its files are placed, so that an interrupted copy can be completed from the store.

import Codec
import Ingest
import Platform
import Store
import XCAT

/// The creation of an image from a snapshot of another one.
struct CopyChange: LiveChange {
  let context: Context
  let image: ImageName
  let source: CommittedSnapshot
  /// The planned definition, rows and paths.
  let copy: CopyPlan
  let live: LiveImage
  /// The files of the copy: new ones, and those that exist already and are shared.
  let components: [Snapshot.Component]
  let plans: [ComponentPlan]
  let rows: [RowChange]
  let outcome: ApplyOutcome

  var notes: [Snapshot.Note] { [] }
  var createsImage: Bool { true }

  func keepStateBefore() throws -> StateBefore {
    let saved = try SnapshotTaker(context).commitLive(
      image,
      CaptureScope(
        ImageDefinition(), additional: components.compactMap(CaptureRoot.init),
        rows: copy.rows.keys, recipes: .existing),
      SnapshotRecord(
        SnapshotLabel(.copy, "before copy of \(source.name)"),
        notes: try AbsentPaths(context).absenceNotes(of: components, live), allowsEmpty: true))
    return .kept(saved.committed, isNew: saved.isNew)
  }

  func target(after before: CommittedSnapshot?) throws -> ChangeTarget {
    var snapshot = source.snapshot
    snapshot.image = image.text
    snapshot.created = context.now()
    snapshot.parent = before?.id
    snapshot.message = "copy of \(source.name)"
    snapshot.provenance = context.provenance(.copy, before: before?.id)
    if try TreeProtector(context).wasImported(ImageName(source.snapshot.image)) {
      snapshot.provenance.append(.importOrigin)
    }
    snapshot.tables = snapshotTables(
      copy.definition, copy.rows, excludes: source.snapshot.excludes)
    snapshot.components = components
    // The trees are the same, but links and shared files may differ.
    snapshot.entryCount =
      snapshot.entryCount &+ UInt64(components.count) &- UInt64(source.snapshot.components.count)
    snapshot.contentBytes =
      components.reduce(snapshot.contentBytes) { $0 &+ $1.entry.sizeBytes }
      &- source.snapshot.components.reduce(0) { $0 &+ $1.entry.sizeBytes }
    snapshot.notes = copy.notes
    return ChangeTarget(
      snapshot: CommittedSnapshot(number: 0, id: snapshot.id, snapshot: snapshot),
      isRecorded: false)
  }

  func journal(target: Digest, before: Digest?) -> Journal {
    Journal(
      operation: .copy, image: image.text, started: context.now(), method: .automatic,
      target: target, before: before, command: RecordedCommand.copy.text,
      message: "copy of \(source.name)")
  }

  func record(
    _ proof: ChangeProof, as target: CommittedSnapshot, before: CommittedSnapshot?
  ) throws -> CommittedSnapshot? {
    proof.remaining.isEmpty ? proof.savingCache(context, of: target) : nil
  }
}
