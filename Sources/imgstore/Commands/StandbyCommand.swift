// imgstore standby.

import ArgumentParser
import Images

struct StandbyCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "standby",
    abstract: "Keep trees of snapshots ready, so that a revert is one exchange",
    discussion: """
      A standby tree is the root tree of a snapshot, complete and verified, next to the live tree. It \
      shares the blocks of all files that do not differ, so it needs a file system with reflinks \
      (XFS, btrfs). 'revert' and 'undo' to that snapshot exchange the two trees in one step. The \
      tree that was live becomes the standby tree of its own snapshot.

      The setting 'standby' of an image lists snapshots, mostly by tags, whose trees 'maintain' \
      keeps. Without an operand, the command lists the standby trees of all images.

      Examples:
        imgstore standby compute@golden
        imgstore standby --list compute
        imgstore standby --remove compute@golden
      """)

  @Argument(help: "Snapshots; with --list and --remove also images") var refs: [String] = []
  @Flag(help: "List standby trees and their sizes") var list = false
  @Flag(help: "Remove standby trees") var remove = false
  @Flag(
    name: [.customShort("n"), .long], help: "Print the trees to remove without removing them")
  var dryRun = false
  @Flag(name: .shortAndLong, help: "Print sizes in bytes") var bytes = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if list, remove { throw ValidationError("Give --list or --remove, not both.") }
    if remove, refs.isEmpty {
      throw ValidationError("--remove needs images or snapshots.")
    }
    if dryRun, !remove { throw ValidationError("--dry-run belongs to --remove.") }
  }

  func run() throws {
    let workspace = try common.open()
    let outcome =
      remove
      ? try workspace.removeStandby(refs, dryRun: dryRun)
      : list || refs.isEmpty
        ? try workspace.standbyTrees(refs) : try workspace.makeStandby(refs)
    Terminal.finish()
    if try json.prints(outcome) { return }
    func size(_ n: UInt64) -> String { bytes ? String(n) : sizeText(n) }
    if list || refs.isEmpty {
      let rows = outcome.trees.map { tree in
        [
          tree.snapshot.name, tree.tags.joined(separator: ","), tree.space.text(size),
          tree.isIntact ? "ready" : "changed", tree.path,
        ]
      }
      if !rows.isEmpty { print(table(rows)) }
      return
    }
    for tree in outcome.trees {
      let verb =
        outcome.isRemoval
        ? (outcome.isDryRun ? "would remove" : "removed") : tree.isNew ? "made" : "kept"
      print(
        "\(verb) the standby tree of \(tree.snapshot.name): \(tree.space.text(size)), \(tree.path)")
    }
  }
}
