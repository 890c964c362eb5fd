// imgstore snapshot: the live image becomes a snapshot.

import Codec
import Ingest
import Platform
import Store
import XCAT

/// What a snapshot did.
public struct SnapshotOutcome: Sendable {
  public let committed: CommittedSnapshot
  /// The number of the earlier snapshot that has the very same state.
  public let sameAs: Int?
  /// A snapshot was recorded; false where an incomplete state equals the latest snapshot.
  public let isNew: Bool
  public let readBytes: UInt64
  public let storedBytes: UInt64
  /// Packed files that were looked into for recipes.
  public let recipes: [RecipeResult]
  public let seconds: Double
}

extension Workspace {
  /// Takes a snapshot of the live image.
  /// - Parameters:
  ///   - tag: a name for it; must be free.
  ///   - tags: more names.
  ///   - movesTag: the name may be another snapshot's, and becomes this one's.
  ///   - allowsEmpty: also records a state whose trees are gone, empty or mostly unreadable.
  ///   - skipIfUnchanged: nothing is recorded where the image is as its latest snapshot says.
  ///   - recipes: whether packed files are stored as recipes, where that can be done.
  /// - Throws: `ImageError`, `StoreError`, `XCATError`, `SystemError`. Nothing is committed then.
  public func snapshot(
    _ name: String, message: String = "", tag: String? = nil, tags: [String] = [],
    movesTag: Bool = false, recipes: Bool = false,
    allowsEmpty: Bool = false, skipIfUnchanged: Bool = false, tuning: StoreTuning = StoreTuning()
  ) throws -> SnapshotOutcome {
    let (image, new) = try adoptedImage(name)
    do {
      let outcome = try takeSnapshot(
        of: image, message: message, tags: [tag].compactMap(\.self) + tags, movesTag: movesTag,
        recipes: recipes, allowsEmpty: allowsEmpty, skipIfUnchanged: skipIfUnchanged, tuning: tuning
      )
      if let new { mention("\(new.path) is image \(image) now") }
      return outcome
    } catch {
      if new != nil { withdraw(image) }
      throw error
    }
  }

  private func takeSnapshot(
    of image: ImageName, message: String, tags: [String], movesTag: Bool, recipes: Bool,
    allowsEmpty: Bool, skipIfUnchanged: Bool, tuning: StoreTuning
  ) throws -> SnapshotOutcome {
    _ = try definition(of: image)
    let store = try store(create: true)
    let lock = try lock(image, store)
    defer { withExtendedLifetime(lock) {} }
    let definition = try definition(of: image)
    let folders = try lockFolders(image, definition, for: .reads)
    defer { withExtendedLifetime(folders) {} }
    for tag in tags { try store.refs.checkTag(tag, of: image, mayMove: movesTag) }
    let outcome = try commitLive(
      image, definition, allowsEmpty: allowsEmpty, skipIfUnchanged: skipIfUnchanged,
      recipes: recipes,
      message: message, command: "snapshot", tuning: tuning)
    for tag in tags {
      let number = outcome.committed.number
      let old = try store.refs.setTag(tag, of: image, to: number, moving: movesTag)
      if let old, old != number { mention("tag '\(tag)' moved from @\(old) to @\(number)") }
    }
    return outcome
  }

