// imgstore snapshot: records the state of the live image. The commands that change a live image, or need its
// state, record it with the same functions.

import Codec
import Ingest
import Platform
import Store
import XCAT

/// The outcome of a snapshot.
public struct SnapshotOutcome: Sendable {
  /// The recorded snapshot; the latest one if nothing was recorded.
  public let committed: CommittedSnapshot
  /// The number of the earlier snapshot with the same state; nil if the state is new.
  public let sameAs: Int?
  /// Whether a snapshot was recorded. A state that equals the latest snapshot is not recorded again if it is
  /// incomplete, or with `skipIfUnchanged`.
  public let isNew: Bool
  /// The number of bytes that were read from files.
  public let readBytes: UInt64
  /// The number of bytes that were added to the store.
  public let storedBytes: UInt64
  /// The results for the packed files that were examined for recipes.
  public let recipes: [RecipeResult]
  public let seconds: Double
}

extension Workspace {
  /// Takes a snapshot of the live image.
  /// - Parameters:
  ///   - name: the image, or a directory, which becomes an image.
  ///   - tag: a tag for the snapshot.
  ///   - tags: further tags.
  ///   - movesTag: whether the tags may be moved from other snapshots. Otherwise they must be unused.
  ///   - recipes: whether packed files are stored as recipes, if possible.
  ///   - allowsEmpty: whether a state is recorded whose trees are missing, empty or mostly unreadable.
  ///   - skipIfUnchanged: whether nothing is recorded if the image matches its latest snapshot.
  /// - Throws: `ImageError`, `StoreError`, `XCATError`, `SystemError`. Nothing is committed then.
  public func snapshot(
    _ name: String, message: String = "", tag: String? = nil, tags: [String] = [],
    movesTag: Bool = false, recipes: Bool = false,
    allowsEmpty: Bool = false, skipIfUnchanged: Bool = false, tuning: StoreTuning = StoreTuning()
  ) throws -> SnapshotOutcome {
    try SnapshotTaker(context).snapshot(
      name, message: message, tag: tag, tags: tags, movesTag: movesTag, recipes: recipes,
      allowsEmpty: allowsEmpty, skipIfUnchanged: skipIfUnchanged, tuning: tuning)
  }

  /// Checks the names of several images before the first snapshot is taken.
  /// - Throws: `ImageError` for the first name that is neither an image nor a directory.
  public func requireImages(_ names: [String]) throws {
    try SnapshotTaker(context).requireImages(names)
  }
}

/// Takes snapshots.
struct SnapshotTaker {
  let context: Context

  init(_ context: Context) { self.context = context }

  func snapshot(
    _ name: String, message: String = "", tag: String? = nil, tags: [String] = [],
    movesTag: Bool = false, recipes: Bool = false,
    allowsEmpty: Bool = false, skipIfUnchanged: Bool = false, tuning: StoreTuning = StoreTuning()
  ) throws -> SnapshotOutcome {
    let (image, new) = try DirectoryImages(context).adoptedImage(name)
    do {
      let outcome = try takeSnapshot(
        of: image, message: message, tags: [tag].compactMap(\.self) + tags, movesTag: movesTag,
        recipes: recipes, allowsEmpty: allowsEmpty, skipIfUnchanged: skipIfUnchanged, tuning: tuning
      )
      if let new { context.reporter.inform("\(new.path) is image \(image) now") }
      return outcome
    } catch {
      if new != nil { DefinitionRemover(context).withdraw(image) }
      throw error
    }
  }

  func requireImages(_ names: [String]) throws {
    for name in names {
      do {
        if DirectoryImages.isPath(name) {
          guard
            try DirectoryImages(context).directoryOwner(
              DirectoryImages(context).directoryPath(name)) == nil,
            try ImageCapturer(context).statLive(DirectoryImages(context).directoryPath(name))?.kind
              != .directory
          else { continue }
        }
        _ = try ImageResolver(context).image(named: name, mayAdd: true)
      } catch let error as ImageError {
        let isMessage = name.contains(" ")
        throw ImageError(
          error.errorCode, error.subject, error.reason,
          hint: "No snapshot was taken. "
            + (isMessage ? "For a message, write '-m \(shellQuoted(name))'" : error.hint),
          form: error.form)
      }
    }
  }

