// imgstore gc.

import ArgumentParser
import Images

struct GC: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gc", abstract: "Free the space of what no snapshot needs.",
    discussion: """
      Snapshots may be taken, exported and restored meanwhile. Packs of which nothing is needed \
      are removed, which takes no room on a full disk; packs that are dead in a good part are \
      rewritten without it. Commands that began before must end before anything is removed: they \
      are waited for, a minute, --max-time or --wait; what is left then, the next gc removes. \
      Another gc, optimize or repair is waited for first. Interrupted \
      or killed, it costs space only.
      """,
    aliases: ["prune"])

  @Flag(name: [.customShort("n"), .long], help: "Say how much there is to free; change nothing.")
  var dryRun = false
  @Flag(help: "Rewrite nothing: only remove packs that are wholly dead.") var removeOnly = false
  @OptionGroup var budget: BudgetOptions
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let request = try budget.request(removeOnly ? .none : .sparing)
    if dryRun { return try estimate() }
    let outcome = try common.open().collect(request)
    Terminal.finish()
    if json.json {
      try printJSON(CollectionJSON(outcome))
    } else {
      print(
        outcome.removedPacks == 0
          ? "nothing to free; \(secondsText(outcome.seconds))"
          : "freed \(sizeText(UInt64(max(0, outcome.freedBytes)))): removed "
            + "\(count(outcome.removedPacks, "pack")), \(outcome.rewrittenPacks) of them rewritten "
            + "(\(sizeText(outcome.writtenBytes))); \(secondsText(outcome.seconds))")
      describe(outcome)
    }
    try finish(outcome)
  }

  private func estimate() throws {
    let use = try common.open().diskUse([])
    Terminal.finish()
    if json.json {
      return try printJSON(CollectionEstimateJSON(collectableBytes: use.collectableBytes))
    }
    print("would free \(exactSize(use.collectableBytes))")
  }
}

/// What `gc --dry-run` foretells.
struct CollectionEstimateJSON: JSONDocument {
  static let kind = "collection-estimate"
  let collectableBytes: UInt64
}
