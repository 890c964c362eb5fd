// imgstore import: a bundle becomes snapshots, and the snapshots become live.
//
//     bundle ─read once─▶ store ─▶ check everything ─▶ plan ─┬─ dry run: say it
//                                                            └─▶ safety snapshot ─▶ ref ─▶ files ─▶ rows
//
// 1. Everything in the bundle is checked before anything on the machine is touched.
// 2. What would be overwritten is in the store first, and so is what was not there: a revert to the
//    snapshot before removes what the import brought, folders and rows included.
// 3. Large files are written once, as they are read, without a name (StagedBlobs): they get one when
//    they are placed, and vanish when the import ends otherwise.
// 4. Files go first, table rows last, all rows of an image in one step.

import Apply
import Codec
import Glibc
import Ingest
import Platform
import Store
import XCAT

/// What an import did with one image.
public struct ImportedImage: Sendable {
  public let name: String
  /// The image's new snapshot; nil in a dry run.
  public let imported: CommittedSnapshot?
  /// The snapshot of what was there before, even where nothing was; nil in a dry run.
  public let safety: CommittedSnapshot?
  /// An image of that name was there.
  public let replaced: Bool
  public let apply: ApplyOutcome
  /// What still differs from the bundle afterwards: empty is the proof; nil in a dry run.
  public let remaining: ImageDiff?
  /// What is worth knowing: what was left out, and why.
  public let remarks: [String]
  /// What archives of trees said and was not kept: the snapshot is incomplete because of it.
  public let notes: [Snapshot.Note]
  /// What it replaced, or would replace, that is not the image's own.
  public let siteReplacements: [SiteReplacement]
  /// What gives privilege in its trees.
  public let privileged: [PrivilegedEntry]
}

/// What an import did, or would do.
public struct ImportOutcome: Sendable {
  public let images: [ImportedImage]
  /// Who signed the images where they come from.
  public let origins: [OriginSignature]
  /// Bytes of the bundle that were read.
  public let bundleBytes: UInt64
  public let isDryRun: Bool
  public let seconds: Double
}

extension Workspace {
  /// Imports a bundle.
  /// - Parameter report: told what happens, as it happens.
  /// - Throws: `BundleError`, `XCATError`, `ImageError`, `StoreError`, `SystemError`. Until files are
  ///   being placed nothing outside the store has changed; afterwards the error says how to go on.
  public func importBundle(
    _ request: ImportRequest, report: @escaping (BundleEvent) -> Void = { _ in }
  ) throws -> ImportOutcome {
    let start = monotonicSeconds()
    Interruption.ignoreClosedPipes()
    if request.isDryRun, try storeIfPresent() == nil {
      return try withScratchStore { try $0.importBundle(request, report: report) }
    }
    let store = try store(create: true)
    let session = try store.beginSession()
    let staged = request.isDryRun ? nil : try stagedBlobs()
    let signatures = try ImportSignatures(self, request)
    let name = request.bundle
    let (bundled, bundleBytes) = try namingBundle(name) {
      let content = try read(name, into: session, staging: staged, signatures.gate)
      try signatures.requireStatements(content.0)
      return content
    }
    let request = try placed(request, bundled)
    let preparation = try ImportPreparation(self, request, session)
    let prepared = try namingBundle(name) { try preparation.prepare(bundled) }
    progress.begin("syncing")
    try session.finish()
    let origins = try bundled.flatMap {
      try signatures.check($0, store, install: preparation.targets.install)
    }

    let locks = try prepared.map(\.image).sorted { $0.text < $1.text }.map { try lock($0, store) }
    defer { withExtendedLifetime(locks) {} }
    let inspected = try prepared.map(preparation.inspect)
    for image in inspected {
      do {
        try preparation.checkMayReplace(image)
      } catch let error as ImageError where request.isDryRun {
        // What it would do with --force is what a dry run is asked for.
        tell("without --force the import is refused: \(error.statement)")
      }
    }
    var images: [ImportedImage] = []
    for (image, source) in zip(inspected, bundled) {
      report(.foundImage(name: image.image.text))
      images.append(
        try apply(image, preparation.targets, request, staged, report) { committed in
          for line in signatures.keep(source, with: committed, store) { tell(line) }
        })
    }
    return ImportOutcome(
      images: images, origins: origins, bundleBytes: bundleBytes, isDryRun: request.isDryRun,
      seconds: monotonicSeconds() - start)
  }

