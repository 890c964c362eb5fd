// imgstore lite.

import ArgumentParser
import Images
import Platform

struct Lite: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lite",
    abstract:
      "Give a statelite image's root tree the layout that its nodes expect, or take it back.",
    discussion: """
      What the image's litefile rows name is moved to /.default in the tree, and links to \
      /.statelite/tmpfs take its place, as xCAT's liteimg makes it; then also etc/init.d/statelite, \
      postscripts, root's password and synclists' files. Where the image's rootfstype is ramdisk, \
      rootimg-statelite.gz is packed. The tree as it was is snapshotted first: reverting to that \
      snapshot takes all back, --undo the layout alone.
      """)

  @Argument(help: "The image.") var image: String
  @Flag(help: "Move what is in /.default back to its places, and remove the links.") var undo =
    false
  @Flag(help: "Leave the files of synclists out.") var nosyncfiles = false
  @Flag(
    name: [.customShort("n"), .long], help: "Say what would change in the tree; change nothing.")
  var dryRun = false
  @OptionGroup var cache: CacheLimit
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    var request = LiteRequest(image)
    request.undoes = undo
    request.isDryRun = dryRun
    request.skipsSyncfiles = nosyncfiles
    request.cacheLimitBytes = cache.bytes
    let outcome = try common.open().lite(request)
    Terminal.finish()
    if json.json { try printJSON(LiteJSON(outcome)) } else { describe(outcome) }
    let gaps = outcome.packed.map { gapLines($0.gaps, of: $0.snapshot) } ?? []
    if !gaps.isEmpty { throw CompletedWithWarnings(lines: gaps) }
  }

  private func describe(_ outcome: LiteOutcome) {
    for line in outcome.remarks + (outcome.packed?.remarks ?? []) { Terminal.warning(line) }
    if outcome.isDryRun {
      for path in outcome.apply.removals { print("remove  \(printable(path))") }
      for path in outcome.apply.writes { print("write   \(printable(path))") }
      for path in outcome.apply.attributePaths { print("attrs   \(printable(path))") }
      print("\nit would take \(count(outcome.apply.plannedSteps, "step"))")
      return
    }
    guard let recorded = outcome.recorded else {
      print("nothing to change: the tree is as the rows want it")
      return report(outcome)
    }
    print(
      "changed the tree in \(count(outcome.apply.plannedSteps, "step")), kept as \(recorded.name); "
        + secondsText(outcome.seconds))
    print(
      "what was there before is \(outcome.safety.name): 'imgstore revert \(outcome.safety.name)'")
    report(outcome)
  }

  private func report(_ outcome: LiteOutcome) {
    guard let packed = outcome.packed else { return }
    print("packed \(packed.destination): \(sizeText(packed.report.writtenBytes))")
  }
}

struct LiteJSON: JSONDocument {
  static let kind = "lite"
  let dryRun: Bool
  let safety: String
  let recorded: String?
  let removals: [String]
  let writes: [String]
  let attributes: [String]
  let packed: PackJSON?
  let remarks: [String]
  let seconds: Double

  init(_ outcome: LiteOutcome) {
    dryRun = outcome.isDryRun
    safety = outcome.safety.name
    recorded = outcome.recorded?.name
    removals = outcome.apply.removals.map { printable($0) }
    writes = outcome.apply.writes.map { printable($0) }
    attributes = outcome.apply.attributePaths.map { printable($0) }
    packed = outcome.packed.map { PackJSON($0) }
    remarks = outcome.remarks
    seconds = outcome.seconds
  }
}
