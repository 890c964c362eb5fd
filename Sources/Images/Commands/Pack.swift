// imgstore pack: the root tree becomes the one file that nodes download, as xCAT's packimage makes it.
//
// 1. What is packed is in the store first: a changed tree is snapshotted. So is a packed image that is
//    replaced and that nobody could make again.
// 2. The live tree is not touched; what packing changes in it is a view (`PackEdits`). Asked to, it
//    changes the live tree as xCAT does, after a snapshot.
// 3. The same snapshot packs to the same bytes, with any cache and on any number of cores.

import Apply
import Codec
import Ingest
import Platform
import Render
import Store
import XCAT

extension Workspace {
  /// Packs the root tree.
  /// - Throws: `ImageError`, `XCATError`, `StoreError`, `SystemError`. The file that was there before
  ///   is whole then.
  public func pack(
    _ request: PackRequest, report: (PackEvent) -> Void = { _ in }
  ) throws -> PackOutcome {
    let start = monotonicSeconds()
    let source = try packSource(request)
    let lock = try source.tree.map { try ImageOperationLock.acquire(resolver, tree: $0) } ?? nil
    defer { withExtendedLifetime(lock) {} }
    let place = try packPlace(source, request)
    let replaced = try replacedEntry(place.resolved)
    var packed = try packedTree(source, replacing: place, request)
    let store = try store()

    progress.begin("listing")
    var created = try firstTime(of: packed.top, packed.snapshot, source.image)
    let site = try packSite(source.image, source.definition)
    let original = EditableTree(packed.top, in: OverlayTree(store, modified: created))
    if request.changesLiveTree, try original.find(Statelite.saved) != nil {
      throw ImageError(
        "image \(source.image)",
        "its root tree is in statelite form, which --in-tree would take back",
        advice:
          "Pack without --in-tree, or take it back first: 'imgstore lite --undo \(source.image)'")
    }
    let isPlain =
      try request.isPlain || source.definition.isDirectory
      || !request.isPackimage && !hasXCAT()
    let wantsSyncfiles =
      !isPlain && !request.skipsSyncfiles
      && !ImageFiles.paths(of: "synclists", source.definition).isEmpty
    let session = wantsSyncfiles ? try store.beginSession() : nil
    var edits = PackEdits(original, site)
    if !isPlain { try edits.makeAll(created: created, session: session) }
    try session?.finish()
    var tree = edits.tree
    if request.changesLiveTree, let path = source.tree {
      let made = try applyToLiveTree(
        path, tree, from: packed.snapshot, source, message: "as packed", command: "pack")
      if let made {
        packed = (made.top, made.snapshot, true)
        // As the next packing of this tree will have it.
        created = try firstTime(of: made.top, made.snapshot, source.image)
        tree = EditableTree(made.top, in: tree.view)
      }
    }
    let list = try excludeList(source.definition, leavesOut: !isPlain).addingIncludes(
      edits.includes)
    if let path = source.tree { report(.packing(tree: path.text)) }
    let rendering = PackRendering(
      workspace: self, store: store, tree: tree, list: list, created: created, request: request)
    let made = try rendering.write(
      to: PackedFile(
        fileSystem, place.resolved, replacing: replaced, place.mode))
    if place.isOwn { recordPackMarker(place) }
    let removed = request.isPackimage ? try removeOtherForms(place) : []
    withExtendedLifetime(session) {}
    return PackOutcome(
      snapshot: packed.snapshot, isNewSnapshot: packed.isNew, destination: place.text,
      report: made.report, counts: made.counts,
      gaps: packGaps(of: packed.snapshot.snapshot, missing: made.counts.missing, list),
      remarks: edits.remarks + made.remarks + removed
        + (request.isPackimage ? [] : conflictingImages(place)),
      seconds: monotonicSeconds() - start)
  }

  /// What the packed image lacks because the snapshot does: of what the exlist keeps.
  func packGaps(
    of snapshot: Snapshot, missing: [[UInt8]], _ list: ExcludeList
  ) -> [Snapshot.Note] {
    guard let tree = snapshot.pieces.rootTree?.path else { return [] }
    let noted = snapshot.gaps(below: tree).filter { note in
      list.keeps([0x2e] + note.path.dropFirst(tree.count))
    }
    let known = Set(noted.map(\.path))
    let others = missing.map { tree + [0x2f] + $0 }.filter { !known.contains($0) }
    return noted + others.map { Snapshot.Note(.unreadable, path: $0) }
  }

  /// What is at a place now, and may be replaced while nobody else writes there.
  func replacedEntry(_ place: ResolvedPath) throws -> ReplacedEntry {
    try fileSystem.statIfPresent(at: place.directory.raw, place.name).map { .seen($0) } ?? .nothing
  }

  /// The lists of an image.
  /// - Parameter leavesOut: what packimage leaves out of every image; liteimg does not.
  func excludeList(
    _ definition: ImageDefinition, leavesOut: Bool = true
  ) throws -> ExcludeList {
    try ExcludeList.parse(
      files: ImageFiles.paths(of: "exlist", definition),
      always: leavesOut ? ExcludeList.always : []
    ) { path in
      let place = try resolver.resolve(path)
      guard
        try fileSystem.statIfPresent(at: place.directory.raw, place.name, followLink: true) != nil
      else { return nil }
      return try fileSystem.readSmallFile(
        at: place.directory.raw, place.name, limitBytes: 16 << 20)
    }
  }

  /// When this tree came to be, as far as the history tells: snapshots that only other files made
  /// necessary, the packed image among them, change nothing in what is packed.
  func firstTime(
    of top: Entry, _ snapshot: CommittedSnapshot, _ image: ImageName
  ) throws -> Timestamp {
    let refs = try store().refs
    var time = snapshot.snapshot.created
    for number in try refs.numbers(of: image).reversed() where number < snapshot.number {
      guard let earlier = try? refs.read(image, number).snapshot,
        earlier.pieces.contains(where: { $0.role == ImageFiles.rootTree && $0.entry == top })
      else { break }
      time = earlier.created
    }
    return time
  }
}