  /// Runs `body`, which reads a bundle or looks at what it holds; its errors name the bundle.
  private func namingBundle<R>(_ path: String, _ body: () throws -> R) throws -> R {
    let bundle = "bundle \(path == "-" ? "on standard input" : printable(path.utf8))"
    do {
      return try body()
    } catch let error as BundleError {
      let isWhole = ["the bundle", "the archive"].contains(error.object)
      throw BundleError(
        isWhole ? bundle : "\(bundle): \(error.object)", error.finding, advice: error.advice)
    } catch let error as SystemError where error.path.isEmpty {
      throw ImageError(error.errorCode, bundle, error.finding, advice: error.advice)
    }
  }

  /// The request with the place of an image that is a directory and is here already: its tree goes there.
  private func placed(
    _ request: ImportRequest, _ bundled: [BundledImage]
  ) throws -> ImportRequest {
    var request = request
    if let directory = request.directory {
      guard bundled.count == 1 else {
        throw ImageError(
          .usage, "--to \(directory)",
          "is one directory, and the bundle holds \(bundled.count) images",
          advice: "Nothing was imported; import each from a bundle of its own")
      }
      request.directory = try directoryPath(directory).text
    } else if bundled.count == 1, let manifest = try? Manifest.parse(bundled[0].manifest),
      let path = manifest.definition.directoryPath,
      try tables().definition(of: request.name ?? manifest.imageName)?.directoryPath == path
    {
      request.directory = path.text
    }
    return request
  }

  /// Large files lie ready where images usually lie, before anything has been decided.
  private func stagedBlobs() throws -> StagedBlobs? {
    let install = try installDirectory(tables())
    guard try statLive(install)?.kind == .directory else { return nil }
    let place = try resolver.resolve(install)
    let directory = try fileSystem.openDirectory(at: place.directory.raw, place.name)
    return StagedBlobs(fileSystem, on: directory)
  }

  private func read(
    _ bundle: String, into session: WriteSession, staging: StagedBlobs?,
    _ gate: @escaping SignatureGate
  ) throws -> ([BundledImage], UInt64) {
    let fileSystem = fileSystem
    let file: Descriptor?
    if bundle == "-" {
      file = nil
    } else {
      do throws(SystemError) {
        file = try fileSystem.openFile(
          at: fileSystem.workingDirectory, Array(absolute(bundle).utf8), [.read])
      } catch {
        if error.isAbsent {
          throw ImageError.sentence(.notFound, "Cannot find \(absolute(bundle))")
        }
        throw error
      }
      if let file, try fileSystem.stat(file.raw).kind == .directory {
        throw ImageError(
          "bundle \(printable(bundle.utf8))", "is a directory, where a bundle is a file",
          advice:
            "Nothing was imported; name the file that 'imgstore export' wrote. 'imgstore snapshot' "
            + "takes a directory as an image")
      }
    }
    progress.begin("importing", totalBytes: 0)
    let taken = Monitor<UInt64>(0)
    let images = try BundleReader(
      progress: progress, staging: staging, forecast: forecast(try store()), signatureGate: gate
    ).read(
      { target in
        let n = try fileSystem.read(file?.raw ?? 0, into: target)
        taken.withLock { $0 += UInt64(n) }
        return n
      }, into: session)
    return (images, taken.withLock { $0 })
  }

  /// What a bundle may resemble: the large files of the images' newest snapshots.
  private func forecast(_ store: ObjectStore) -> ChunkPredictor {
    // A guess: what cannot be read, or has just been forgotten, foretells nothing.
    let images = (try? store.refs.images()) ?? []
    let newest = images.compactMap { try? store.refs.latestReadable(of: $0) }
      .sorted { $0.snapshot.created > $1.snapshot.created }
    return store.forecast(
      from: newest.lazy.flatMap(\.snapshot.pieces).compactMap { piece in
        guard case .file(let blob, let size) = piece.entry.content,
          size > UInt64(Chunker.maxBytes)
        else { return nil }
        return blob
      })
  }

  // MARK: Applying

