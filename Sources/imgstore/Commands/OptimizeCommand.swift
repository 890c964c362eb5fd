// imgstore optimize.

import ArgumentParser
import Images

struct Optimize: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "optimize",
    abstract: "Compress the store better, and put what belongs together side by side.",
    discussion: """
      Snapshots are stored fast; this makes them small. Packs are compressed anew, in the order in \
      which a restore of the latest snapshots reads them; many small packs become few. No id \
      changes, and nothing is replaced before it has been read back. What is done is not done \
      again: with a budget, run it every night until it finds nothing to do. It also does what \
      'gc' does.
      """)

  @Option(help: "zstd level, 3 to 22: higher is smaller and slower.")
  var level: Int32 = 12
  @OptionGroup var budget: BudgetOptions
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard (3...22).contains(level) else { throw ValidationError("--level is from 3 to 22.") }
  }

  func run() throws {
    let outcome = try common.open().collect(try budget.request(.all(level: level)))
    Terminal.finish()
    if json.json {
      try printJSON(CollectionJSON(outcome))
    } else {
      let (verb, bytes) =
        outcome.freedBytes < 0 ? ("took", -outcome.freedBytes) : ("freed", outcome.freedBytes)
      print(
        outcome.rewrittenPacks == 0 && outcome.removedPacks == 0
          ? "nothing to do"
          : "\(verb) \(sizeText(UInt64(bytes))): rewrote \(count(outcome.rewrittenPacks, "pack")) "
            + "as \(sizeText(outcome.writtenBytes)); \(secondsText(outcome.seconds))")
      describe(outcome)
    }
    try finish(outcome)
  }
}