  private func takeSnapshot(
    of image: ImageName, message: String, tags: [String], movesTag: Bool, recipes: Bool,
    allowsEmpty: Bool, skipIfUnchanged: Bool, tuning: StoreTuning
  ) throws -> SnapshotOutcome {
    _ = try ImageCapturer(context).definition(of: image)
    let store = try context.store(create: true)
    let lock = try ImageLocks(context).lock(image, store, usesTree: true)
    defer { withExtendedLifetime(lock) {} }
    let definition = try ImageCapturer(context).definition(of: image)
    let directories = try DirectoryLocker(context).lockDirectories(image, definition, for: .reads)
    defer { withExtendedLifetime(directories) {} }
    for tag in tags { try store.refs.checkTag(tag, of: image, mayMove: movesTag) }
    let outcome = try commitLive(
      image, definition, allowsEmpty: allowsEmpty,
      skipIfUnchanged: try skipIfUnchanged && latestStays(image, store),
      recipes: recipes,
      message: message, command: "snapshot", tuning: tuning)
    for tag in tags {
      let number = outcome.committed.number
      let old = try store.refs.setTag(tag, of: image, to: number, moving: movesTag)
      if let old, old != number {
        context.reporter.inform("tag '\(tag)' moved from @\(old) to @\(number)")
      }
    }
    return outcome
  }

  /// Returns whether retention treats the latest snapshot of an image like one of a person. Otherwise it does
  /// not replace the snapshot that a person requests.
  func latestStays(_ image: ImageName, _ store: ObjectStore) throws -> Bool {
    try store.refs.latestReadable(of: image)?.snapshot.origin.isAutomatic != true
  }

  /// Captures the live image and commits it. The caller holds the image's lock.
  /// - Parameters:
  ///   - additional: components to capture in addition to those that the definition names.
  ///   - keys: table rows to record in addition to those of the image.
  ///   - notes: further notes of the snapshot.
  ///   - allowsEmpty: whether a state is recorded without definition and files, or one that
  ///     `EmptyStateCheck` refuses.
  ///   - change: the trees that a change brings; nil if nothing will be changed.
  ///   - before: the id of the snapshot with the state before the command's change.
  ///   - recordsChange: whether the command has changed the live image, so that `undo` must find the
  ///     snapshot.
  ///   - checking: receives the state before it is recorded, and throws if the command cannot use it.
  func commitLive(
    _ image: ImageName, _ definition: ImageDefinition, additional: [CaptureRoot] = [],
    rows keys: Set<RowKey> = [], notes: [Snapshot.Note] = [], allowsEmpty: Bool = false,
    skipIfUnchanged: Bool = false, recipes: Bool = false, change: [Entry]? = nil,
    checking: ((Snapshot) throws -> Void)? = nil, message: String, command: String,
    before: Digest? = nil, recordsChange: Bool = false,
    tuning: StoreTuning = StoreTuning()
  ) throws -> SnapshotOutcome {
    let start = monotonicSeconds()
    let store = try context.store()
    let latest = try store.refs.latestReadable(of: image)
    let session = try store.beginSession(tuning)
    let (live, candidates) = try ingestLive(
      image, definition, latest: latest, additional: additional, rows: keys, recipes: recipes,
      change: change, into: session)
    if live.capture.components.isEmpty, definition.isEmpty, !allowsEmpty {
      throw ImageError(.filesMissing, "image \(image)", "has neither a definition nor files")
    }
    context.progress.begin("syncing")
    try session.finish()
    let stored = try RecipeConverter(context).storeCandidates(candidates, live.capture.components)
    var snapshot = newSnapshot(of: image, live, notes: notes, latest: latest)
    snapshot.message = message
    snapshot.provenance =
      recordsChange
      ? ChangeRecorder(context).changeProvenance(command, before: before)
      : context.provenance(command, before: before)
    let isSame = latest.map { $0.snapshot.hasSameState(as: snapshot) } ?? false
    let committed: CommittedSnapshot
    // An incomplete state is recorded only once. Repeated records would push complete snapshots out of the
    // history.
    if isSame, skipIfUnchanged || !snapshot.isComplete, let latest {
      committed = latest
      LastCheck(store, key: context.cacheKey(image)).record()
    } else {
      try checking?(snapshot)
      if !allowsEmpty,
        let reason = try EmptyStateCheck.reason(
          live, latest: latest?.snapshot, in: store)
      {
        throw ImageError(reason, of: image, definition)
      }
      committed = try store.refs.append(snapshot)
      Interruption.announce(nil)
    }
    saveCache(image, live, base: committed.id)
    return SnapshotOutcome(
      committed: committed, sameAs: isSame ? latest?.number : nil,
      isNew: committed.number != latest?.number,
      readBytes: live.capture.readBytes, storedBytes: session.writtenBytes + stored.storedBytes,
      recipes: stored.results,
      seconds: monotonicSeconds() - start)
  }

