// imgstore lite: gives the root tree of a statelite image the layout that its nodes expect, as xCAT's liteimg
// does (docs/xcat-contract.md#liteimg), or removes the layout.
//
//     litefile rows ─checked─▶ snapshot of the live tree ─▶ edited tree ─▶ live tree ─▶ snapshot
//                                                             └─ rootfstype=ramdisk: packed
//
// 1. Rows that liteimg refuses are refused before anything is changed. All faults are reported at once.
// 2. A snapshot holds the state before. A revert to it, or `--undo`, restores the tree.
// 3. A second run with the same rows changes nothing.

import Platform
import Render
import Store
import XCAT

/// The parameters of `lite`.
public struct LiteRequest: Sendable {
  public var image: String
  /// Whether the layout is removed.
  public var undoes = false
  /// Whether the change is only planned.
  public var isDryRun = false
  /// Whether the files of synclists are left out.
  public var skipsSyncfiles = false
  /// The type of the root file system if the table has no rootfstype: "ramdisk" packs rootimg-statelite.gz.
  public var rootFileSystem: String?
  public var threads = processorCount
  public var cacheLimitBytes = SegmentCache.defaultLimitBytes
  /// Creates the parameters for one image.
  public init(_ image: String) { self.image = image }
}

/// The outcome of `lite`.
public struct LiteOutcome: Sendable {
  /// The snapshot of the state before.
  public let safety: CommittedSnapshot
  /// The snapshot of the changed tree; nil if nothing changed, and in a dry run.
  public let recorded: CommittedSnapshot?
  /// The changes that were made or, in a dry run, planned.
  public let apply: ApplyOutcome
  /// The packed image; nil if the root of the image is not a ramdisk.
  public let packed: PackOutcome?
  public let remarks: [String]
  public let isDryRun: Bool
  public let seconds: Double
  /// The error that the change would end with, in a dry run; nil if it would not be refused.
  public var refusal: (any ExplainedError)?
}

/// An event of `lite`, for commands that print xCAT's messages.
public enum LiteEvent: Sendable {
  case modifying(tree: String)
  /// `.statelite` does not exist yet.
  case creating(path: String)
  case modified(tree: String)
  case packing(tree: String)
  case packed(tree: String)
}

extension Workspace {
  /// Brings a root tree into statelite form, or restores its plain form.
  /// - Throws: `ImageError` for rows that liteimg refuses, and if the image is not a statelite image;
  ///   `StoreError`, `SystemError`, `InterruptedChangeError`.
  public func lite(
    _ request: LiteRequest, report: (LiteEvent) -> Void = { _ in }
  ) throws -> LiteOutcome {
    try LiteConverter(context).lite(request, report: report)
  }
}

/// Changes root trees to statelite form and back.
struct LiteConverter: Collaborator {
  let context: Context

