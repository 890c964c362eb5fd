// imgstore define, images, log, verify, reindex: the small verbs.

import Platform
import Store
import XCAT

/// An image, as a list shows it.
public struct ImageSummary: Sendable {
  public let name: String
  public let isDefined: Bool
  public let provisioning: String
  /// The directory that the image is; nil for an osimage of xCAT's.
  public let directory: String?
  public let snapshots: Int
  /// The latest snapshot that can be read.
  public let latest: CommittedSnapshot?
  /// When the image was last recorded, or found unchanged by `snapshot --if-changed`.
  public let lastChecked: Timestamp?
  /// Later snapshots, which cannot be read.
  public let unreadable: [UnreadableSnapshot]
  /// A change of the image that was begun and has not ended.
  public let unfinished: UnfinishedChange?
}

/// A snapshot, as a log shows it.
public struct LogEntry: Sendable {
  public let committed: CommittedSnapshot
  public let tags: [String]
  /// Why it is pinned; nil where it is not.
  public let pin: String?
  /// It has a signature, which was not checked.
  public let isSigned: Bool
}

/// A snapshot whose ref is lost or cannot be read.
public struct UnreadableSnapshot: Sendable {
  public let name: SnapshotName
  public let finding: String
}

/// The snapshots of an image.
public struct ImageHistory: Sendable {
  /// The readable snapshots, latest first.
  public let entries: [LogEntry]
  /// The snapshots between them that cannot be read.
  public let unreadable: [UnreadableSnapshot]
}

