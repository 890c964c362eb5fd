// Imports a tree that came without a definition as the root tree of an image of xCAT.
//
// 1. The change is a revert of the whole root tree to the new one. So it has the same safety snapshot,
//    journal, exchange of trees, proof and undo. Definition, rows, kernel and lists stay as they are.
// 2. The tree is as untrusted as that of a bundle: privileged entries that no package owns are refused.
// 3. The snapshot counts as imported, and names its parts in its provenance: only the tree is from elsewhere.

import Ingest
import Platform
import Store
import XCAT

/// Replaces root trees of images by trees that came without a definition.
struct RootTreeImporter {
  private let context: Context
  private let request: ImportRequest

  init(_ context: Context, _ request: ImportRequest) {
    (self.context, self.request) = (context, request)
  }

  /// Replaces the root tree of an image.
  /// - Parameter source: the tree, whose objects are in the store.
  /// - Returns: the outcome, and in a dry run the error that would refuse the import.
  /// - Throws: `ImageError`: `alreadyExists` without `--force`, `bundleInvalid` for a privileged entry,
  ///   `unsupported` for a kind of image without a root tree; otherwise as `revert`.
  func importTree(
    _ source: DefinitionlessImage, to image: ImageName
  ) throws -> (image: ImportedImage, refusal: (any ExplainedError)?) {
    let store = try context.store()
    let lock = try ImageLocks(context).lock(
      image, store, isDryRun: request.isDryRun, usesTree: true)
    defer { withExtendedLifetime(lock) {} }
    let target = try target(source, image, store)
    let privileged = try PrivilegedEntries(
      store: store,
      state: ImageState(
        name: image.text, definition: target.definition, rows: target.keptRows,
        components: target.components, source: store, notes: [])
    ).find()
    if !request.allowsPrivileged { try privileged.refuseUnexpected() }
    let refusal = try DryRunRefusal(context).refusal(isDryRun: request.isDryRun) {
      try requireForce(image)
    }
    let outcome = try ImageReverter(context).change(change(of: image, to: target, source, store))
    let recorded = try outcome.recorded ?? (request.isDryRun ? nil : latest(image, store))
    return (
      ImportedImage(
        name: image.text, imported: recorded,
        safety: try outcome.recorded?.snapshot.before.flatMap {
          try ChangeJournal(context).findSnapshot($0, of: image)
        },
        replaced: true, apply: outcome.apply, remaining: outcome.remaining,
        remarks: source.remarks + remarks(outcome, image), notes: target.notes,
        siteReplacements: [], privileged: privileged, removedFiles: [],
        rootTree: target.components.first?.path),
      refusal ?? outcome.refusal
    )
  }

  private func requireForce(_ image: ImageName) throws {
    if request.replaces { return }
    throw ImageError(
      .alreadyExists, "image \(image)", "is defined already",
      hint:
        "'--force' replaces its root tree, after a snapshot of it; definition, kernel and lists "
        + "stay. With '--name NAME --to DIR', the tree becomes a directory image instead")
  }

  private func remarks(_ outcome: RevertOutcome, _ image: ImageName) -> [String] {
    if outcome.isDryRun || outcome.recorded != nil { return [] }
    return ["image \(image) has this root tree already: nothing was changed"]
  }

  private func latest(_ image: ImageName, _ store: ObjectStore) throws -> CommittedSnapshot? {
    try store.refs.latestReadable(of: image)
  }

  // MARK: The change

  private func change(
    of image: ImageName, to target: Snapshot, _ source: DefinitionlessImage, _ store: ObjectStore
  ) throws -> ChangeRequest {
    var revert = RevertRequest(image.text)
    revert.isDryRun = request.isDryRun
    revert.allowed = request.allowed
    var parts = ImageParts()
    parts.paths = ["/"]
    let earlier = try latest(image, store)?.snapshot.facts ?? []
    return ChangeRequest(
      image: image, target: CommittedSnapshot(number: 0, id: target.id, snapshot: target),
      request: revert, parts: parts,
      label: SnapshotLabel(.importing, "import of \(request.bundle)"),
      facts: earlier.filter { !OCIFact.keys.contains($0.key) } + source.facts)
  }

  /// Returns a state that consists of the definition and the new tree.
  private func target(
    _ source: DefinitionlessImage, _ image: ImageName, _ store: ObjectStore
  ) throws -> Snapshot {
    let definition = try ImageCapturer(context).definition(of: image)
    guard
      let directory = ImageFiles.bootDirectory(
        definition, installDirectory: try context.installDirectory(context.tables()))
    else {
      throw ImageError(
        .unsupported, "image \(image)", "has no root tree that could be replaced",
        hint: "Nothing was imported. Its definition needs rootimgdir, or provmethod netboot or "
          + "statelite")
    }
    let path = directory.appending(ImageFiles.rootTreeName)
    let notes = source.tree.losses.map { loss in
      Snapshot.Note(
        .attributesLost, path: (loss.path.isEmpty ? path : path.appending(loss.path)).bytes,
        detail: loss.what + (loss.count > 1 ? "; also of \(loss.count - 1) more" : ""))
    }
    return Snapshot(
      image: image.text, created: context.now(), parent: nil, message: "", provenance: [],
      tables: snapshotTables(definition, TableRowSet(), excludes: []),
      components: [.init(role: .rootTree, path: path.bytes, entry: source.tree.entry)],
      notes: notes, facts: [], entryCount: source.tree.entryCount,
      contentBytes: source.tree.contentBytes)
  }
}
