// Changes of live images that were begun and not ended: who is told, and what may happen meanwhile.
//
// 1. The journal is on disk before the first step and goes when all that the last has done is on disk:
//    whatever comes in between, a crash, a full disk, a pulled plug, the next command finds it.
// 2. While an image has a journal, no verb changes the image or its history but `resume`.
// 3. A journal that cannot be read is an error, never a guess.

import Apply
import Codec
import Platform
import Store

/// A change of a live image that has not ended.
public struct UnfinishedChange: Sendable {
  public let image: String
  public let operation: Journal.Operation
  /// The command that began it: "revert", "undo".
  public let command: String
  public let started: Timestamp
  /// Who began it: "root (alice)"; nil of a journal that does not say.
  public let user: String?
  /// Where it leads and where it came from, "compute@3"; nil where the store has not that snapshot.
  public let target: String?
  public let before: String?
  /// A process is at work on it now.
  public let isRunning: Bool

  /// "a revert to compute@3".
  public var words: String {
    switch operation {
    case .revert: (command == "undo" ? "an undo" : "a revert") + (target.map { " to \($0)" } ?? "")
    case .importing: "an import" + (target.map { " (\($0))" } ?? "")
    case .copy: "a copy" + (target.map { " (\($0))" } ?? "")
    case .packing: "a change of the tree for nodes" + (target.map { " (\($0))" } ?? "")
    }
  }

  /// "a revert to compute@3 was begun 2026-11-28 12:30:00 by root".
  public var account: String {
    "\(words) was begun \(localTime(started.seconds, "%Y-%m-%d %H:%M:%S"))"
      + (user.map { " by \(printable($0.utf8))" } ?? "")
  }

  /// What to do about it.
  public var advice: String {
    "'imgstore resume \(image)' completes it"
      + (before.map { ", 'imgstore resume \(image) --back' returns to \($0)" } ?? "")
  }
}

/// A change that a signal stopped before anything live was changed. What it had built is removed.
struct CancelledChangeError: Error {
  let cause: InterruptedError
}

/// An error in the midst of a change, and how to go on.
struct InterruptedChangeError: ExplainedError {
  let cause: any Error
  let advice: String
  private var explained: (any ExplainedError)? { cause as? any ExplainedError }
  var object: String { explained?.object ?? "the change" }
  var finding: String { explained?.finding ?? "\(cause)" }
  var isSentence: Bool { explained?.isSentence ?? false }
  var errorCode: ErrorCode { .unfinished }

  init(_ cause: any Error, _ change: UnfinishedChange) {
    self.cause = cause
    let own = (cause as? any ExplainedError)?.advice ?? ""
    advice =
      (own.isEmpty ? "" : own + ". ")
      + "The image \(change.image) is half changed: \(change.advice)"
  }
}

extension Workspace {
  /// The journal of an image; nil where no change is under way.
  /// - Throws: `StoreError` where it cannot be read.
  func journal(of image: ImageName) throws -> Journal? {
    guard let bytes = try store().journals.read(image) else { return nil }
    let object = "the journal of \(image)"
    do throws(CodecError) {
      let journal = try Journal.decode(bytes)
      guard journal.image == image.text else {
        throw .corrupt("it is that of an image \(printable(journal.image.utf8))")
      }
      return journal
    } catch {
      throw StoreError(
        .damaged, object,
        "a change of the image was begun and not ended, and cannot be gone on with: \(error)",
        advice: "'imgstore diff \(image)@N' shows how the live image differs from a snapshot; then "
          + "'imgstore resume \(image) --abandon' removes the journal, and 'imgstore revert' goes "
          + "to any snapshot")
    }
  }

  /// What is known of a change that was not ended.
  func unfinished(_ image: ImageName, _ journal: Journal) throws -> UnfinishedChange {
    UnfinishedChange(
      image: image.text, operation: journal.operation, command: journal.command,
      started: journal.started, user: journal.values(Journal.userKey).first,
      target: try snapshot(journal.target, of: image)?.name,
      before: try journal.before.flatMap { try snapshot($0, of: image)?.name },
      isRunning: try store().isBusy(image))
  }

  /// The changes that have not ended, of all images or of one.
  public func unfinished(of name: String? = nil) throws -> [UnfinishedChange] {
    let images: [ImageName]
    do {
      images = try store().journals.images()
    } catch let error as StoreError where error.kind == .notFound {
      return []
    }
    return try images.filter { name == nil || $0.text == name }.compactMap { image in
      try journal(of: image).map { try unfinished(image, $0) }
    }
  }

