// The commands that the configuration runs before and after a snapshot.
//
// 1. No shell interprets them: the configuration lists each argument.
// 2. They run before the first lock is taken and after the last one is released, so that they may use
//    imgstore themselves.
// 3. If the command before the snapshot fails, no snapshot is taken. The command after it runs whenever the
//    one before it succeeded, so that it can undo what that one did.

import Platform
import Settings
import Store

/// Runs the hooks of snapshots.
struct SnapshotHooks: Collaborator {
  let context: Context

  /// Takes a snapshot between the hooks of its image.
  /// - Throws: `ImageError` (`hookFailed`) if the command before it fails; the error of `take`. A failure of
  ///   the command after it is a warning, because the snapshot exists.
  func around(
    _ image: ImageName, _ take: () throws -> SnapshotOutcome
  ) throws -> SnapshotOutcome {
    let settings = context.settings(of: image)
    if let command = settings.preSnapshot?.value { try run(command, "pre-snapshot", image, nil) }
    func finish(_ snapshot: String?) {
      guard let command = settings.postSnapshot?.value else { return }
      do { try run(command, "post-snapshot", image, snapshot) } catch {
        context.reporter.warn((error as? any ExplainedError)?.message ?? "\(error)")
      }
    }
    let outcome: SnapshotOutcome
    do { outcome = try take() } catch {
      finish(nil)
      throw error
    }
    finish(outcome.isNew ? outcome.committed.name : nil)
    return outcome
  }

  private func run(
    _ command: [String], _ name: String, _ image: ImageName, _ snapshot: String?
  ) throws {
    guard let program = command.first else { return }
    var environment = ChildProcess.environment(for: .tool, of: context.options.environment)
    environment["IMGSTORE_STORE"] = printable(context.storePath)
    environment["IMGSTORE_IMAGE"] = image.text
    if let snapshot { environment["IMGSTORE_SNAPSHOT"] = snapshot }
    let subject = "the \(name) command of \(image)"
    let result: ChildResult
    do {
      result = try ChildProcess.run(
        Array(program.utf8), Array(command.dropFirst()), environment: environment)
    } catch {
      throw ImageError(
        .hookFailed, subject, "cannot be run: \(error.message)",
        hint: "Correct it with 'imgstore config edit'", form: .predicate)
    }
    guard result.status == 0 else {
      let last = result.errors.split(separator: 0x0a).last.map { ": " + printable($0) } ?? ""
      throw ImageError(
        .hookFailed, subject,
        "(\(printable(program.utf8))) ended with status \(result.status)\(last)",
        hint: name == "pre-snapshot" ? "No snapshot was taken" : "")
    }
  }
}
