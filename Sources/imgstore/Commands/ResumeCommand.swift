// imgstore resume.

import ArgumentParser
import Images

struct ResumeCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "resume",
    abstract: "Complete an interrupted change, or roll it back",
    discussion: """
      A revert or an import leaves a journal if it is killed, or if the disk is full or the power \
      fails. No other command changes the image until you resume the change. At the end, the command \
      compares the live image with the snapshot again.
      """)

  @Argument(help: "Name of the image; optional if only one has an unfinished change") var name:
    String?
  @Flag(
    name: [.long, .customLong("abort")], help: "Roll back to the state before the change")
  var back = false
  @Flag(help: "Leave the image as it is and discard the journal")
  var abandon = false
  @Flag(name: [.customShort("n"), .long], help: "Print the plan without changing anything")
  var dryRun = false
  @Flag(help: "With --dry-run, list every step") var all = false
  @OptionGroup var nodeset: NodesetOption
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if back && abandon { throw ValidationError("Give --back or --abandon, not both.") }
  }

  func run() throws {
    let workspace = try common.open()
    try nodeset.check(workspace)
    // A script that runs after each boot names no image, and usually has nothing to do.
    if name == nil, !json.json, try workspace.unfinishedImages().isEmpty {
      return print("no image has an unfinished change")
    }
    let outcome = try workspace.resume(
      name, abandon ? .abandon : back ? .back : .forward, dryRun: dryRun)
    let boot = outcome.revert.flatMap { $0.bootCheck(workspace, nodeset) }
    if try !json.prints(ResumeJSON(outcome: outcome, boot: boot)) { describe(outcome) }
    let failures = boot?.printResult(json) ?? []
    try expectNotRefused(outcome.refusal)
    try outcome.revert?.expectNoProblems(failures)
    if !outcome.leftovers.isEmpty {
      throw CompletedWithWarnings(lines: problemLines(outcome.leftovers))
    }
  }

  private func describe(_ outcome: ResumeOutcome) {
    let (change, image) = (outcome.change, outcome.change.image)
    if outcome.isDryRun { return describePlan(outcome) }
    switch (outcome.direction, outcome.revert) {
    case (.abandon, _):
      print(
        "discarded the journal of \(change.description); 'imgstore status \(image)' compares the live image"
      )
    case (_, nil):
      print("\(change.description) had not touched the live image; you can run it again")
    case (let direction, let revert?):
      let isBack = direction == .back
      print("\(change.description) is \(isBack ? "rolled back" : "completed")")
      printReport(revert)
    }
  }

  private func describePlan(_ outcome: ResumeOutcome) {
    let change = outcome.change
    switch (outcome.direction, outcome.revert) {
    case (.abandon, _):
      print("would discard the journal of \(change.description) and leave the live image as it is")
    case (_, nil):
      print("\(change.description) has not touched the live image; would discard its journal")
    case (let direction, let revert?):
      if outcome.savesFirst { print("would snapshot the unsaved changes of the live image") }
      print("would \(direction == .back ? "roll back" : "complete") \(change.description)")
      printReport(
        revert, showsAll: all, subject: direction == .back ? "the rollback" : "the rest of it")
    }
  }
}
