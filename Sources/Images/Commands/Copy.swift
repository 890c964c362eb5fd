// imgstore copy: a new image from any snapshot, under a profile of its own: what an export and an import
// with `-f` make, without the bundle.
//
// 1. All data is shared in the store. On file systems that can, the new tree shares the live one's
//    blocks; it never shares an inode, for the two images go different ways.
// 2. Nothing that is there is overwritten: neither an image of that name, nor any file in the way.
// 3. Like an import it can be undone, and resumed where it was cut short.

import Apply
import Ingest
import Platform
import Store
import XCAT

/// What to copy.
public struct CopyRequest: Sendable {
  /// An image (as it is now) or a snapshot.
  public var reference: String
  public var name: String
  /// The new image's profile, which its folder and lists are named after; nil for its name.
  public var profile: String?
  /// The new image's folder; nil for the one that follows from the profile, or that lies next to the source's.
  public var directory: String?
  /// Ends with the plan; of a live image that has changed a snapshot is taken all the same.
  public var isDryRun = false
  public init(_ reference: String, to name: String) {
    self.reference = reference
    self.name = name
  }
}

/// What a copy did.
public struct CopyOutcome: Sendable {
  public let source: CommittedSnapshot
  /// The new image's snapshot; nil for a dry run.
  public let copied: CommittedSnapshot?
  public let folder: AbsolutePath
  public let apply: ApplyOutcome
  /// The secrets that the copy carries.
  public let secrets: SecretReport
  /// What the source does not have, and so the copy neither.
  public var gaps: [Snapshot.Note] { source.snapshot.gaps() }
  /// What still differs afterwards: empty is the proof. Nil for a dry run.
  public let remaining: ImageDiff?
  public let seconds: Double
}

extension Workspace {
  /// Copies an image.
  /// - Throws: `ImageError` where the name, its folder or a list of it is there already.
  public func copy(_ request: CopyRequest) throws -> CopyOutcome {
    let start = monotonicSeconds()
    let image = try ImageName(request.name)
    try image.requirePlain()
    let source = try snapshotOrLive(
      Reference(request.reference), message: "for copy", command: "copy")
    let store = try store()
    let lock = try lock(image, store)
    defer { withExtendedLifetime(lock) {} }
    guard try tables().definition(of: image.text) == nil else {
      throw ImageError(
        "image \(image)", "is defined already", advice: "Give the copy another name")
    }
    let draft = try copyDraft(source.snapshot, as: image, request)

    let folders = try lockFolders(image, draft.pieces.compactMap { AbsolutePath($0.path) })
    defer { withExtendedLifetime(folders) {} }
    let memory = MemoryObjects(over: store)
    try requireMounted(source.snapshot.notes, image: source.snapshot.image)
    let live = try captureLive(
      image, draft.definition, latest: nil, also: draft.pieces.compactMap(CaptureRoot.init),
      rows: draft.rows.keys, into: .memory(memory))
    try checkShared(live.capture.pieces, draft)
    let shared = live.capture.pieces
    let new = draft.pieces.filter { piece in !shared.contains { $0.path == piece.path } }
    let pieces = (new + shared).sorted { precedes($0.path, $1.path) }
    var plans = try planPieces(
      from: live.capture.pieces, memory, to: pieces, store, liveNotes: live.notes, targetNotes: [],
      captured: live.capture)
    try addDonors(&plans, draft, source, store)
    let methods = try chooseMethods(
      &plans,
      StrategyContext(
        method: .automatic, notes: live.notes, isServed: false,
        entryCount: source.snapshot.entryCount, live: memory, target: store))
    let changes = draft.definition.rowChanges(of: image.text) + live.rows.changes(to: draft.rows)
    try tables().validate(changes)
    let secrets = try secretReport(of: source.snapshot)
    var outcome = describe(
      plans, methods,
      attributeChanges(ImageDefinition(), live.rows, draft.definition, draft.rows))
    func result(_ copied: CommittedSnapshot?, _ remaining: ImageDiff?) -> CopyOutcome {
      CopyOutcome(
        source: source, copied: copied, folder: draft.folder, apply: outcome, secrets: secrets,
        remaining: remaining,
        seconds: monotonicSeconds() - start)
    }
    try preflight(plans)
    if request.isDryRun { return result(nil, nil) }

    let before = try commitLive(
      image, ImageDefinition(), also: pieces.compactMap(CaptureRoot.init), rows: draft.rows.keys,
      notes: try absenceNotes(of: pieces, live), allowsEmpty: true,
      message: "before copy of \(source.name)", command: "copy"
    ).committed
    var snapshot = source.snapshot
    snapshot.image = image.text
    snapshot.created = now()
    snapshot.parent = before.id
    snapshot.message = "copy of \(source.name)"
    snapshot.provenance = provenance("copy", before: before.id)
    if try wasImported(ImageName(source.snapshot.image)) {
      snapshot.provenance.append(.init(Snapshot.originKey, Snapshot.importOrigin))
    }
    snapshot.tables = snapshotTables(
      draft.definition, draft.rows, excludes: source.snapshot.excludes)
    snapshot.pieces = pieces
    snapshot.notes = draft.notes
    let journal = Journal(
      operation: .copy, image: image.text, started: now(), method: .automatic,
      target: snapshot.id, before: before.id, command: "copy", message: snapshot.message)
    let (copied, remaining) = try withJournal(image, journal) { syncs in
      let copied = try store.refs.append(snapshot)
      try closeFolder(of: copied.snapshot) { try locate($0, create: true) }
      let placement = try place(plans, token: journal.token, syncs) {
        try locate($0, create: true)
      }
      outcome.report = placement.report
      try sync(plans.map(\.path), syncs)
      try settle(syncs)
      outcome.report.problems += try applyRows(changes)
      let (differences, proof, objects) = try lookAtLive(
        copied, verifiedFiles: outcome.report.verifiedFiles)
      let (remaining, limits) = try splitLimits(
        differences, pieces, objects, outcome.report, LiveLimits(self),
        isFromTarget: true)
      outcome.limits = limits
      if remaining.isEmpty, proof.capture.pieces == snapshot.pieces {
        proof.capture.saveCache(
          store.layout, key: cacheKey(image), base: copied.id, replacing: proof.cache)
      }
      return (copied, remaining)
    }
    return result(copied, remaining)
  }

