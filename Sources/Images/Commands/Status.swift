// imgstore status and imgstore diff: the live image, or a snapshot, against a snapshot.

import Ingest
import Platform
import Store
import XCAT

/// Whether the live image is what its latest snapshot says.
public struct StatusOutcome: Sendable {
  public let snapshot: CommittedSnapshot
  public let diff: ImageDiff
  public let notes: [Snapshot.Note]
  public let entryCount: UInt64
  /// Bytes whose content had to be read, because the stat cache did not vouch for them.
  public let readBytes: UInt64
  /// A change of the image that was begun and has not ended.
  public let unfinished: UnfinishedChange?
  public let seconds: Double
  /// The patterns that leave something out of the tree now, and how many entries each.
  public let excluded: [(pattern: String, entries: Int)]
  /// The patterns of the snapshot that count no more: how many entries, which the snapshot has not, the next
  /// one will have.
  public let excludedBefore: [(pattern: String, entries: Int)]
  public var isClean: Bool { diff.isEmpty }
  /// Entries that could not be compared, because they cannot be read.
  public var uncompared: [Snapshot.Note] { notes.filter(\.isProblem) }
}

extension Workspace {
  /// Compares the live image with its latest snapshot.
  public func status(_ name: String) throws -> StatusOutcome {
    let start = monotonicSeconds()
    let snapshot = try findLatest(name)
    let unfinished = try unfinished(of: snapshot.snapshot.image).first
    if let unfinished, unfinished.isRunning {
      tell("\(unfinished.words) is being made right now")
    }
    let (diff, live) = try diffLive(snapshot)
    let (excluded, before) = try splitExcluded(live, image: snapshot.snapshot.image)
    return StatusOutcome(
      snapshot: snapshot, diff: diff, notes: live.notes.filter { $0.kind != .excluded },
      entryCount: live.capture.entryCount,
      readBytes: live.capture.readBytes, unfinished: unfinished,
      seconds: monotonicSeconds() - start,
      excluded: byPattern(excluded), excludedBefore: byPattern(before))
  }

  /// What is left out: by the image's patterns of now, and only by those of the snapshot.
  private func splitExcluded(
    _ live: LiveImage, image: String
  ) throws -> (now: [Snapshot.Note], before: [Snapshot.Note]) {
    let notes = live.notes.filter { $0.kind == .excluded }
    guard let top = live.capture.pieces.rootTree?.path, !notes.isEmpty else { return (notes, []) }
    let lists = try excludes(of: ImageName(image), live.definition)
    var split: (now: [Snapshot.Note], before: [Snapshot.Note]) = ([], [])
    for note in notes {
      let path = Array(note.path.dropFirst(top.count + 1))
      let isNow = [false, true].contains { lists.match(path, isDirectory: $0) != nil }
      if isNow { split.now.append(note) } else { split.before.append(note) }
    }
    return split
  }

  private func byPattern(_ notes: [Snapshot.Note]) -> [(pattern: String, entries: Int)] {
    Dictionary(grouping: notes, by: \.detail).map { ($0.key, $0.value.count) }
      .sorted { $0.0 < $1.0 }
  }

  /// Compares two snapshots, or a snapshot with the live image.
  /// - Parameter new: nil for the live image.
  public func diff(_ old: String, _ new: String?) throws -> ImageDiff {
    try comparison(old, new).diff
  }

  func state(_ snapshot: CommittedSnapshot, _ store: ObjectStore) -> ImageState {
    ImageState(
      name: snapshot.name, definition: snapshot.snapshot.definition,
      rows: snapshot.snapshot.keptRows, pieces: snapshot.snapshot.pieces, source: store,
      notes: snapshot.snapshot.notes)
  }

  /// What a revert to the snapshot would undo.
  /// - Parameter verifiedFiles: files that were written just now.
  func diffLive(
    _ snapshot: CommittedSnapshot, verifiedFiles: [[UInt8]: VerifiedFile] = [:]
  ) throws -> (diff: ImageDiff, live: LiveImage) {
    let (diff, live, _) = try lookAtLive(snapshot, verifiedFiles: verifiedFiles)
    return (diff, live)
  }

  /// Captures the live image without storing it, and compares.
  /// - Parameters:
  ///   - change: the trees that a change brings, where this is its proof; nil where nothing was changed.
  ///   - verifiedFiles: files that were written just now.
  func lookAtLive(
    _ snapshot: CommittedSnapshot, change: [Entry]? = nil,
    verifiedFiles: [[UInt8]: VerifiedFile] = [:]
  ) throws -> (diff: ImageDiff, live: LiveImage, source: MemoryObjects) {
    let image = try ImageName(snapshot.snapshot.image)
    let store = try store()
    let memory = MemoryObjects(over: store)
    let definition = try tables().definition(of: image.text) ?? ImageDefinition()
    let snapshot = snapshot.relocated(to: definition)
    let live = try captureLive(
      image, definition, latest: snapshot, target: snapshot.snapshot, change: change,
      also: snapshot.snapshot.requests,
      rows: snapshot.snapshot.keptRows.keys, verifiedFiles: verifiedFiles, into: .memory(memory))
    return (try diff(state(snapshot, store), live.state(from: memory)), live, memory)
  }
}
