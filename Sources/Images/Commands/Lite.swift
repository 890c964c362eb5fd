// imgstore lite: the root tree of a statelite image gets the layout that its nodes expect, as xCAT's
// liteimg makes it, or loses it again.
//
//     litefile rows ─checked─▶ snapshot of the live tree ─▶ edited tree ─▶ live tree ─▶ snapshot
//                                                             └─ rootfstype=ramdisk: packed
//
// 1. Rows that liteimg refuses are refused before anything is changed, all faults at once.
// 2. The snapshot before holds what was there; a revert to it, or `--undo`, goes back.
// 3. The same rows a second time change nothing.

import Ingest
import Platform
import Render
import Store
import XCAT

/// What to do with which image.
public struct LiteRequest: Sendable {
  public var image: String
  /// The layout is taken back.
  public var undoes = false
  /// Says what would change, and changes nothing.
  public var isDryRun = false
  public var skipsSyncfiles = false
  /// Where the table has no rootfstype: "ramdisk" packs rootimg-statelite.gz.
  public var rootFileSystem: String?
  public var threads = processorCount
  public var cacheLimitBytes = SegmentCache.defaultLimitBytes
  public init(_ image: String) { self.image = image }
}

/// What was done.
public struct LiteOutcome: Sendable {
  /// The snapshot of what was there before.
  public let safety: CommittedSnapshot
  /// The snapshot of the changed tree; nil where nothing changed, and in a dry run.
  public let recorded: CommittedSnapshot?
  /// What was, or would be, changed.
  public let apply: ApplyOutcome
  /// Of statelite images whose root is a ramdisk.
  public let packed: PackOutcome?
  public let remarks: [String]
  public let isDryRun: Bool
  public let seconds: Double
}

/// What happens, for those who speak as xCAT does.
public enum LiteEvent: Sendable {
  case modifying(tree: String)
  /// `.statelite` is not there yet.
  case creating(path: String)
  case modified(tree: String)
  case packing(tree: String)
  case packed(tree: String)
}

extension Workspace {
  /// Brings a root tree into statelite form, or back.
  /// - Throws: `XCATError` for rows that liteimg refuses; `ImageError`, `StoreError`, `SystemError`.
  public func lite(
    _ request: LiteRequest, report: (LiteEvent) -> Void = { _ in }
  ) throws -> LiteOutcome {
    let start = monotonicSeconds()
    let source = try liteSource(request)
    guard let path = source.tree else { preconditionFailure("the tree is the live one") }
    let rows = request.undoes ? [] : try liteRows(source)
    let lock = try ImageOperationLock.acquire(resolver, tree: path)
    defer { withExtendedLifetime(lock) {} }
    let before = try packedTree(source, replacing: nil, PackRequest(request.image))
    let store = try store()
    let created = try firstTime(of: before.top, before.snapshot, source.image)

    var edits = LiteEdits(
      EditableTree(before.top, in: OverlayTree(store, modified: created)),
      try packSite(source.image, source.definition), rows)
    if request.undoes {
      try edits.undo()
    } else {
      let wantsFiles =
        !request.skipsSyncfiles && !ImageFiles.paths(of: "synclists", source.definition).isEmpty
      let session = wantsFiles ? try store.beginSession() : nil
      try edits.makeAll(session: session)
      try session?.finish()
    }
    let packs =
      !request.undoes
      && (source.definition.osimage["rootfstype"] ?? request.rootFileSystem) == "ramdisk"
    try edits.tree.regroup()
    if packs { try edits.addImageInfo(created) }
    try edits.tree.settle()
    func outcome(
      _ recorded: CommittedSnapshot?, _ apply: ApplyOutcome, _ packed: PackOutcome? = nil
    ) -> LiteOutcome {
      LiteOutcome(
        safety: before.snapshot, recorded: recorded, apply: apply, packed: packed,
        remarks: edits.remarks, isDryRun: request.isDryRun, seconds: monotonicSeconds() - start)
    }
    if request.isDryRun {
      let old = [before.snapshot.snapshot.pieces.content(at: path.bytes)].compactMap { $0 }
      let new = old.map { Snapshot.Component(role: $0.role, path: $0.path, entry: edits.tree.top) }
      return outcome(
        nil,
        describe(
          try planPieces(
            from: old, store, to: new, edits.tree.view, liveNotes: before.snapshot.snapshot.notes,
            targetNotes: []), [], []))
    }
    report(.modifying(tree: path.text))
    if try EditableTree(before.top, in: edits.tree.view).find(".statelite") == nil, !request.undoes
    {
      report(.creating(path: path.text + "/.statelite"))
    }
    let made = try applyToLiveTree(
      path, edits.tree, from: before.snapshot, source,
      message: request.undoes ? "statelite form taken back" : "in statelite form", command: "lite")
    report(.modified(tree: path.text))
    var packed: PackOutcome?
    if packs {
      report(.packing(tree: path.text))
      packed = try packStatelite(
        made?.top ?? before.top, made?.snapshot ?? before.snapshot, source, request, created)
      report(.packed(tree: path.text))
    }
    return outcome(made?.snapshot, made?.outcome ?? ApplyOutcome(), packed)
  }

