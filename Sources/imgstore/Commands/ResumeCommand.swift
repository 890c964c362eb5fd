// imgstore resume.

import ArgumentParser
import Images

struct Resume: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "resume",
    abstract: "Complete a change that was cut short, or take it back.",
    discussion: """
      A revert or an import that was killed, or met a full disk or a power failure, leaves a journal. \
      Until it is resumed, no other command changes the image. It ends with a proof: the live image, \
      compared again.
      """)

  @Argument(help: "The image's name; not needed where only one is half changed.") var name: String?
  @Flag(
    name: [.long, .customLong("abort")], help: "Return to the state before.")
  var back = false
  @Flag(help: "Leave the image as it is now, and forget that a change was begun.")
  var abandon = false
  @OptionGroup var nodeset: NodesetOption
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if back && abandon { throw ValidationError("Give --back or --abandon, not both.") }
  }

  func run() throws {
    let workspace = try common.open()
    try nodeset.check(workspace)
    // A script that runs after each boot names no image, and mostly finds nothing to do.
    if name == nil, !json.json, try workspace.unfinishedImages().isEmpty {
      return print("no image has an unfinished change")
    }
    let outcome = try workspace.resume(name, abandon ? .abandon : back ? .back : .forward)
    let boot = outcome.revert.flatMap { $0.bootCheck(workspace, nodeset) }
    Terminal.finish()
    if json.json { try printJSON(ResumeJSON(outcome, boot)) } else { describe(outcome) }
    let failures = boot?.tell(json) ?? []
    try outcome.revert?.expectNoProblems(failures)
    if !outcome.leftovers.isEmpty {
      throw CompletedWithWarnings(lines: problemLines(outcome.leftovers))
    }
  }

  private func describe(_ outcome: ResumeOutcome) {
    let (change, image) = (outcome.change, outcome.change.image)
    switch (outcome.direction, outcome.revert) {
    case (.abandon, _):
      print("\(change.words) is forgotten; 'imgstore status \(image)' says what is live now")
    case (_, nil):
      print("\(change.words) had not touched the live image; it can be begun anew")
    case (let direction, let revert?):
      let isBack = direction == .back
      print("\(change.words) is \(isBack ? "taken back" : "completed")")
      imgstore.describe(revert)
    }
  }
}