  func lite(
    _ request: LiteRequest, report: (LiteEvent) -> Void = { _ in }
  ) throws -> LiteOutcome {
    let start = monotonicSeconds()
    let source = try liteSource(request)
    guard let path = source.tree else { preconditionFailure("the tree is not live") }
    let rows = request.undoes ? [] : try liteRows(source)
    let lock = try ImageOperationLock.acquire(
      context.resolver, tree: path, waiting: ImageLocks(context).treeLockWait)
    defer { withExtendedLifetime(lock) {} }
    let before = try PackSources(context).packedTree(
      source, replacing: nil, PackRequest(request.image))
    let store = try context.store()
    let created = try TreePreparation.firstTime(
      of: before.top, before.snapshot, source.image, context.store())

    let packs =
      !request.undoes
      && (source.definition.rootFileSystem ?? request.rootFileSystem) == "ramdisk"
    let original = EditableTree(before.top, in: OverlayTree(store, modified: created))
    let edits = try edited(original, source, rows, request, infoTime: packs ? created : nil)
    func outcome(
      _ recorded: CommittedSnapshot?, _ apply: ApplyOutcome, _ packed: PackOutcome? = nil,
      refusal: (any ExplainedError)? = nil
    ) -> LiteOutcome {
      LiteOutcome(
        safety: before.snapshot, recorded: recorded, apply: apply, packed: packed,
        remarks: edits.remarks, isDryRun: request.isDryRun, seconds: monotonicSeconds() - start,
        refusal: refusal)
    }
    if request.isDryRun {
      let (apply, refusal) = try rehearse(
        original, edits.tree, at: path, before.snapshot, packingIn: packs ? source.directory : nil)
      return outcome(nil, apply, refusal: refusal)
    }
    report(.modifying(tree: path.text))
    if try original.find(".statelite") == nil, !request.undoes {
      report(.creating(path: path.text + "/.statelite"))
    }
    let applied = try LiveTreeChange(context).apply(
      edits.tree,
      .init(
        image: source.image, definition: source.definition, path: path, before: before.snapshot,
        label: SnapshotLabel(
          .lite, request.undoes ? "statelite form removed" : "in statelite form")))
    report(.modified(tree: path.text))
    var packed: PackOutcome?
    if packs {
      report(.packing(tree: path.text))
      packed = try packStatelite(
        try applied.map {
          try PackSources(context).rootTree(
            of: $0.snapshot, source.definition, in: source.directory)
        } ?? before.top, applied?.snapshot ?? before.snapshot, source, request, created)
      report(.packed(tree: path.text))
    }
    return outcome(applied?.snapshot, applied?.outcome ?? ApplyOutcome(), packed)
  }

  /// Returns the edits that the request makes to a tree.
  /// - Parameter infoTime: the time in opt/xcat/xcatinfo; nil if the tree does not get that file.
  private func edited(
    _ tree: EditableTree, _ source: PackInput, _ rows: [LiteFile], _ request: LiteRequest,
    infoTime: Timestamp?
  ) throws -> LiteEdits {
    var edits = LiteEdits(
      tree, try PackEnvironments(context).environment(source.image, source.definition), rows)
    if request.undoes {
      try edits.undo()
    } else {
      let wantsFiles = !request.skipsSyncfiles && source.hasSynclists
      let session = wantsFiles ? try context.store().beginSession() : nil
      try edits.makeAll(syncfiles: session.map { .store($0) })
      try session?.finish()
    }
    try edits.tree.rebuildHardLinkGroups()
    if let infoTime { try edits.addImageInfo(infoTime) }
    try edits.tree.preserveUnchangedTimes()
    return edits
  }

  /// Returns the changes that lead to the edited tree, and the error with which the command would end.
  /// - Parameter directory: the directory of the packed image; nil if the tree will not be packed.
  private func rehearse(
    _ original: EditableTree, _ tree: EditableTree, at path: AbsolutePath,
    _ before: CommittedSnapshot, packingIn directory: AbsolutePath?
  ) throws -> (outcome: ApplyOutcome, refusal: (any ExplainedError)?) {
    let old = [before.snapshot.components.content(at: path.bytes)].compactMap { $0 }
    let new = old.map { Snapshot.Component(role: $0.role, path: $0.path, entry: tree.top) }
    let plans = try ComponentPlanner(context).planComponents(
      from: PlanSide(old, try context.store(), notes: before.snapshot.notes),
      to: PlanSide(new, tree.view))
    let refusal = try DryRunRefusal(context).refusal(isDryRun: true) {
      try ChangePreflight(context).preflight(plans)
      try LiveTreeChange(context).requireAllChangeable(plans, original, tree)
      if let directory {
        _ = try PackDestinations(context).packDestination(
          ImageFiles.statelitePackedName, directory)
      }
    }
    return (ComponentPlanner(context).describe(plans, [], []), refusal)
  }

  // MARK: Input

