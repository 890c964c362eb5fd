// imgstore log: the snapshots of an image, including those that cannot be read.

import Store

/// A snapshot in the log of an image.
public struct LogEntry: Sendable {
  public let committed: CommittedSnapshot
  public let tags: [String]
  /// The reason of its pin; nil if it is not pinned.
  public let pin: String?
  /// Whether it has a signature. The signature was not checked.
  public let isSigned: Bool
  /// Where it came from; nil if it was taken here.
  public var pulledFrom: OriginRecord?
}

/// A snapshot whose ref is lost or cannot be read.
public struct UnreadableSnapshot: Sendable {
  public let name: SnapshotName
  /// The reason, as a clause.
  public let reason: String
  /// Whether it has no ref at all, although it was not removed.
  public let isLost: Bool

  init(name: SnapshotName, reason: String) {
    (self.name, self.reason, isLost) = (name, reason, false)
  }

  /// Creates the entry of a snapshot without a ref.
  init(lost name: SnapshotName) {
    (self.name, reason, isLost) = (name, "its ref is missing", true)
  }
}

/// The snapshots of an image.
public struct ImageHistory: Sendable {
  /// The readable snapshots, latest first.
  public let entries: [LogEntry]
  /// The snapshots that cannot be read.
  public let unreadable: [UnreadableSnapshot]
  /// The tags and pins whose files are damaged.
  public let damagedMarks: [DamagedMark]
}

extension Workspace {
  /// Returns the snapshots of an image that can be read, latest first.
  /// - Parameter limit: the maximum count, at least 1; older snapshots are not read.
  /// - Throws: `ImageError`: `snapshotNotFound` if there is none, `snapshotDamaged` if none can be read.
  public func log(_ name: String, limit: Int = .max) throws -> [LogEntry] {
    try HistoryReader(context).log(name, limit: limit)
  }

  /// Returns the snapshots of an image, latest first, including those that cannot be read.
  /// - Parameters:
  ///   - limit: the maximum count, at least 1; older snapshots are not read.
  ///   - before: lists only snapshots with smaller numbers.
  /// - Throws: `ImageError` if there is none.
  public func history(
    of name: String, limit: Int = .max, before: Int = .max
  ) throws -> ImageHistory {
    try HistoryReader(context).history(of: name, limit: limit, before: before)
  }
}

/// Reads the history of an image.
struct HistoryReader: Collaborator {
  let context: Context

  func log(_ name: String, limit: Int = .max) throws -> [LogEntry] {
    let history = try history(of: name, limit: limit)
    guard history.entries.isEmpty, let first = history.unreadable.first else {
      return history.entries
    }
    throw ImageError(
      .snapshotDamaged, "snapshot \(first.name)", first.reason,
      hint: "Run 'imgstore verify' to see what else is affected; 'imgstore repair' may help")
  }

  func history(
    of name: String, limit: Int = .max, before: Int = .max
  ) throws -> ImageHistory {
    precondition(limit > 0)
    if let remote = try RemoteReader(context).remoteName(of: name) {
      return try RemoteReader(context).history(of: name, at: remote, limit: limit, before: before)
    }
    let refs = try context.store().refs
    let (image, numbers) = try SnapshotResolver(context).findHistory(name)
    let tags = try MarkEditor(context).intactTags(of: image)
    let pins = try refs.pins(of: image)
    let signed = try SignatureChecker(context).signedNumbers(of: image.text)
    var entries: [LogEntry] = []
    var unreadable: [UnreadableSnapshot] = []
    for number in numbers where entries.count < limit && number < before {
      let committed: CommittedSnapshot
      do throws(StoreError) {
        guard let present = try refs.readIfPresent(image, number) else { continue }
        committed = present
      } catch {
        // A damaged ref affects only its own snapshot, not the history.
        guard error.kind == .damaged else { throw error }
        unreadable.append(
          UnreadableSnapshot(
            name: SnapshotName(image: image, number: number), reason: error.reason))
        continue
      }
      entries.append(
        LogEntry(
          committed: committed, tags: tags.filter { $0.value == number }.keys.sorted(),
          pin: pins[number], isSigned: signed.contains(number),
          pulledFrom: try PulledSnapshotCheck(context).origin(of: committed)))
    }
    for number in try refs.lostNumbers(of: image) {
      unreadable.append(
        UnreadableSnapshot(lost: SnapshotName(image: image, number: number)))
    }
    // Another process may have removed all snapshots since they were listed.
    if entries.isEmpty, unreadable.isEmpty, before == .max {
      throw SnapshotResolver(context).noSnapshot(of: image, "at all")
    }
    return ImageHistory(
      entries: entries, unreadable: unreadable, damagedMarks: try refs.damagedMarks(of: image))
  }
}
