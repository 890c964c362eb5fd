// imgstore gc.

import ArgumentParser
import Images

struct GCCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "gc", abstract: "Delete data that no snapshot references",
    discussion: """
      The command deletes packs that no snapshot references. It also works on a full disk. It \
      rewrites packs of which a large part is no longer needed. You can snapshot, export and restore \
      at the same time.

      The command first waits for another gc, optimize or repair. Before it deletes data, it waits \
      for commands that began earlier: for a minute, --max-time or --wait. The next gc deletes the \
      data that remains then. An interrupted gc loses no data; it only leaves space to free.
      """,
    aliases: ["prune"])

  @Flag(
    name: [.customShort("n"), .long],
    help: "Print how much space gc would free without changing anything")
  var dryRun = false
  @Flag(help: "Only delete packs that no snapshot references; rewrite none")
  var removeOnly = false
  @Option(
    help: ArgumentHelp(
      "With --remote, remove the registration of a writer that will never end", valueName: "id"))
  var evict: String?
  @OptionGroup var budget: BudgetOptions
  @OptionGroup var depot: DepotOption
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if evict != nil, depot.remote == nil { throw ValidationError("--evict needs --remote.") }
    if depot.remote != nil, removeOnly { throw ValidationError("--remove-only is for the store.") }
  }

  func run() throws {
    if let remote = depot.remote {
      return try common.open().collectDepot(remote, evict: evict, dryRun: dryRun).report(json)
    }
    let request = try budget.request(removeOnly ? .none : .sparing)
    if dryRun { return try estimate() }
    let outcome = try common.open().collect(request)
    if try !json.prints(outcome) { printReport(outcome) }
    try expectNoProblems(outcome)
  }

  private func estimate() throws {
    let estimate = try common.open().collectionEstimate()
    if try json.prints(estimate) { return }
    let unfinished = estimate.unfinishedBytes
    print(
      "would free \(exactSize(estimate.collectableBytes &+ unfinished))"
        + (unfinished > 0 ? ", of which \(exactSize(unfinished)) are unfinished files" : ""))
  }
}
