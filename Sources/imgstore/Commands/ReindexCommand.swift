// imgstore reindex.

import ArgumentParser
import Images

struct ReindexCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "reindex",
    abstract: "Rebuild the index from the packs",
    discussion: """
      This is never needed for correctness, because every command updates the index itself.
      """)

  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let totals = try common.open().reindex()
    if try json.prints(totals) { return }
    print(
      "rebuilt the index: \(count(totals.packs, "pack")), \(count(totals.objects, "object")), "
        + sizeText(totals.storedBytes))
  }
}