  /// Returns the live root tree to change.
  /// - Throws: `ImageError` in xCAT's words if the image is missing, incomplete or of another kind.
  private func liteSource(_ request: LiteRequest) throws -> PackInput {
    let image = try ImageName(request.image)
    guard let definition = try context.tables().definition(of: image.text) else {
      throw ImageError.sentence(.notFound, "Cannot find image '\(image)' from the osimage table.")
    }
    // The layout can also be removed if the kind of the image has changed.
    guard definition.provisioning.mentions(.statelite) || request.undoes else {
      throw ImageError.sentence(
        "Please make sure that osimage.provmethod is set to statelite before calling this command.")
    }
    guard
      ![definition.osVersion, definition.architecture, definition.profile].contains("")
        || definition.rootImageDirectory != nil && request.undoes
    else {
      throw ImageError.sentence(
        "osimage.osvers, osimage.osarch, and osimage.profile and must be specified for the image "
          + "\(image) in the database, or you must specify -o os -p profile -a arch.")
    }
    let directory = try PackSources(context).imageDirectory(image, definition)
    return PackInput(
      image: image, definition: definition, directory: directory,
      tree: directory.appending("rootimg"),
      snapshot: nil)
  }

  /// Returns the litefile rows of the image, sorted by file.
  /// - Throws: `ImageError` with the first faulty row; the others are reported as warnings.
  private func liteRows(_ source: PackInput) throws -> [LiteFile] {
    var rows = try LitefileRows.of(
      image: source.image.text, groups: source.definition.groups, context.tables()
    )
    .map { LiteFile(file: $0.file, options: $0.options) }
    var faults = LiteOptions.faults(rows)
    for row in rows
    where AbsolutePath(row.file)?.isRoot ?? true
      || row.file.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7f })
    {
      faults.append(
        XCATError(
          "litefile row \(printable(row.file.utf8))",
          "has blanks, '..' "
            + "or no name, which nodes cannot handle", hint: "Name the file by its plain path"))
    }
    if let first = faults.first {
      for fault in faults.dropFirst() { context.reporter.warn("\(fault.reason)") }
      throw ImageError.sentence(first.reason, hint: first.hint)
    }
    // xCAT adds this row to each image that lacks it (litetree.pm, mergeArrays).
    if !rows.contains(where: { $0.file == "/etc/mtab" }) {
      rows.append(LiteFile(file: "/etc/mtab", options: "link"))
      rows.sort { $0.file.utf8.lexicographicallyPrecedes($1.file.utf8) }
    }
    return rows
  }

  // MARK: rootfstype=ramdisk

  /// Packs the tree in statelite form, as rootimg-statelite.gz.
  private func packStatelite(
    _ top: Entry, _ snapshot: CommittedSnapshot, _ source: PackInput, _ request: LiteRequest,
    _ created: Timestamp
  ) throws -> PackOutcome {
    let start = monotonicSeconds()
    var packing = PackRequest(request.image)
    (packing.threads, packing.cacheLimitBytes) = (request.threads, request.cacheLimitBytes)
    let destination = try PackDestinations(context).packDestination(
      ImageFiles.statelitePackedName, source.directory)
    let replaced = try ImagePacker(context).replacedEntry(destination.resolved)
    let store = try context.store()
    var packedSnapshot = snapshot
    if try !PackDestinations(context).unreproducibleImages(destination, packing, source.directory)
      .isEmpty
    {
      packedSnapshot = try PackSources(context).packedTree(source, replacing: destination, packing)
        .snapshot
    }
    let list = try ImagePacker(context).excludeList(source, leavesOut: false)
    let rendered = try PackRendering(
      context: context, store: store,
      tree: EditableTree(top, in: OverlayTree(store, modified: created)), list: list,
      created: created,
      request: packing
    ).write(
      to: PackedFile(context.fileSystem, destination.resolved, replacing: replaced, .readable))
    PackDestinations(context).recordPackMarker(destination)
    return PackOutcome(
      snapshot: packedSnapshot, isNewSnapshot: packedSnapshot.number != snapshot.number,
      destination: destination.text,
      report: rendered.report, counts: rendered.counts,
      gaps: ImagePacker(context).packGaps(
        of: packedSnapshot.snapshot, missing: rendered.counts.missing, list),
      remarks: rendered.remarks,
      method: packing.method, codec: packing.codec, mode: destination.mode.bits,
      isPrivate: destination.mode.isPrivate, uuid: nil, seconds: monotonicSeconds() - start)
  }
}
