// imgstore remove.

import ArgumentParser
import Images

struct RemoveCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "remove",
    abstract: "Remove snapshots, or a directory from the list of images",
    discussion: """
      IMAGE@3..7 is every snapshot from number 3 to number 7. The command removes all named snapshots, or none.

      To remove the latest snapshot of an image, or a tagged or pinned one, add --force. With \
      --force you can also remove unreadable and lost snapshots, named as IMAGE@NUMBER or as a range. \
      'imgstore gc' frees the space.

      --definition takes a directory off the list of images; its snapshots and the directory itself \
      stay. 'imgstore add' or a revert to a snapshot adds it again. 'imgstore forget IMAGE \
      --entirely' removes the snapshots.
      """,
    aliases: ["rm", "delete"])

  @Argument(help: "Snapshots; with --definition, images") var refs: [String]
  @Flag(help: "Take directories off the list of images, but keep their snapshots")
  var definition = false
  @Flag(help: "Allow removing the latest, a tagged or a pinned snapshot") var force = false
  @Flag(
    name: [.customShort("n"), .long],
    help: "List snapshots to remove and bytes to free without changing anything")
  var dryRun = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if definition, force {
      throw ValidationError("--definition removes no snapshots, so --force does not apply.")
    }
  }

  func run() throws {
    if definition { return try removeDefinitions() }
    let outcome = try common.open().remove(refs, force: force, dryRun: dryRun)
    if try !json.prints(ForgetJSON(outcome: outcome)) {
      print(table(outcome.forgotten.map(forgottenRow)))
      printReport(outcome)
    }
    try expectNotRefused(outcome.refusal)
  }
}

extension RemoveCommand {
  private func removeDefinitions() throws {
    let removed = try common.open().removeDefinitions(refs, dryRun: dryRun)
    if try json.prints(RemovedDefinitionsJSON(isDryRun: dryRun, removed: removed)) { return }
    for item in removed {
      let change = dryRun ? "would no longer be an image" : "is no longer an image"
      let verb = item.snapshots == 1 ? "stays" : "stay"
      print(
        "\(item.image): \(item.path) \(change); \(count(item.snapshots, "snapshot")) \(verb)")
    }
  }
}
