// imgstore remove.

import ArgumentParser
import Images

struct Remove: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "remove",
    abstract: "Remove snapshots, or a directory from the images.",
    discussion: """
      IMAGE@3..7 is every snapshot from number 3 to number 7. Either all that are named go, or none does.

      The latest snapshot of an image, and one that is tagged or pinned, needs --force. With \
      --force also one that cannot be read is removed, named as IMAGE@NUMBER. Space is free after \
      'imgstore gc'.

      With --definition a directory is no image any more; its snapshots and the directory itself stay. \
      'imgstore add' or a revert to a snapshot makes it one again. 'imgstore forget IMAGE --entirely' \
      removes the snapshots, too.
      """,
    aliases: ["rm", "delete"])

  @Argument(help: "The snapshots; with --definition, images.") var refs: [String]
  @Flag(help: "Take directories off the list of images; their snapshots stay.")
  var definition = false
  @Flag(help: "Also the latest, a tagged or a pinned one.") var force = false
  @Flag(
    name: [.customShort("n"), .long],
    help: "Say what would go and how many bytes it frees; change nothing.")
  var dryRun = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if definition, force {
      throw ValidationError("--force is for snapshots, and --definition removes none.")
    }
  }

  func run() throws {
    if definition { return try removeDefinitions() }
    let outcome = try common.open().remove(refs, force: force, dryRun: dryRun)
    Terminal.finish()
    if json.json { return try printJSON(ForgetJSON(outcome)) }
    print(table(outcome.forgotten.map(forgottenRow)))
    describe(outcome)
  }
}

extension Remove {
  private func removeDefinitions() throws {
    let removed = try common.open().removeDefinitions(refs, dryRun: dryRun)
    Terminal.finish()
    if json.json { return try printJSON(RemovedDefinitionsJSON(removed, dryRun: dryRun)) }
    for one in removed {
      let change = dryRun ? "would be no image" : "is no image any more"
      let rest = one.snapshots == 1 ? "stays" : "stay"
      print(
        "\(one.image): \(one.path) \(change); \(count(one.snapshots, "snapshot")) \(rest)")
    }
  }
}

/// What `remove --definition` prints.
struct RemovedDefinitionsJSON: JSONDocument {
  static let kind = "removed-definitions"
  struct Removed: Codable {
    let image: String
    let path: String
    let snapshots: Int
  }
  let dryRun: Bool
  let removed: [Removed]

  init(_ removed: [RemovedDefinition], dryRun: Bool) {
    self.dryRun = dryRun
    self.removed = removed.map {
      Removed(image: $0.image, path: $0.path, snapshots: $0.snapshots)
    }
  }
}