  /// Captures the live image into a session. The caller finishes the session.
  /// - Returns: the captured image, and the packed files to store as recipes afterwards.
  func ingestLive(
    _ image: ImageName, _ definition: ImageDefinition, latest: CommittedSnapshot?,
    additional: [CaptureRoot] = [], rows keys: Set<RowKey> = [], recipes: Bool = false,
    change: [Entry]? = nil, into session: WriteSession
  ) throws -> (live: LiveImage, candidates: [RecipeCandidate]) {
    let candidates = try RecipeConverter(context).recipeCandidates(
      definition, image, latest: latest?.snapshot, additional: additional, includesNew: recipes)
    let verifiedFiles = VerifiedFiles(
      candidates.map { (ImagePath(component: $0.path), $0.verifiedFile) })
    let live = try ImageCapturer(context).captureLive(
      image, definition, latest: latest, change: change, additional: additional, rows: keys,
      verifiedFiles: verifiedFiles, into: .store(session))
    return (live, candidates)
  }

  /// Commits a capture whose session is finished.
  /// - Parameter isPermanent: whether the live image keeps this state, so that the stat cache is saved.
  func commit(
    _ image: ImageName, _ live: LiveImage, notes: [Snapshot.Note], latest: CommittedSnapshot?,
    message: String, command: String, isPermanent: Bool = true
  ) throws -> CommittedSnapshot {
    var snapshot = newSnapshot(of: image, live, notes: notes, latest: latest)
    snapshot.message = message
    snapshot.provenance = context.provenance(command)
    let committed = try context.store().refs.append(snapshot)
    if isPermanent { saveCache(image, live, base: committed.id) }
    return committed
  }

  /// Returns the snapshot of a captured image, without message and provenance.
  func newSnapshot(
    of image: ImageName, _ live: LiveImage, notes: [Snapshot.Note], latest: CommittedSnapshot?
  ) -> Snapshot {
    Snapshot(
      image: image.text, created: now(), parent: latest?.id, message: "", provenance: [],
      tables: live.tables, components: live.capture.components,
      notes: (live.notes.filter { $0.kind != .excluded } + notes).sorted {
        precedes($0.path, $1.path)
      },
      facts: latest?.snapshot.facts ?? [], entryCount: live.capture.entryCount,
      contentBytes: live.capture.contentBytes)
  }

  /// Saves the stat cache of the captured files.
  private func saveCache(_ image: ImageName, _ live: LiveImage, base: Digest) {
    guard let layout = try? context.store().layout else { return }
    live.capture.saveCache(layout, key: context.cacheKey(image), base: base, replacing: live.cache)
  }
}