  /// - Parameter recorded: gets the new snapshot before anything of it is placed. What belongs to it and is
  ///   in the bundle only must be kept now: an import that is resumed has no bundle.
  private func apply(
    _ prepared: PreparedImage, _ targets: ImportTargets, _ request: ImportRequest,
    _ staged: StagedBlobs?, _ report: (BundleEvent) -> Void,
    recorded: (CommittedSnapshot) -> Void
  ) throws -> ImportedImage {
    let store = try store()
    let image = prepared.image
    let folders = try lockFolders(image, prepared.pieces.compactMap { AbsolutePath($0.path) })
    defer { withExtendedLifetime(folders) {} }
    let existing = try tables().definition(of: image.text) ?? ImageDefinition()
    let latest = try store.refs.latestReadable(of: image)
    try requireMounted(latest?.snapshot.notes ?? [], image: image.text)
    let memory = MemoryObjects(over: store)
    let everything =
      prepared.pieces.compactMap(CaptureRoot.init)
      + (try imageFiles(prepared.definition, targets.install)).map {
        CaptureRoot(role: $0.role, path: $0.path)
      }
    let trees = prepared.pieces.filter { $0.role == ImageFiles.rootTree }.map(\.entry)
    let live = try captureLive(
      image, existing, latest: latest, change: trees,
      also: everything, rows: prepared.rowKeys,
      into: .memory(memory))
    try requireKnownMounts(live.notes)
    let pieces = try targets.settle(prepared, live)
    // What is another image's, in a folder that they are made to share, only gives way. A tree that the image
    // leaves for another place stays.
    var own = Set(try imageFiles(existing, targets.install).map(\.path.bytes))
    if let path = prepared.leftDirectory(existing) { own.remove(path.bytes) }
    func isOurs(_ piece: Snapshot.Component) -> Bool {
      own.contains(piece.path) || pieces.all.contains { $0.path == piece.path }
    }
    var plans = try planPieces(
      from: live.capture.pieces.filter(isOurs), memory, to: pieces.all, store,
      liveNotes: live.notes, targetNotes: [], captured: live.capture)
    let protection = try treeProtection(prepared)
    let methods = try chooseMethods(
      &plans,
      StrategyContext(
        method: .automatic, notes: live.notes,
        isServed: [existing, prepared.definition].contains { $0.provisioning == "statelite" },
        entryCount: prepared.entryCount, live: memory, target: store))
    let rows = prepared.rows.changes(from: live.rows, existing, request)
    try tables().validate(rows.changes)
    var outcome = describe(
      plans, methods, attributeChanges(existing, live.rows, rows.definition, rows.kept))
    func imported(
      _ committed: CommittedSnapshot?, _ safety: CommittedSnapshot?, _ remaining: ImageDiff?
    ) -> ImportedImage {
      ImportedImage(
        name: image.text, imported: committed, safety: safety, replaced: !existing.isEmpty,
        apply: outcome, remaining: remaining,
        remarks: prepared.remarks + pieces.remarks + protection.remarks
          + prepared.remarks(onLeaving: existing), notes: prepared.notes,
        siteReplacements: prepared.siteReplacements, privileged: prepared.privileged)
    }
    try preflight(plans)
    if request.isDryRun { return imported(nil, nil, nil) }

    let safety = try commitLive(
      image, existing, also: everything, rows: prepared.rowKeys,
      notes: try absenceNotes(of: pieces.all, live), allowsEmpty: true, change: trees,
      message: "before import of \(request.bundle)", command: "import"
    ).committed
    try requireKept(live.capture.pieces, live.notes, in: safety)
    let snapshot = snapshot(prepared, pieces.all, rows, request, parent: safety)
    let journal = Journal(
      operation: .importing, image: image.text, started: now(), method: .automatic,
      target: snapshot.id, before: safety.id, command: "import", message: snapshot.message,
      options: ImportOption.facts(request, foreign: live.capture.pieces.filter { !isOurs($0) })
        + ImportOption.facts(excludes: live.excludes))
    let (committed, remaining, proof) = try withJournal(image, journal) { syncs in
      let committed = try store.refs.append(snapshot)
      recorded(committed)
      let originals = try targets.keepOriginals(pieces.all, live, request)
      for (path, copy) in originals {
        report(.keptOriginal(path: path, copy: copy))
      }
      for piece in pieces.all { report(event(piece)) }
      try protection.closedFolder.map { try close(targets.resolve($0)) }
      let placement: ExecutionResult
      do {
        placement = try place(plans, token: journal.token, staged: staged, syncs) {
          try targets.resolve($0)
        }
      } catch let untouched as CancelledChangeError where !originals.isEmpty {
        // These are there already.
        throw untouched.cause
      }
      outcome.report = placement.report
      for line in prepared.rows.litefileLines { report(.litefileRow(line: line)) }
      if prepared.rows.hasNodeLists { report(.addingPostscripts) }
      try sync(plans.map(\.path), syncs)
      try settle(syncs)
      outcome.report.problems += try applyRows(rows.changes)
      try removeOldTrees(placement)
      if !placement.oldTrees.isEmpty { try sync(plans.map(\.path), syncs) }
      let (differences, proof, source) = try lookAtLive(
        committed.excluding(live.excludes), change: [],
        verifiedFiles: outcome.report.verifiedFiles)
      let (remaining, limits) = try splitLimits(
        differences, pieces.all, source, outcome.report, LiveLimits(self),
        isFromTarget: true)
      outcome.limits = limits
      return (committed, remaining, proof)
    }
    if remaining.isEmpty, proof.capture.pieces == committed.snapshot.pieces {
      proof.capture.saveCache(
        store.layout, key: cacheKey(image), base: committed.id, replacing: proof.cache)
    }
    report(.imported(image: image.text))
    return imported(committed, safety, remaining)
  }