  /// The snapshots that changes under way lead to or came from: no policy may forget them, and what
  /// they hold is in use.
  /// - Throws: `StoreError` where a journal cannot be read: then nobody knows what is in use.
  public func journalledSnapshots() throws -> Set<Digest> {
    var pinned: Set<Digest> = []
    for image in try store().journals.images() {
      guard let journal = try journal(of: image) else { continue }
      pinned.insert(journal.target)
      if let before = journal.before { pinned.insert(before) }
    }
    return pinned
  }

  /// Says that a change of the image has not ended.
  func warnAboutUnfinishedChange(_ image: ImageName) throws {
    guard let journal = try journal(of: image) else { return }
    let change = try unfinished(image, journal)
    tell(
      change.isRunning
        ? "\(change.words) is being made right now"
        : "\(change.account) and has not ended: \(change.advice)")
  }

  /// - Throws: `ImageError` where a change was begun and not ended.
  func requireNothingUnfinished(_ image: ImageName) throws {
    guard let journal = try journal(of: image) else { return }
    let change = try unfinished(image, journal)
    throw ImageError(
      .unfinished, "image \(image)", "is half changed: \(change.account) and has not ended",
      advice: change.advice)
  }

  /// A snapshot of an image by its id; the latest of that id.
  func snapshot(_ id: Digest, of image: ImageName) throws -> CommittedSnapshot? {
    let refs = try store().refs
    for number in try refs.numbers(of: image).reversed() {
      if let found = try? refs.read(image, number), found.id == id { return found }
    }
    return nil
  }

  /// Ends a change.
  func end(_ image: ImageName, _ syncs: BackgroundSync) throws {
    try settle(syncs)
    try store().journals.remove(image)
  }

  /// Runs the steps of a change, from the first to its proof and its ref, with the journal on disk.
  /// - Throws: `ImageError` (`interrupted`) where a signal came before anything was changed; else what `body`
  ///   throws, with advice on how to go on.
  func withJournal<R>(
    _ image: ImageName, _ journal: Journal, _ body: (BackgroundSync) throws -> R
  ) throws -> R {
    let store = try store()
    var journal = journal
    journal.options.append(.init(Journal.userKey, CallerIdentity.text(fileSystem)))
    // The signal may have come during the change of another image.
    do { try Interruption.check() } catch { throw interrupted(image, error) }
    let highest = try store.refs.numbers(of: image).last ?? 0
    // From here on a signal is a request: a journal never stays behind unexplained.
    let result = try Interruption.duringChange(Workspace.lastWords(of: image, journal)) {
      do {
        try store.journals.write(journal.encode(), of: image)
      } catch {
        // Nothing has been changed; but a journal that stays must be told of.
        if (try? store.journals.remove(image)) != nil { throw error }
        throw halfDone(error, image, journal)
      }
      do {
        let syncs = BackgroundSync(fileSystem)
        let result = try body(syncs)
        try end(image, syncs)
        return result
      } catch let untouched as CancelledChangeError {
        do { try takeBack(image, journal, above: highest) } catch {
          throw halfDone(error, image, journal)
        }
        throw interrupted(image, untouched.cause)
      } catch {
        throw halfDone(error, image, journal)
      }
    }
    Interruption.announce("interrupted: the change of image \(image) was complete")
    return result
  }

  /// What is said where a second signal ends a change at once.
  static func lastWords(of image: ImageName, _ journal: Journal) -> String {
    "interrupted: image \(image) is half changed: 'imgstore resume \(image)' completes the change"
      + (journal.before == nil ? "" : ", 'imgstore resume \(image) --back' takes it back")
  }

  /// Ends a change that has not touched the live image.
  /// - Parameter highest: the image's last snapshot before the change.
  private func takeBack(_ image: ImageName, _ journal: Journal, above highest: Int) throws {
    let store = try store()
    let before = try journal.before.flatMap { try snapshot($0, of: image) }
    if let before { try removeEmptyFolders(before.snapshot.notes) }
    // Imports and copies, and reverts of parts, record where they lead before they begin.
    let recorded = try store.refs.numbers(of: image).filter { number in
      try number > highest && store.refs.read(image, number).id == journal.target
    }
    try store.refs.remove(image, recorded)
    try store.journals.remove(image)
  }

  private func interrupted(_ image: ImageName, _ cause: InterruptedError) -> ImageError {
    ImageError(
      .interrupted, "the change of image \(image)", "\(cause.finding); nothing was changed")
  }

  private func halfDone(
    _ error: any Error, _ image: ImageName, _ journal: Journal
  ) -> InterruptedChangeError {
    // What cannot be read just now is named without its number.
    let change =
      (try? unfinished(image, journal))
      ?? UnfinishedChange(
        image: image.text, operation: journal.operation, command: journal.command,
        started: journal.started, user: journal.values(Journal.userKey).first, target: nil,
        before: nil, isRunning: true)
    return InterruptedChangeError(error, change)
  }
}
