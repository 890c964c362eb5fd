// Journals of unfinished changes of live images: how commands report them, and what they refuse meanwhile.
//
// 1. The journal is on disk before the first step, and is removed once the result of the last step is on
//    disk. After a crash, a full disk or a power failure in between, the next command finds it.
// 2. While an image has a journal, only `resume` changes the image or its history.
// 3. An unreadable journal is an error. Its content is never guessed.

import Codec
import Platform
import Store

/// An unfinished change of a live image.
public struct UnfinishedChange: Sendable {
  public let image: String
  public let operation: Journal.Operation
  /// The command that started it: `revert`, `undo`.
  public let command: RecordedCommand
  public let started: Timestamp
  /// The user who started it, like "root (alice)"; nil if the journal does not name one.
  public let user: String?
  /// The snapshots that it leads to and came from, like "compute@3"; nil if the store does not have them.
  public let target: String?
  public let before: String?
  /// Whether another process is working on it now.
  public internal(set) var isRunning: Bool

  /// A description such as "a revert to compute@3".
  public var description: String {
    switch operation {
    case .revert where command == .importing: "an import" + (target.map { " (\($0))" } ?? "")
    case .revert: (command == .undo ? "an undo" : "a revert") + (target.map { " to \($0)" } ?? "")
    case .importing: "an import" + (target.map { " (\($0))" } ?? "")
    case .copy: "a copy" + (target.map { " (\($0))" } ?? "")
    case .packing: "a change of the tree for nodes" + (target.map { " (\($0))" } ?? "")
    }
  }

  /// A sentence such as "a revert to compute@3 was begun 2026-11-28 12:30:00 by root".
  public var summary: String {
    "\(description) was begun \(localTime(started.seconds, "%Y-%m-%d %H:%M:%S"))"
      + (user.map { " by \(printable($0.utf8))" } ?? "")
  }

  /// The commands that end it.
  public var hint: String {
    "'imgstore resume \(image)' completes it"
      + (before.map { ", 'imgstore resume \(image) --back' returns to \($0)" } ?? "")
  }
}

/// The error for a change that a signal stopped before it modified the live image. Its staged trees are gone.
struct CancelledChangeError: Error {
  let cause: InterruptedError
}

/// An error that interrupted a change, with a hint on how to resume it.
struct InterruptedChangeError: ExplainedError {
  let cause: any Error
  let hint: String
  private var explained: (any ExplainedError)? { cause as? any ExplainedError }
  var subject: String { explained?.subject ?? "the change" }
  var reason: String { explained?.reason ?? "\(cause)" }
  var form: ReasonForm { explained?.form ?? .clause }
  var errorCode: ErrorCode { .changeUnfinished }

  init(_ cause: any Error, _ change: UnfinishedChange) {
    self.cause = cause
    let own = (cause as? any ExplainedError)?.hint ?? ""
    hint =
      (own.isEmpty ? "" : own + ". ")
      + "Image \(change.image) has an unfinished change: \(change.hint)"
  }
}

extension Workspace {
  /// Returns the unfinished changes of all images, or of one.
  public func unfinished(of name: String? = nil) throws -> [UnfinishedChange] {
    try ChangeJournal(context).unfinished(of: name)
  }
}

/// Reads and writes the journals of changes.
struct ChangeJournal: Collaborator {
  let context: Context

  /// Returns the journal of an image; nil if no change is unfinished.
  /// - Throws: `StoreError` if it cannot be read.
  func journal(of image: ImageName) throws -> Journal? {
    guard let bytes = try context.store().journals.read(image) else { return nil }
    do throws(CodecError) {
      let journal = try Journal.decode(bytes)
      guard journal.image == image.text else {
        throw .corrupt("the journal names image \(printable(journal.image.utf8))")
      }
      return journal
    } catch {
      throw StoreError(
        .damaged, "the journal of \(image)",
        "cannot be read, so the unfinished change cannot be resumed: \(error)",
        hint: "'imgstore diff \(image)@N' shows how the live image differs from a snapshot; then "
          + "'imgstore resume \(image) --abandon' removes the journal, and 'imgstore revert' goes "
          + "to any snapshot", code: .journalDamaged)
    }
  }

  /// Returns a description of an unfinished change.
  func unfinished(_ image: ImageName, _ journal: Journal) throws -> UnfinishedChange {
    UnfinishedChange(
      image: image.text, operation: journal.operation, command: RecordedCommand(journal.command),
      started: journal.started, user: journal.values(Journal.userKey).first,
      target: try findSnapshot(journal.target, of: image)?.name,
      before: try journal.before.flatMap { try findSnapshot($0, of: image)?.name },
      isRunning: try context.store().isBusy(image))
  }

  func unfinished(of name: String? = nil) throws -> [UnfinishedChange] {
    let images: [ImageName]
    do {
      images = try context.store().journals.images()
    } catch let error as StoreError where error.kind == .notFound {
      return []
    }
    return try images.filter { name == nil || $0.text == name }.compactMap { image in
      try journal(of: image).map { try unfinished(image, $0) }
    }
  }

  /// Refuses to continue while the image has an unfinished change.
  /// - Throws: `ImageError` (`changeUnfinished`) if it has one.
  func requireNothingUnfinished(_ image: ImageName) throws {
    guard let journal = try journal(of: image) else { return }
    let change = try unfinished(image, journal)
    throw ImageError(
      .changeUnfinished, "image \(image)",
      "has an unfinished change: \(change.summary) and has not finished",
      hint: change.hint)
  }

  /// Returns the latest snapshot of an image with the given id; nil if there is none.
  func findSnapshot(_ id: Digest, of image: ImageName) throws -> CommittedSnapshot? {
    let refs = try context.store().refs
    for number in try refs.numbers(of: image).reversed() {
      if let found = try? refs.read(image, number), found.id == id { return found }
    }
    return nil
  }

  /// Returns the message for a second signal, which ends a change at once.
  static func finalMessage(of image: ImageName, _ journal: Journal) -> String {
    "interrupted: image \(image) has an unfinished change: 'imgstore resume \(image)' completes it"
      + (journal.before == nil ? "" : ", 'imgstore resume \(image) --back' rolls it back")
  }

  /// Describes a change that an error has interrupted.
  func description(of journal: Journal, _ image: ImageName) -> UnfinishedChange {
    // If the snapshots cannot be read now, the error omits their numbers.
    (try? unfinished(image, journal))
      ?? UnfinishedChange(
        image: image.text, operation: journal.operation, command: RecordedCommand(journal.command),
        started: journal.started, user: journal.values(Journal.userKey).first, target: nil,
        before: nil, isRunning: true)
  }
}