  /// Captures and commits; the image's lock is held.
  /// - Parameters:
  ///   - also: pieces to keep beside those that the definition names.
  ///   - keys: rows to keep beside those that the image has.
  ///   - notes: what else the snapshot says.
  ///   - allowsEmpty: also records a state without definition and files, and one that `EmptyStateCheck`
  ///     refuses.
  ///   - change: the trees that a change brings; nil where nothing will be changed.
  ///   - recordsChange: the command has changed the live image: the snapshot says so.
  ///   - checking: is given a state before it is recorded, and throws where it does not serve the command.
  func commitLive(
    _ image: ImageName, _ definition: ImageDefinition, also: [CaptureRoot] = [],
    rows keys: Set<RowKey> = [], notes: [Snapshot.Note] = [], allowsEmpty: Bool = false,
    skipIfUnchanged: Bool = false, recipes: Bool = false, change: [Entry]? = nil,
    checking: ((Snapshot) throws -> Void)? = nil, message: String, command: String,
    before: Digest? = nil, recordsChange: Bool = false,
    tuning: StoreTuning = StoreTuning()
  ) throws -> SnapshotOutcome {
    let start = monotonicSeconds()
    let store = try store()
    let latest = try store.refs.latestReadable(of: image)
    let session = try store.beginSession(tuning)
    let (live, candidates) = try ingestLive(
      image, definition, latest: latest, also: also, rows: keys, recipes: recipes,
      change: change, into: session)
    if live.capture.pieces.isEmpty, definition.isEmpty, !allowsEmpty {
      throw ImageError("image \(image)", "has neither a definition nor files")
    }
    progress.begin("syncing")
    try session.finish()
    let settled = try settle(candidates, live.capture.pieces)
    var snapshot = newSnapshot(of: image, live, notes: notes, latest: latest)
    snapshot.message = message
    snapshot.provenance =
      recordsChange
      ? changeProvenance(command, before: before) : provenance(command, before: before)
    let isSame = latest.map { $0.snapshot.hasSameState(as: snapshot) } ?? false
    let committed: CommittedSnapshot
    // An incomplete state is recorded once: repeated, it would only push complete ones out of the history.
    if isSame, skipIfUnchanged || !snapshot.isComplete, let latest {
      committed = latest
      LastCheck(store, key: cacheKey(image)).record()
    } else {
      try checking?(snapshot)
      if !allowsEmpty,
        let finding = try EmptyStateCheck.finding(
          live, latest: latest?.snapshot, in: store)
      {
        throw ImageError(finding, of: image, definition)
      }
      committed = try store.refs.append(snapshot)
      Interruption.announce(nil)
    }
    saveCache(image, live, base: committed.id)
    return SnapshotOutcome(
      committed: committed, sameAs: isSame ? latest?.number : nil,
      isNew: committed.number != latest?.number,
      readBytes: live.capture.readBytes, storedBytes: session.writtenBytes + settled.storedBytes,
      recipes: settled.results,
      seconds: monotonicSeconds() - start)
  }

  /// Captures into a session that is still to be finished.
  /// - Returns: what was captured, and the packed files that are to be settled as recipes then.
  func ingestLive(
    _ image: ImageName, _ definition: ImageDefinition, latest: CommittedSnapshot?,
    also: [CaptureRoot] = [], rows keys: Set<RowKey> = [], recipes: Bool = false,
    change: [Entry]? = nil, into session: WriteSession
  ) throws -> (live: LiveImage, candidates: [RecipeCandidate]) {
    let candidates = try recipeCandidates(
      definition, image, latest: latest?.snapshot, also: also, includesNew: recipes)
    let verifiedFiles = Dictionary(
      candidates.map { ($0.path, $0.verifiedFiles) }, uniquingKeysWith: { first, _ in first })
    let live = try captureLive(
      image, definition, latest: latest, change: change, also: also, rows: keys,
      verifiedFiles: verifiedFiles, into: .store(session))
    return (live, candidates)
  }

  /// Commits what a session has captured and finished.
  /// - Parameter isPermanent: the live image stays so: its files are remembered as they are.
  func commit(
    _ image: ImageName, _ live: LiveImage, notes: [Snapshot.Note], latest: CommittedSnapshot?,
    message: String, command: String, isPermanent: Bool = true
  ) throws -> CommittedSnapshot {
    var snapshot = newSnapshot(of: image, live, notes: notes, latest: latest)
    snapshot.message = message
    snapshot.provenance = provenance(command)
    let committed = try store().refs.append(snapshot)
    if isPermanent { saveCache(image, live, base: committed.id) }
    return committed
  }

  func newSnapshot(
    of image: ImageName, _ live: LiveImage, notes: [Snapshot.Note], latest: CommittedSnapshot?
  ) -> Snapshot {
    Snapshot(
      image: image.text, created: now(), parent: latest?.id, message: "", provenance: [],
      tables: live.tables, pieces: live.capture.pieces,
      notes: (live.notes.filter { $0.kind != .excluded } + notes).sorted {
        precedes($0.path, $1.path)
      },
      facts: latest?.snapshot.facts ?? [], entryCount: live.capture.entryCount,
      contentBytes: live.capture.contentBytes)
  }

  private func saveCache(_ image: ImageName, _ live: LiveImage, base: Digest) {
    guard let layout = try? store().layout else { return }
    live.capture.saveCache(layout, key: cacheKey(image), base: base, replacing: live.cache)
  }
}