  private func event(_ piece: Snapshot.Component) -> BundleEvent {
    let path = printable(piece.path)
    return piece.role == ImageFiles.rootTree ? .placingTree(path: path) : .placing(path: path)
  }

  private func snapshot(
    _ prepared: PreparedImage, _ pieces: [Snapshot.Component], _ rows: ImportRowChanges.Result,
    _ request: ImportRequest, parent: CommittedSnapshot
  ) -> Snapshot {
    Snapshot(
      image: prepared.image.text, created: now(), parent: parent.id,
      message: "import of \(request.bundle)",
      provenance: provenance("import", before: parent.id),
      tables: snapshotTables(rows.definition, rows.kept, excludes: prepared.excludes),
      pieces: pieces,
      notes: prepared.notes,
      facts: prepared.facts.facts, entryCount: prepared.entryCount + UInt64(pieces.count),
      contentBytes: pieces.reduce(prepared.treeBytes) { $0 &+ $1.entry.sizeBytes })
  }
}

// MARK: - Going on

/// What the journal of an import says beside.
enum ImportOption {
  /// Folders beside the install folder that the bundle may write below.
  private static let allowed = "allow"
  /// Files of others in the image's folder, which stay.
  static let foreign = "foreign"
  /// `FILE.ORIG` is kept of each file that is replaced.
  private static let originals = "orig"

  /// The place of the tree of an image that is a directory.
  private static let directory = "directory"

  static func facts(_ request: ImportRequest, foreign: [Snapshot.Component]) -> [Snapshot.Fact] {
    request.allowed.map { Snapshot.Fact(allowed, $0) }
      + (request.directory.map { [Snapshot.Fact(directory, $0)] } ?? [])
      + foreign.map { Snapshot.Fact(self.foreign, printable($0.path)) }
      + (request.keepsOriginals ? [Snapshot.Fact(originals, "")] : [])
  }

  private static let outside = "outside"
  /// What the definition excluded before the change is restored with it.
  private static let excludes = "excludes"
  /// The image's directory becomes that of the target.
  private static let place = "place"
  /// A list that excluded something when the change began, a line each.
  private static let list = "exclude-list"

  static func facts(_ request: RevertRequest) -> [Snapshot.Fact] {
    request.allowed.map { Snapshot.Fact(allowed, $0) }
      + (request.allowsOutside ? [Snapshot.Fact(outside, "")] : [])
      + (request.restoresExcludes ? [Snapshot.Fact(excludes, "")] : [])
      + (request.restoresPlace ? [Snapshot.Fact(place, "")] : [])
  }

  static func facts(excludes: [[String]]) -> [Snapshot.Fact] {
    excludes.map { Snapshot.Fact(list, $0.joined(separator: "\n")) }
  }

  /// What was excluded when the change began: the list in the tree may have been changed since.
  static func excludes(_ journal: Journal) -> [[String]] {
    journal.values(list).map { $0.split(separator: "\n").map(String.init) }
  }

  /// What the journal of a revert allows. Other changes were checked when they began.
  static func reach(_ journal: Journal) -> RevertRequest {
    var request = RevertRequest("")
    request.allowed = journal.values(allowed)
    request.restoresExcludes = !journal.values(excludes).isEmpty
    request.restoresPlace = journal.operation == .importing || !journal.values(place).isEmpty
    request.allowsOutside = journal.operation != .revert || !journal.values(outside).isEmpty
    return request
  }

  static func request(_ journal: Journal) -> ImportRequest {
    var request = ImportRequest("")
    request.allowed = journal.values(allowed)
    request.directory = journal.values(directory).first
    request.keepsOriginals = !journal.values(originals).isEmpty
    return request
  }
}

extension Workspace {
  /// Where the pieces of a change lead: those of a bundle never through links.
  func targetResolver(
    _ journal: Journal, isBack: Bool
  ) throws -> (AbsolutePath) throws -> ResolvedPath {
    guard journal.operation == .importing, !isBack else {
      return { try self.locate($0, create: true) }
    }
    let targets = try ImportTargets(self, ImportOption.request(journal))
    return { try targets.resolve($0) }
  }

  /// Keeps the originals that an import had not come to keep.
  func keepOriginals(_ journal: Journal, _ target: Snapshot, _ live: LiveImage) throws {
    guard journal.operation == .importing else { return }
    let request = ImportOption.request(journal)
    _ = try ImportTargets(self, request).keepOriginals(target.pieces, live, request)
  }
}
