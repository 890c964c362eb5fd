// imgstore undo: back to before the last change that imgstore made to the live image.
//
// A snapshot that records a change says in its provenance which snapshot has the state before
// ("before"). So undoing is a revert to that one, and as it records itself the same way, undoing an
// undo does the change again.

import Codec
import Platform
import Store

extension Workspace {
  /// Takes back the last change of an image, whatever it was: a revert, an import, an undo.
  /// - Parameter request: how; its reference is not used.
  /// - Throws: `ImageError` where nothing was changed since the last snapshot, or where the state
  ///   before is not in the store.
  public func undo(_ name: String, _ request: RevertRequest? = nil) throws -> RevertOutcome {
    let image = try findHistory(name).image
    let store = try store()
    let lock = try lock(image, store, isDryRun: request?.isDryRun ?? false)
    defer { withExtendedLifetime(lock) {} }
    let (change, before) = try lastChange(of: image)
    guard let target = try snapshot(before, of: image) else {
      throw ImageError(
        .notFound, "image \(image)",
        "the snapshot with the state before \(change.name) (\(change.snapshot.message)) is not in "
          + "the store any more",
        advice: "'imgstore log \(image)' lists what there is to revert to")
    }
    var request = request ?? RevertRequest(name)
    // Where an import was allowed to write, its undo may as well.
    if change.snapshot.provenance.contains(where: { $0.key == "command" && $0.value == "import" }) {
      request.allowsOutside = true
      request.restoresExcludes = true
    }
    // An import may have given the image another directory. Where an administrator has moved it since, it stays.
    let live = try tables().definition(of: image.text)?.directoryPath
    request.restoresPlace =
      live == change.snapshot.definition.directoryPath
      && live != target.snapshot.definition.directoryPath
    // An undo of an undo of … says only which.
    let isUndo = change.snapshot.message.hasPrefix("undo of ")
    return try self.change(
      ChangeRequest(
        image: image, target: target, request: request, command: "undo",
        message: "undo of @\(change.number)"
          + (isUndo ? "" : " (\(change.snapshot.message))")))
  }

  /// The last snapshot that records a change, and the id of the one with the state before it.
  private func lastChange(of image: ImageName) throws -> (CommittedSnapshot, before: Digest) {
    let refs = try store().refs
    var later: CommittedSnapshot?
    var latest: CommittedSnapshot?
    for number in try refs.numbers(of: image).reversed() {
      let candidate = try refs.read(image, number)
      latest = latest ?? candidate
      // Snapshots of a state that stayed the same change nothing about what was the last change.
      if let later, !later.snapshot.hasSameState(as: candidate.snapshot) { break }
      latest = latest ?? candidate
      if let before = candidate.snapshot.before { return (candidate, before) }
      if candidate.snapshot.hasKeptNothing {
        throw ImageError(
          "image \(image)",
          "what was there before \(candidate.name) (\(candidate.snapshot.message)) was not kept: "
            + "the change was made with --no-safety",
          advice:
            "'imgstore revert \(image)@N' goes to any of those that 'imgstore log \(image)' lists")
      }
      later = candidate
    }
    let name = latest.map { ", \($0.name)," } ?? ""
    throw ImageError(
      "image \(image)",
      "there is nothing to undo: its latest snapshot\(name) was not made by a revert or an import",
      advice:
        "A snapshot changes nothing in the live image. 'imgstore revert \(image)@N' goes to any "
        + "of those that 'imgstore log \(image)' lists")
  }
}

extension Snapshot {
  static let beforeKey = "before"
  /// Key of provenance of a change before which nothing was kept.
  private static let safetyKey = "safety"
  static let noSafety = Fact(safetyKey, "none")

  /// The snapshot records a change, and nobody kept what was there before.
  var hasKeptNothing: Bool { provenance.contains(Snapshot.noSafety) }

  /// The snapshot that has the state before the change that this one records.
  var before: Digest? {
    provenance.first { $0.key == Snapshot.beforeKey }.flatMap { Digest(hex: $0.value) }
  }
}