  // MARK: What

  private func liteSource(_ request: LiteRequest) throws -> PackInput {
    let image = try ImageName(request.image)
    guard let definition = try tables().definition(of: image.text) else {
      throw ImageError.sentence(.notFound, "Cannot find image '\(image)' from the osimage table.")
    }
    // A tree may have to be taken back when its image has become another kind.
    guard definition.provisioning.contains("statelite") || request.undoes else {
      throw ImageError.sentence(
        "Please make sure that osimage.provmethod is set to statelite before calling this command.")
    }
    guard
      ![definition.osVersion, definition.architecture, definition.profile].contains("")
        || definition.linuximage["rootimgdir"] != nil && request.undoes
    else {
      throw ImageError.sentence(
        "osimage.osvers, osimage.osarch, and osimage.profile and must be specified for the image "
          + "\(image) in the database, or you must specify -o os -p profile -a arch.")
    }
    let folder = try imageFolder(image, definition)
    return PackInput(
      image: image, definition: definition, folder: folder, tree: folder.appending("rootimg"),
      snapshot: nil)
  }

  /// The image's rows, by file, as liteimg takes them.
  private func liteRows(_ source: PackInput) throws -> [LiteFile] {
    var rows = try LitefileRows.of(
      image: source.image.text, groups: source.definition.osimage["groups"] ?? "", tables()
    )
    .map { LiteFile(file: $0.file, options: $0.options) }
    var faults = LiteOptions.faults(rows)
    for row in rows
    where AbsolutePath(row.file)?.components.isEmpty ?? true
      || row.file.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7f })
    {
      faults.append(
        XCATError(
          "litefile row \(printable(row.file.utf8))",
          "\(printable(row.file.utf8)) has blanks, '..' "
            + "or no name, which nodes cannot tell", advice: "Name the file by its plain path"))
    }
    if let first = faults.first {
      for fault in faults.dropFirst() { tell("\(fault.finding)") }
      throw ImageError.sentence(first.finding, advice: first.advice)
    }
    // xCAT gives each image without a row for it this one (litetree.pm, mergeArrays).
    if !rows.contains(where: { $0.file == "/etc/mtab" }) {
      rows.append(LiteFile(file: "/etc/mtab", options: "link"))
      rows.sort { $0.file.utf8.lexicographicallyPrecedes($1.file.utf8) }
    }
    return rows
  }

  // MARK: rootfstype=ramdisk

  private func packStatelite(
    _ top: Entry, _ snapshot: CommittedSnapshot, _ source: PackInput, _ request: LiteRequest,
    _ created: Timestamp
  ) throws -> PackOutcome {
    let start = monotonicSeconds()
    var packing = PackRequest(request.image)
    (packing.threads, packing.cacheLimitBytes) = (request.threads, request.cacheLimitBytes)
    let place = try packPlace(ImageFiles.statelitePackedName, source.folder)
    let replaced = try replacedEntry(place.resolved)
    let store = try store()
    var kept = snapshot
    if try !unreproducibleImages(place, packing, source.folder).isEmpty {
      kept = try packedTree(source, replacing: place, packing).snapshot
    }
    let list = try excludeList(source.definition, leavesOut: false)
    let made = try PackRendering(
      workspace: self, store: store,
      tree: EditableTree(top, in: OverlayTree(store, modified: created)), list: list,
      created: created,
      request: packing
    ).write(to: PackedFile(fileSystem, place.resolved, replacing: replaced, .readable))
    recordPackMarker(place)
    return PackOutcome(
      snapshot: kept, isNewSnapshot: kept.number != snapshot.number, destination: place.text,
      report: made.report, counts: made.counts,
      gaps: packGaps(of: kept.snapshot, missing: made.counts.missing, list), remarks: made.remarks,
      seconds: monotonicSeconds() - start)
  }
}