extension Workspace {
  /// Sets attributes of an image in xCAT's tables, making the image where it is new.
  /// - Parameter assignments: "attr=value"; an empty value unsets.
  /// - Returns: the definition as it is now.
  public func define(_ name: String, _ assignments: [String]) throws -> ImageDefinition {
    let image = try ImageName(name)
    let lock = try lock(image, try store(create: true))
    defer { withExtendedLifetime(lock) {} }
    let tables = try tables()
    let old = try tables.definition(of: image.text)
    try requirePlain(image, tables)
    guard old != nil || !assignments.isEmpty else {
      throw ImageError(
        .notFound, "image \(image)", "is not defined",
        advice: "Give attributes to define it; 'imgstore images' lists what there is")
    }
    var definition = old ?? ImageDefinition(osimage: ["imagetype": "linux"])
    for assignment in assignments {
      guard let equals = assignment.firstIndex(of: "="), equals > assignment.startIndex else {
        throw ImageError(
          .usage, "argument '\(assignment)'", "is not of the form attribute=value",
          advice: "Write, for example, rootimgdir=/install/netboot/…")
      }
      let value = String(assignment[assignment.index(after: equals)...])
      guard !value.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) else {
        throw ImageError(
          .usage, "argument '\(assignment)'",
          "holds a control character, which xCAT's tables cannot carry")
      }
      try definition.set(String(assignment[..<equals]), value)
    }
    if definition != old {
      let changes = definition.rowChanges(of: image.text)
      tellUnsafe(changes, known: old)
      try applyRows(changes)
    }
    return definition
  }

  /// Returns the names of all defined images, for commands that process each of them.
  /// - Throws: `ImageError` (`notFound`) if the store is missing: its list of directories is missing, too, and
  ///   its disk may not be mounted.
  public func definedImages() throws -> [String] {
    try requireStore()
    return try images().filter(\.isDefined).map(\.name)
  }

  /// All images that are defined or have snapshots.
  public func images() throws -> [ImageSummary] {
    let defined = try tables().definitions()
    guard let store = try storeIfPresent() else {
      return defined.keys.sorted().map { name in
        ImageSummary(
          name: name, isDefined: true, provisioning: defined[name]?.provisioning ?? "",
          directory: defined[name]?.directoryPath?.text, snapshots: 0, latest: nil,
          lastChecked: nil, unreadable: [], unfinished: nil)
      }
    }
    let histories = Dictionary(
      uniqueKeysWithValues: try store.refs.histories().map { ($0.image.text, $0.numbers) })
    let unfinished = try readableUnfinished()
    return try Set(histories.keys).union(defined.keys).sorted().map { name in
      let image = try ImageName(name)
      let numbers = histories[name] ?? []
      let latest = try store.refs.latestReadable(of: image, among: numbers)
      let created = latest?.snapshot.created
      let checked = LastCheck(store, key: cacheKey(image)).time
      return ImageSummary(
        name: name, isDefined: defined[name] != nil,
        provisioning: defined[name]?.provisioning ?? "",
        directory: defined[name]?.directoryPath?.text, snapshots: numbers.count,
        latest: latest,
        lastChecked: created.map { max($0, checked ?? $0) },
        unreadable: numbers.filter { $0 > latest?.number ?? 0 }.reversed().map {
          UnreadableSnapshot(
            name: SnapshotName(image: image, number: $0), finding: "its ref cannot be read")
        },
        unfinished: unfinished.first { $0.image == name })
    }
  }

  /// The changes that have not ended; a journal that cannot be read is named, and stops no list.
  private func readableUnfinished() throws -> [UnfinishedChange] {
    try store().journals.images().flatMap { image in
      do {
        return try unfinished(of: image.text)
      } catch let error as StoreError where error.kind == .damaged {
        tell(error.statement)
        return []
      }
    }
  }

  /// Returns the snapshots of an image that can be read, latest first.
  /// - Parameter limit: the maximum count, at least 1; older snapshots are not read.
  /// - Throws: `ImageError`: `notFound` if there is none, `damaged` if none can be read.
  public func log(_ name: String, limit: Int = .max) throws -> [LogEntry] {
    let history = try history(of: name, limit: limit)
    guard history.entries.isEmpty, let first = history.unreadable.first else {
      return history.entries
    }
    throw ImageError(
      .damaged, "snapshot \(first.name)", first.finding,
      advice: "'imgstore verify' says what else is affected, and 'imgstore repair' may help")
  }

  /// Returns the snapshots of an image, latest first, including those that cannot be read.
  /// - Parameter limit: the maximum count, at least 1; older snapshots are not read.
  /// - Throws: `ImageError` if there is none.
  public func history(of name: String, limit: Int = .max) throws -> ImageHistory {
    precondition(limit > 0)
    let refs = try store().refs
    let (image, numbers) = try findHistory(name)
    let tags = try refs.tags(of: image)
    let pins = try refs.pins(of: image)
    let signed = try signedNumbers(of: image.text)
    var entries: [LogEntry] = []
    var unreadable: [UnreadableSnapshot] = []
    for number in numbers where entries.count < limit {
      let committed: CommittedSnapshot
      do throws(StoreError) {
        guard let present = try refs.readIfPresent(image, number) else { continue }
        committed = present
      } catch {
        // A damaged ref costs its own snapshot, not the history.
        guard error.kind == .damaged else { throw error }
        unreadable.append(
          UnreadableSnapshot(
            name: SnapshotName(image: image, number: number), finding: error.finding))
        continue
      }
      entries.append(
        LogEntry(
          committed: committed, tags: tags.filter { $0.value == number }.keys.sorted(),
          pin: pins[number], isSigned: signed.contains(number)))
    }
    for number in try refs.lostNumbers(of: image) {
      unreadable.append(
        UnreadableSnapshot(
          name: SnapshotName(image: image, number: number), finding: "its ref is missing"))
    }
    // Between listing and reading, another process may have removed them all.
    if entries.isEmpty, unreadable.isEmpty { throw noSnapshot(of: image, "at all") }
    return ImageHistory(entries: entries, unreadable: unreadable)
  }

  /// Tags of one snapshot.
  public func tags(of snapshot: CommittedSnapshot) throws -> [String] {
    try store().refs.tags(of: try ImageName(snapshot.snapshot.image))
      .filter { $0.value == snapshot.number }.keys.sorted()
  }

  public func verify(deep: Bool) throws -> VerifyReport { try verify(VerifyRequest(deep: deep)) }

  /// Checks the store, and that the snapshots which changes under way need are there.
  public func verify(_ request: VerifyRequest) throws -> VerifyReport {
    let store = try store()
    var report = try store.verify(request, progress: progress)
    report.problems += try journalProblems()
    return report
  }

  /// What is wrong with the journals of changes under way.
  func journalProblems() throws -> [VerifyReport.Problem] {
    let store = try store()
    var problems: [VerifyReport.Problem] = []
    for image in try store.journals.images() {
      do {
        guard let journal = try journal(of: image) else { continue }
        // An import's journal is written before the ref of its target.
        let needed = [journal.before, journal.operation == .revert ? journal.target : nil]
        for id in needed.compactMap(\.self) where try snapshot(id, of: image) == nil {
          problems.append(
            VerifyReport.Problem(
              object: "the journal of \(image)",
              finding: "needs snapshot \(id.shortHex), which has no ref"))
        }
      } catch let error as StoreError where error.kind == .damaged {
        problems.append(
          VerifyReport.Problem(object: error.object, finding: error.finding))
      }
    }
    return problems
  }

  /// Makes the index anew from the packs.
  public func reindex() throws -> (packs: Int, objects: Int, storedBytes: UInt64) {
    let store = try store()
    try store.reindex()
    return try store.totals()
  }
}
