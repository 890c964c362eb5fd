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

      The command skips packs that are already optimized. With a limit, run it every night until it \
      finds nothing to do.
      """)

  @Option(help: "zstd level, 3 to 22; higher is smaller and slower")
  var level: Int32 = 12
  @OptionGroup var budget: BudgetOptions
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard (3...22).contains(level) else {
      throw ValidationError("invalid level \(level); use 3 to 22.")
    }
  }

  func run() throws {
    let outcome = try common.open().collect(try budget.request(.all(level: level)))
    if try !json.prints(outcome) {
      let (verb, bytes) =
        outcome.freedBytes < 0 ? ("took", -outcome.freedBytes) : ("freed", outcome.freedBytes)
      print(
        outcome.rewrittenPacks == 0 && outcome.removedPacks == 0
          ? "nothing to do"
          : "\(verb) \(sizeText(UInt64(bytes))): rewrote \(count(outcome.rewrittenPacks, "pack")) "
            + "as \(sizeText(outcome.writtenBytes)); \(secondsText(outcome.seconds))")
      printLeftData(outcome)
    }
    try expectNoProblems(outcome)
  }
}
