// imgstore status and imgstore diff: compares the live image, or a snapshot, with a snapshot.

import Ingest
import Platform
import Store
import XCAT

/// The comparison of the live image with its latest snapshot.
public struct StatusOutcome: Sendable {
  public let snapshot: CommittedSnapshot
  /// The latest snapshot that a person took or reverted to, if `snapshot` is a later, automatic one.
  public let baseline: CommittedSnapshot?
  public let diff: ImageDiff
  public let notes: [Snapshot.Note]
  /// The number of live entries.
  public let entryCount: UInt64
  /// The bytes of content that had to be read because the stat cache did not confirm them.
  public let readBytes: UInt64
  /// The unfinished change of the image; nil if there is none.
  public let unfinished: UnfinishedChange?
  public let seconds: Double
  /// The current exclude patterns that match entries of the tree, with the number of entries for each.
  public let excluded: [(pattern: String, entries: Int)]
  /// The exclude patterns of the snapshot that are no longer in effect. The number is that of the entries
  /// that the snapshot lacks and the next one will have.
  public let excludedBefore: [(pattern: String, entries: Int)]
  /// The root tree of the snapshot that does not exist now; nil if it exists.
  public let missingTree: [UInt8]?
  /// Whether there is no difference.
  public var isClean: Bool { diff.isEmpty }
  /// The entries that could not be compared because they cannot be read.
  public var uncompared: [Snapshot.Note] { notes.filter(\.isProblem) }
}

extension Workspace {
  /// Compares the live image with its latest snapshot.
  /// - Throws: `ImageError` (`snapshotNotFound`) if the image has no snapshot; `StoreError`,
  ///   `XCATError`, `SystemError`.
  public func status(_ name: String) throws -> StatusOutcome {
    try StatusReader(context).status(name)
  }

  /// Compares two snapshots, or a snapshot with the live image.
  /// - Parameter new: nil for the live image.
  public func diff(_ old: String, _ new: String?) throws -> ImageDiff {
    try StatusReader(context).diff(old, new)
  }
}

/// Compares live images with snapshots.
struct StatusReader: Collaborator {
  let context: Context

  func status(_ name: String) throws -> StatusOutcome {
    let start = monotonicSeconds()
    let snapshot = try SnapshotResolver(context).findLatest(name)
    let unfinished = try ChangeJournal(context).unfinished(of: snapshot.snapshot.image).first
    if let unfinished, unfinished.isRunning {
      context.reporter.warn("\(unfinished.description) is in progress")
    }
    HostRuns(context).warn(about: try ImageName(snapshot.snapshot.image), isRecording: false)
    let (diff, live) = try diffLive(snapshot)
    let (excluded, before) = try splitExcluded(live, image: snapshot.snapshot.image)
    return StatusOutcome(
      snapshot: snapshot, baseline: try BaselineLookup(context).baseline(before: snapshot),
      diff: diff,
      notes: live.notes.filter { $0.kind != .excluded },
      entryCount: live.capture.entryCount,
      readBytes: live.capture.readBytes, unfinished: unfinished,
      seconds: monotonicSeconds() - start,
      excluded: byPattern(excluded), excludedBefore: byPattern(before),
      missingTree: live.capture.components.rootTree == nil
        ? snapshot.snapshot.components.rootTree?.path : nil)
  }

  /// Splits the notes about excluded entries: those that the current patterns of the image exclude, and those
  /// that only patterns of the snapshot exclude.
  private func splitExcluded(
    _ live: LiveImage, image: String
  ) throws -> (now: [Snapshot.Note], before: [Snapshot.Note]) {
    let notes = live.notes.filter { $0.kind == .excluded }
    guard let top = live.capture.components.rootTree?.path, !notes.isEmpty else {
      return (notes, [])
    }
    let lists = try DirectoryExcludes(context).excludes(of: ImageName(image), live.definition)
    var split: (now: [Snapshot.Note], before: [Snapshot.Note]) = ([], [])
    for note in notes {
      let path = ImagePath(note.path, in: top)?.path
      let isNow = [false, true].contains { isDirectory in
        path.map { lists.match($0, isDirectory: isDirectory) != nil } ?? false
      }
      if isNow { split.now.append(note) } else { split.before.append(note) }
    }
    return split
  }

  /// Returns the number of excluded entries for each pattern, sorted by pattern.
  private func byPattern(_ notes: [Snapshot.Note]) -> [(pattern: String, entries: Int)] {
    Dictionary(grouping: notes, by: \.detail).map { ($0.key, $0.value.count) }
      .sorted { $0.0 < $1.0 }
  }

  func diff(_ old: String, _ new: String?) throws -> ImageDiff {
    try ComparisonReader(context).comparison(old, new).diff
  }

  /// Returns the state that a snapshot records.
  func state(_ snapshot: CommittedSnapshot, _ store: ObjectStore) -> ImageState {
    ImageState(
      name: snapshot.name, definition: snapshot.snapshot.definition,
      rows: snapshot.snapshot.keptRows, components: snapshot.snapshot.components, source: store,
      notes: snapshot.snapshot.notes)
  }

  /// Returns the differences of the live image from a snapshot.
  func diffLive(_ snapshot: CommittedSnapshot) throws -> (diff: ImageDiff, live: LiveImage) {
    let (diff, live, _) = try lookAtLive(snapshot)
    return (diff, live)
  }

  /// Captures the live image without storing it, and compares it with a snapshot.
  func lookAtLive(
    _ snapshot: CommittedSnapshot
  ) throws -> (diff: ImageDiff, live: LiveImage, source: MemoryObjects) {
    let image = try ImageName(snapshot.snapshot.image)
    let store = try context.store()
    let memory = MemoryObjects(over: store)
    let definition = try context.tables().definition(of: image.text) ?? ImageDefinition()
    let snapshot = snapshot.relocated(to: definition)
    var scope = CaptureScope(
      definition, additional: snapshot.snapshot.requests, rows: snapshot.snapshot.keptRows.keys)
    scope.target = snapshot.snapshot
    let live = try ImageCapturer(context).captureLive(
      image, scope, latest: snapshot, into: .memory(memory))
    return (
      try ImageComparer(context).diff(state(snapshot, store), live.state(from: memory)), live,
      memory
    )
  }
}
