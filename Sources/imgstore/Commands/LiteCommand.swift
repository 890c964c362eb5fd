// imgstore lite.

import ArgumentParser
import Images

struct LiteCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "lite",
    abstract:
      "Give a root tree the layout of statelite nodes, or undo it",
    discussion: """
      As xCAT's liteimg does, the command moves the files that the image's litefile rows name to \
      /.default in the tree, and replaces them with links to /.statelite/tmpfs. It adds \
      etc/init.d/statelite, postscripts, root's password and the files of synclists. If the image's \
      rootfstype is ramdisk, it packs rootimg-statelite.gz.

      The command takes a snapshot of the tree first. A revert to that snapshot undoes everything; \
      --undo undoes only the layout.
      """)

  @Argument(help: "Image") var image: String
  @Flag(help: "Move the files in /.default back and remove the links") var undo =
    false
  @Flag(help: "Leave out the files of synclists") var nosyncfiles = false
  @Flag(
    name: [.customShort("n"), .long], help: "Print the plan without changing anything")
  var dryRun = false
  @OptionGroup var cache: CacheLimit
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    var request = LiteRequest(image)
    request.undoes = undo
    request.isDryRun = dryRun
    request.skipsSyncfiles = nosyncfiles
    let workspace = try common.open()
    request.cacheLimitBytes = cache.bytes(workspace.options.configuration)
    let outcome = try workspace.lite(request)
    if try !json.prints(outcome) { describe(outcome) }
    try expectNotRefused(outcome.refusal)
    let gaps = outcome.packed.map { gapLines($0.gaps, of: $0.snapshot) } ?? []
    if !gaps.isEmpty { throw CompletedWithWarnings(lines: gaps) }
  }

  private func describe(_ outcome: LiteOutcome) {
    for line in outcome.remarks + (outcome.packed?.remarks ?? []) { Terminal.warning(line) }
    if outcome.isDryRun {
      for path in outcome.apply.removals { print("remove  \(printable(path))") }
      for path in outcome.apply.writes { print("write   \(printable(path))") }
      for path in outcome.apply.attributePaths { print("attrs   \(printable(path))") }
      print("\nthe change would take \(count(outcome.apply.plannedSteps, "step"))")
      return
    }
    guard let recorded = outcome.recorded else {
      print("nothing to change: the tree matches the litefile rows")
      return report(outcome)
    }
    print(
      "changed the tree in \(count(outcome.apply.plannedSteps, "step")), recorded as \(recorded.name); "
        + secondsText(outcome.seconds))
    print(
      "saved the previous state as \(outcome.safety.name): 'imgstore revert \(outcome.safety.name)' restores it"
    )
    report(outcome)
  }

  private func report(_ outcome: LiteOutcome) {
    guard let packed = outcome.packed else { return }
    print("packed \(packed.destination): \(sizeText(packed.report.writtenBytes))")
  }
}
