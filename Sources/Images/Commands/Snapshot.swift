// imgstore snapshot: records the state of the live image. The commands that change a live image, or need its
// state, record it with the same functions.

import Ingest
import Platform
import Store

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

/// What a snapshot may do besides recording a state that the image did not have before.
public struct SnapshotOptions: OptionSet, Sendable {
  public let rawValue: Int
  public init(rawValue: Int) { self.rawValue = rawValue }
  /// Moves tags from other snapshots. Otherwise they must be unused.
  public static let movesTags = SnapshotOptions(rawValue: 1)
  /// Stores packed files as recipes, if possible.
  public static let recipes = SnapshotOptions(rawValue: 2)
  /// Records a state whose trees are missing, empty or mostly unreadable.
  public static let allowsEmpty = SnapshotOptions(rawValue: 4)
  /// Records nothing if the image matches its latest snapshot.
  public static let skipIfUnchanged = SnapshotOptions(rawValue: 8)
}

extension Workspace {
  /// Takes a snapshot of the live image.
  /// - Parameters:
  ///   - name: the image, or a directory, which becomes an image.
  ///   - tags: tags for the snapshot.
  /// - Throws: `ImageError`, `StoreError`, `XCATError`, `SystemError`. Nothing is committed then.
  public func snapshot(
    _ name: String, message: String = "", tags: [String] = [], _ options: SnapshotOptions = [],
    tuning: StoreTuning = StoreTuning()
  ) throws -> SnapshotOutcome {
    try SnapshotTaker(context).snapshot(
      name, message: message, tags: tags, options, tuning: tuning)
  }

  /// Checks the names of several images before the first snapshot is taken.
  /// - Throws: `ImageError` for the first name that is neither an image nor a directory.
  public func requireImages(_ names: [String]) throws {
    try SnapshotTaker(context).requireImages(names)
  }
}

/// Takes snapshots.
struct SnapshotTaker: Collaborator {
  let context: Context

  func snapshot(
    _ name: String, message: String, tags: [String], _ options: SnapshotOptions,
    tuning: StoreTuning
  ) throws -> SnapshotOutcome {
    let (image, new) = try DirectoryImages(context).adoptedImage(name)
    do {
      let outcome = try SnapshotHooks(context).around(image) {
        try takeSnapshot(of: image, message: message, tags: tags, options, tuning: tuning)
      }
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
    of image: ImageName, message: String, tags: [String], _ options: SnapshotOptions,
    tuning: StoreTuning
  ) throws -> SnapshotOutcome {
    // Without a definition, no store is created.
    _ = try ImageCapturer(context).definition(of: image)
    let store = try context.store(create: true)
    let lock = try ImageLocks(context).lock(image, store, usesTree: true)
    defer { withExtendedLifetime(lock) {} }
    let definition = try ImageCapturer(context).definition(of: image)
    let directories = try DirectoryLocker(context).lockDirectories(image, definition, for: .reads)
    defer { withExtendedLifetime(directories) {} }
    let movesTags = options.contains(.movesTags)
    for tag in tags { try store.refs.checkTag(tag, of: image, mayMove: movesTags) }
    let outcome = try commitLive(
      image, CaptureScope(definition, recipes: options.contains(.recipes) ? .all : .existing),
      SnapshotRecord(
        SnapshotLabel(.snapshot, message), allowsEmpty: options.contains(.allowsEmpty),
        skipIfUnchanged: try options.contains(.skipIfUnchanged) && latestStays(image, store)),
      tuning: tuning)
    for tag in tags {
      let number = outcome.committed.number
      let old = try store.refs.setTag(tag, of: image, to: number, moving: movesTags)
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
  /// - Parameter checking: receives the state before it is recorded, and throws if the command cannot use it.
  func commitLive(
    _ image: ImageName, _ scope: CaptureScope, _ record: SnapshotRecord,
    tuning: StoreTuning = StoreTuning(), checking: ((Snapshot) throws -> Void)? = nil
  ) throws -> SnapshotOutcome {
    let start = monotonicSeconds()
    let store = try context.store()
    let latest = try store.refs.latestReadable(of: image)
    let session = try store.beginSession(tuning)
    let capturer = ImageCapturer(context)
    let live = try capturer.captureLive(image, scope, latest: latest, into: .store(session))
    if live.capture.components.isEmpty, live.definition.isEmpty, !record.allowsEmpty {
      throw ImageError(.filesMissing, "image \(image)", "has neither a definition nor files")
    }
    context.progress.begin("syncing")
    try session.finish()
    let stored = try RecipeConverter(context).storeCandidates(of: live)
    let snapshot = newSnapshot(of: image, live, latest: latest, record)
    let isSame = latest.map { $0.snapshot.hasSameState(as: snapshot) } ?? false
    let committed: CommittedSnapshot
    // An incomplete state is recorded only once. Repeated records would push complete snapshots out of the
    // history.
    if isSame, record.skipIfUnchanged || !snapshot.isComplete, let latest {
      committed = latest
      LastCheck(store, key: context.cacheKey(image)).record(context.now())
    } else {
      try checking?(snapshot)
      if !record.allowsEmpty,
        let reason = try EmptyStateCheck.reason(live, latest: latest?.snapshot, in: store)
      {
        throw ImageError(reason, of: image, live.definition)
      }
      committed = try store.refs.append(snapshot)
      Interruption.announce(nil)
    }
    capturer.saveCache(of: live, image, base: committed)
    return SnapshotOutcome(
      committed: committed, sameAs: isSame ? latest?.number : nil,
      isNew: committed.number != latest?.number,
      readBytes: live.capture.readBytes, storedBytes: session.writtenBytes + stored.storedBytes,
      recipes: stored.results,
      seconds: monotonicSeconds() - start)
  }

  /// Commits a capture whose session is finished. The live image does not keep the state, so the stat cache
  /// is not saved.
  func commit(
    _ image: ImageName, _ live: LiveImage, latest: CommittedSnapshot?, _ record: SnapshotRecord
  ) throws -> CommittedSnapshot {
    try context.store().refs.append(newSnapshot(of: image, live, latest: latest, record))
  }

  /// Returns the snapshot of a captured image.
  func newSnapshot(
    of image: ImageName, _ live: LiveImage, latest: CommittedSnapshot?, _ record: SnapshotRecord
  ) -> Snapshot {
    Snapshot(
      image: image.text, created: context.now(), parent: latest?.id, message: record.label.message,
      provenance: context.provenance(record.label),
      tables: live.tables, components: live.capture.components,
      notes: (live.notes.filter { $0.kind != .excluded } + record.notes).sorted {
        precedes($0.path, $1.path)
      },
      facts: latest?.snapshot.facts ?? [], entryCount: live.capture.entryCount,
      contentBytes: live.capture.contentBytes)
  }
}

/// What a command records with a captured state.
struct SnapshotRecord {
  let label: SnapshotLabel
  /// Notes in addition to those of the capture.
  var notes: [Snapshot.Note] = []
  /// Whether a state is recorded without definition and files, or one that `EmptyStateCheck` refuses.
  var allowsEmpty = false
  var skipIfUnchanged = false

  init(
    _ label: SnapshotLabel, notes: [Snapshot.Note] = [], allowsEmpty: Bool = false,
    skipIfUnchanged: Bool = false
  ) {
    self.label = label
    self.notes = notes
    self.allowsEmpty = allowsEmpty
    self.skipIfUnchanged = skipIfUnchanged
  }
}
