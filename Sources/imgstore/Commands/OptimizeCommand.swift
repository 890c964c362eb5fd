// imgstore optimize.

import ArgumentParser
import Images

struct OptimizeCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "optimize",
    abstract: "Recompress the store, and order data for fast restores",
    discussion: """
      A snapshot is stored fast; optimize makes it small. The command recompresses packs, in the \
      order in which a restore of the latest snapshots reads them, and merges small packs. Ids do \
      not change. The command replaces a pack only after it has read the new one back. It also does \
      the work of 'gc'.

      Before that, packed images and ramdisks (initrd*, initramfs*, rootimg*, also in root trees) \
      become recipes over the files of the tree, as with 'imgstore recipes'.

      The command skips packs that are already optimized. With a limit, run it every night until it \
      finds nothing to do.
      """)

  @Option(help: "zstd level, 3 to 22; higher is smaller and slower")
  var level: Int32 = 18
  @Flag(
    name: .customLong("no-recipes"), help: "Leave packed images and ramdisks as they are stored")
  var skipsRecipes = false
  @OptionGroup var budget: BudgetOptions
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard (3...22).contains(level) else {
      throw ValidationError("invalid level \(level); use 3 to 22.")
    }
  }

  func run() throws {
    let outcome = try common.open().collect(
      try budget.request(.all(level: level)), makesRecipes: !skipsRecipes)
    if try !json.prints(outcome) {
      let (verb, bytes) =
        outcome.freedBytes < 0 ? ("took", -outcome.freedBytes) : ("freed", outcome.freedBytes)
      print(
        outcome.rewrittenPacks == 0 && outcome.removedPacks == 0
          ? outcome.newRecipes == 0 ? "nothing to do" : "nothing to rewrite"
          : "\(verb) \(sizeText(UInt64(bytes))): rewrote \(count(outcome.rewrittenPacks, "pack")) "
            + "as \(sizeText(outcome.writtenBytes)); \(secondsText(outcome.seconds))")
      if outcome.newRecipes > 0 { print(count(outcome.newRecipes, "new recipe")) }
      printLeftData(outcome)
    }
    try expectNoProblems(outcome)
  }
}
