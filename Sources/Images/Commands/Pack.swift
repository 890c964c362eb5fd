// imgstore pack: packs the root tree into the file that nodes download, as xCAT's packimage does
// (docs/xcat-contract.md#packimage-steps).
//
// 1. Only stored trees are packed: a changed tree is snapshotted first. A packed image that is replaced and
//    cannot be packed again is also snapshotted.
// 2. The live tree is not changed. The changes for packing apply to a view of the stored tree (`PackEdits`).
//    On request, the live tree is changed as xCAT does, after a snapshot.
// 3. The same snapshot packs to the same bytes, with any cache and on any number of cores.

import Apply
import Platform
import Render
import Store
import XCAT

extension Workspace {
  /// Packs the root tree.
  /// - Parameter report: receives each event when it happens.
  /// - Throws: `ImageError`, `XCATError`, `StoreError`, `SystemError`. A previous packed file is intact then.
  public func pack(
    _ request: PackRequest, report: (PackingEvent) -> Void = { _ in }
  ) throws -> PackOutcome {
    try ImagePacker(context).pack(request, report: report)
  }
}

/// Packs root trees.
struct ImagePacker: Collaborator {
  let context: Context

  func pack(
    _ request: PackRequest, report: (PackingEvent) -> Void = { _ in }
  ) throws -> PackOutcome {
    let start = monotonicSeconds()
    let source = try PackSources(context).packSource(request)
    let lock = try source.tree.flatMap {
      try ImageOperationLock.acquire(
        context.resolver, tree: $0, waiting: ImageLocks(context).treeLockWait)
    }
    defer { withExtendedLifetime(lock) {} }
    let destination = try PackDestinations(context).packDestination(source, request)
    let replaced = try replacedEntry(destination.resolved)
    var packed = try PackSources(context).packedTree(source, replacing: destination, request)
    let store = try context.store()

    context.progress.begin("listing")
    let preparation = try TreePreparation(context, source, packed.top, of: packed.snapshot, request)
    if request.changesLiveTree { try requireNoStatelite(preparation.original, source.image) }
    // Until the end, it protects the files of synclists, which no snapshot may reference.
    let session = preparation.wantsSyncfiles ? try store.beginSession() : nil
    defer { withExtendedLifetime(session) {} }
    let edits = try preparation.edits(syncfiles: session.map { .store($0) })
    try session?.finish()
    var created = preparation.created
    var tree = edits.tree
    if request.changesLiveTree, let path = source.tree,
      let changed = try change(path, of: source, to: tree, packed.snapshot)
    {
      packed = (changed.top, changed.snapshot, true)
      // The next packing of this tree will use the same time.
      created = try TreePreparation.firstTime(
        of: changed.top, changed.snapshot, source.image, store)
      tree = EditableTree(changed.top, in: tree.view)
    }
    let list = try excludeList(source, leavesOut: !preparation.isPlain)
      .addingIncludes(edits.includes)
    if let path = source.tree { report(.packing(tree: path.text)) }
    let rendered = try PackRendering(
      context: context, store: store, tree: tree, list: list, created: created, request: request
    ).write(
      to: PackedFile(
        context.fileSystem, destination.resolved, replacing: replaced, destination.mode))
    if destination.isOwn { PackDestinations(context).recordPackMarker(destination) }
    let removed =
      request.isPackimage ? try PackDestinations(context).removeOtherForms(destination) : []
    return PackOutcome(
      snapshot: packed.snapshot, isNewSnapshot: packed.isNew, destination: destination.text,
      report: rendered.report, counts: rendered.counts,
      gaps: packGaps(of: packed.snapshot.snapshot, missing: rendered.counts.missing, list),
      remarks: edits.remarks + rendered.remarks + removed
        + (request.isPackimage ? [] : PackDestinations(context).conflictingImages(destination)),
      method: request.method, codec: request.codec, mode: destination.mode.bits,
      isPrivate: destination.mode.isPrivate, uuid: recordBuild(tree, packed.snapshot),
      seconds: monotonicSeconds() - start)
  }