  private func copyDraft(
    _ source: Snapshot, as image: ImageName, _ request: CopyRequest
  ) throws -> CopyPlan {
    let directory = try request.directory.map { try directoryPath($0) }
    if let old = source.definition.directoryPath {
      guard request.profile == nil else {
        throw ImageError(
          .usage, "--profile", "is for osimages, and \(source.image) is a directory",
          advice: "Say where the copy goes with --to DIR")
      }
      return try CopyPlan(
        directory: source, at: old, to: directory ?? old.parent.appending(image.bytes))
    }
    let install = try installDirectory(tables())
    let folder = ImageFiles.bootDirectory(source.definition, installDirectory: install)
    // Without xCAT nothing makes the install folder the place of images.
    let neighbour =
      try !hasXCAT()
      ? folder.flatMap { $0.isInside(install) ? nil : $0.parent.appending(image.bytes) }
      : nil
    return try CopyPlan(
      source, as: image, profile: request.profile ?? image.text, folder: directory ?? neighbour,
      installDirectory: install)
  }

  /// What the new definition means and is there already is shared with other images, and stays.
  /// - Throws: `ImageError` where the copy would bring something else to that place.
  private func checkShared(
    _ live: [Snapshot.Component], _ draft: CopyPlan
  ) throws {
    for piece in live {
      guard let wanted = draft.pieces.first(where: { $0.path == piece.path }),
        wanted.entry.content != piece.entry.content
      else { continue }
      throw ImageError(
        printable(piece.path), "is there already",
        advice: "Nothing was copied; give another name, or another profile with --profile")
    }
  }

  /// Trees of the source image that are live, for the copy's trees to share their blocks.
  private func addDonors(
    _ plans: inout [ComponentPlan], _ draft: CopyPlan, _ source: CommittedSnapshot,
    _ store: ObjectStore
  ) throws {
    for i in plans.indices where plans[i].isTree && plans[i].current == nil {
      guard let path = draft.origins[plans[i].path.bytes].flatMap({ AbsolutePath($0) }),
        try statLive(path)?.kind == .directory,
        let entry = source.snapshot.piece(at: path.bytes)?.entry
      else { continue }
      plans[i].donor = CloneSource(path: path, entry: entry, source: store)
    }
  }
}