  /// Records the snapshot under the UUID that the packed image contains, for `which`.
  /// - Returns: the UUID; nil if the packed tree has none.
  @discardableResult
  func recordBuild(
    _ tree: EditableTree, _ snapshot: CommittedSnapshot
  ) -> ImageUUID? {
    // The packed image is complete: no failure here may become one of packing.
    guard let uuid = (try? tree.text(ImageInfo.path)).flatMap({ ImageInfo($0) })?.uuid else {
      return nil
    }
    do {
      try context.store().builds.write(
        BuildRecord(
          uuid: uuid,
          snapshot: SnapshotName(
            image: try ImageName(snapshot.snapshot.image), number: snapshot.number),
          id: snapshot.id, created: context.now()))
    } catch {
      context.reporter.warn(
        "the snapshot of the packed image is not recorded, so 'imgstore which' may not find it: "
          + ((error as? any ExplainedError)?.message ?? "\(error)"))
    }
    return uuid
  }

  /// Changes the live tree to the edited one.
  /// - Returns: the new snapshot and its tree; nil if the live tree equals the edited one.
  private func change(
    _ path: AbsolutePath, of source: PackInput, to tree: EditableTree, _ before: CommittedSnapshot
  ) throws -> (top: Entry, snapshot: CommittedSnapshot)? {
    let applied = try LiveTreeChange(context).apply(
      tree,
      .init(
        image: source.image, definition: source.definition, path: path, before: before,
        label: SnapshotLabel(.pack, "as packed")))
    return try applied.map {
      (
        try PackSources(context).rootTree(of: $0.snapshot, source.definition, in: source.directory),
        $0.snapshot
      )
    }
  }

  /// Checks that a tree is not in statelite form, which `--in-tree` would remove.
  func requireNoStatelite(_ tree: EditableTree, _ image: ImageName) throws {
    guard try tree.find(Statelite.saved) != nil else { return }
    throw ImageError(
      "image \(image)", "has a root tree in statelite form, which --in-tree would remove",
      hint: "Pack without --in-tree, or run 'imgstore lite --undo \(image)' first")
  }

  /// Returns the entries that the packed image lacks because the snapshot lacks them. Entries that the exlist
  /// excludes are not counted.
  /// - Parameter missing: the paths that the renderer could not read, relative to the tree.
  func packGaps(
    of snapshot: Snapshot, missing: [[UInt8]], _ list: ExcludeList
  ) -> [Snapshot.Note] {
    guard let tree = snapshot.components.rootTree?.path else { return [] }
    let noted = snapshot.gaps(below: tree).filter { note in
      list.keeps([0x2e] + note.path.dropFirst(tree.count))
    }
    let known = Set(noted.map(\.path))
    let others = missing.map { tree + [0x2f] + $0 }.filter { !known.contains($0) }
    return noted + others.map { Snapshot.Note(.unreadable, path: $0) }
  }

  /// Returns the entry that a packed file will replace. It is replaced only if it is still the same then.
  func replacedEntry(_ location: ResolvedPath) throws -> ReplacedEntry {
    try context.fileSystem.statIfPresent(at: location.directory.raw, location.name).map {
      .seen($0)
    }
      ?? .nothing
  }

  /// Returns the exclude list of an image: for a snapshot as the snapshot has it, so that it packs to the same bytes
  /// everywhere. A file that the snapshot lacks is read from this machine.
  /// - Parameter leavesOut: whether the list includes the entries that packimage leaves out of every image.
  ///   liteimg does not.
  func excludeList(_ source: PackInput, leavesOut: Bool = true) throws -> ExcludeList {
    try ExcludeList.parse(
      files: ImageFiles.paths(of: .exlist, source.definition),
      always: leavesOut ? ExcludeList.always : []
    ) { path in
      if let stored = try source.snapshot.flatMap({ try storedList(path, in: $0.snapshot) }) {
        return stored
      }
      let location = try context.resolver.resolve(path)
      let directory = location.directory
      guard
        try context.fileSystem.statIfPresent(at: directory.raw, location.name, followLink: true)
          != nil
      else { return nil }
      return try context.fileSystem.readSmallFile(
        at: directory.raw, location.name, limitBytes: ImagePacker.maxListBytes)
    }
  }

  private static let maxListBytes = 16 << 20

  /// Returns the content of a list that is a component of a snapshot; nil if it is none.
  private func storedList(_ path: AbsolutePath, in snapshot: Snapshot) throws -> [UInt8]? {
    guard case .file(let blob, let size)? = snapshot.component(at: path.bytes)?.entry.content else {
      return nil
    }
    guard size <= UInt64(ImagePacker.maxListBytes) else {
      throw ImageError(
        "exlist \(path.text)",
        "has \(size) bytes in the snapshot, more than the limit of \(ImagePacker.maxListBytes)")
    }
    var bytes: [UInt8] = []
    try context.store().read(blob, sizeBytes: size) { _, part in bytes.append(contentsOf: part) }
    return bytes
  }
}
