// imgstore revert, undo, resume.

import Apply
import ArgumentParser
import Images
import Platform
import Store

/// How a live tree is changed.
struct ChangeOptions: ParsableArguments {
  @Flag(help: "Build the tree beside the live one, and exchange the two in one step.")
  var swap = false
  @Flag(help: "Make the changes in the live tree, one entry at a time.") var inPlace = false
  @Flag(help: "Do not take a snapshot of what would be lost.") var noSafety = false
  @Flag(name: [.customShort("n"), .long], help: "Print what would be done; change nothing.")
  var dryRun = false
  @Flag(help: "With --dry-run: every step, a line each.") var all = false

  func validate() throws {
    if swap && inPlace { throw ValidationError("Give --swap or --in-place, not both.") }
  }

  @Option(help: "Also change this file or folder outside of the image's own places.")
  var allow: [String] = []
  @Flag(help: "Change whatever the image's attributes name, wherever it lies.")
  var outside = false

  func request(_ reference: String) -> RevertRequest {
    var request = RevertRequest(reference)
    request.method = swap ? .swap : inPlace ? .inPlace : .automatic
    request.keepsSafety = !noSafety
    request.isDryRun = dryRun
    request.allowed = allow
    request.allowsOutside = outside
    return request
  }
}

struct Revert: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "revert",
    abstract: "Make the live image, or parts of it, what a snapshot says.",
    discussion: """
      REF alone is the whole image: files, tree and table rows. With paths, or with --component, only \
      these become what they are in the snapshot, and what it lacks goes; all else stays as it is. \
      PATH is inside the root tree, or absolute on the management node.

      Only what differs is written, and what is extra is removed. What would be lost and is in no \
      snapshot yet is put into one first. A tree that nobody uses is built beside the live one and \
      takes its place in one step, if that is worth it; else it is changed in place. Which, and why, \
      is said; --swap and --in-place decide it. If the revert is cut short, 'imgstore resume' \
      completes it or takes it back. It ends with a proof: the live image, compared again.

      Examples:
        imgstore revert compute@golden
        imgstore revert compute@golden:etc/ssh
        imgstore revert compute@12 etc/hosts usr/lib/modules
        imgstore revert compute@12 --component kernel --component ramdisk
      """)

  @Argument(help: "REF or REF:PATH: the snapshot to go back to.") var ref: String
  @Argument(help: "Revert only these.") var paths: [String] = []
  @Option(
    help: ArgumentHelp(
      "Revert only this: definition, kernel, ramdisk, packed, tree, a list (pkglist) or an attribute.",
      valueName: "name"))
  var component: [String] = []
  @OptionGroup var options: ChangeOptions
  @OptionGroup var nodeset: NodesetOption
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    var request = options.request(ref)
    request.parts = ImageParts(paths: paths, components: component)
    let workspace = try common.open()
    try nodeset.check(workspace)
    try finish(try workspace.revert(request), workspace, options, nodeset, json)
  }
}

struct Undo: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "undo",
    abstract: "Take back the last change of an image: a revert, an import, or an undo.",
    discussion: """
      The live image becomes what it was before the last revert or import. That is itself a change, \
      so undoing again does it again. A snapshot changes nothing, so there is nothing of it to undo.
      """)

  @Argument(help: "The image's name; not needed where there is only one.") var name: String?
  @OptionGroup var options: ChangeOptions
  @OptionGroup var nodeset: NodesetOption
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let workspace = try common.open()
    try nodeset.check(workspace)
    let outcome = try workspace.undo(name ?? "", options.request(name ?? ""))
    try finish(outcome, workspace, options, nodeset, json)
  }
}

/// Says what a revert or undo did, and what nodes boot now.
private func finish(
  _ outcome: RevertOutcome, _ workspace: Workspace, _ options: ChangeOptions,
  _ nodeset: NodesetOption, _ json: JSONFlag
) throws {
  let boot = outcome.bootCheck(workspace, nodeset)
  Terminal.finish()
  if json.json {
    try printJSON(RevertJSON(outcome, boot))
  } else {
    describe(outcome, showsAll: options.all)
  }
  try outcome.expectNoProblems(boot?.tell(json) ?? [])
}

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

extension RevertOutcome {
  /// - Returns: nil for a dry run.
  fileprivate func bootCheck(_ workspace: Workspace, _ nodeset: NodesetOption) -> BootCheck? {
    if isDryRun { return nil }
    return nodeset.follow(
      workspace, target.snapshot.image, writes: apply.writes,
      isDone: remaining?.isEmpty ?? true)
  }

  /// - Parameter others: problems to report besides those of the outcome.
  /// - Throws: `CompletedWithWarnings` where not everything is as the snapshot says.
  func expectNoProblems(_ others: [String] = []) throws {
    var problems = problemLines(apply.report.problems)
    let listed = Set(apply.report.problems.lazy.filter(\.isAttribute).map(\.path))
    problems += problemLines(limits.filter { !listed.contains($0.path) })
    if let remaining, !remaining.isEmpty {
      problems.append("the live image still differs from \(target.name): \(summary(remaining))")
      problems += remaining.entries.prefix(10).map { "\(printable($0.path)): \($0.differenceText)" }
      if remaining.entries.count > 10 {
        problems.append("… and \(remaining.entries.count - 10) more entries")
      }
    }
    if !uncompared.isEmpty {
      problems.append("\(count(uncompared.count, "entry")) could not be compared")
      problems += uncompared.map(noteText)
    }
    if !isDryRun {
      problems += apply.skipped.map { "\(printable($0.path)): left alone: \($0.why)" }
    }
    problems += others
    try expectNone(problems, apply.report)
  }
}

private func describe(_ outcome: RevertOutcome, showsAll: Bool = false) {
  let apply = outcome.apply
  if outcome.isDryRun {
    describe(plan: apply, of: outcome.target.name, showsAll: showsAll)
    return
  }
  if outcome.remaining == nil {
    let what = outcome.parts.isEmpty ? "the live image" : "\(outcome.parts.text): live"
    return print("\(what) already matches \(outcome.target.name); nothing was changed")
  }
  if let safety = outcome.safety {
    print("saved the previous state as \(safety.name)")
  }
  for method in apply.methods { print(methodText(method)) }
  let report = apply.report
  print(
    "wrote \(count(report.writtenFiles, "entry")) (\(sizeText(report.writtenBytes))), "
      + (report.reusedFiles > 0 ? "kept the data of \(report.reusedFiles), " : "")
      + "removed \(report.removed), changed attributes of \(report.changedAttributes)"
      + (apply.attributes.isEmpty
        ? "" : ", set \(count(apply.attributes.count, "attribute")) of the definition"))
  if outcome.isExact, outcome.uncompared.isEmpty {
    print(
      (outcome.parts.isEmpty
        ? "verified: the live image matches" : "verified: \(outcome.parts.text) matches")
        + " \(outcome.target.name)")
  }
  if let recorded = outcome.recorded {
    print("recorded as \(recorded.name); \(secondsText(outcome.seconds))")
  }
}

private func methodText(_ method: TreeStrategy) -> String {
  "\(printable(method.path)): \(method.isSwap ? "swapped" : "changed in place") (\(method.why))"
}

/// The plan: its steps, then how much of what.
private func describe(plan apply: ApplyOutcome, of target: String, showsAll: Bool) {
  StepsText(apply, showsAll: showsAll).printAll()
  for method in apply.methods { print(methodText(method)) }
  print(
    table(
      [
        ["remove", count(apply.removals.count, "entry"), sizeText(apply.removedBytes)],
        ["write", count(apply.writes.count, "entry"), sizeText(apply.plannedBytes)],
        ["attributes of", count(apply.attributePaths.count, "entry"), ""],
        ["table columns", "\(apply.attributes.count)", ""],
        ["left alone", count(apply.skipped.count, "entry"), ""],
      ].filter { !$0[1].hasPrefix("0") }, indent: "  "))
  print(
    "a revert to \(target) would take \(count(apply.plannedSteps, "step")), "
      + "write \(sizeText(apply.plannedBytes)) and remove \(count(apply.removals.count, "entry"))")
}

/// - Throws: `CompletedWithWarnings` where there are problems.
func expectNone(_ problems: [String], _ report: ApplyReport) throws {
  if problems.isEmpty { return }
  throw CompletedWithWarnings(
    lines: problems, isDamage: report.problems.contains(where: \.isDamage))
}

/// Problems, those of one reason folded: the first paths, and how many more.
func problemLines(_ problems: [ApplyProblem]) -> [String] {
  var byReason: [String: [[UInt8]]] = [:]
  var order: [String] = []
  for problem in problems {
    if byReason[problem.what] == nil { order.append(problem.what) }
    byReason[problem.what, default: []].append(problem.path)
  }
  let shown = order.count == 1 ? 20 : 5
  var lines: [String] = []
  for reason in order.prefix(20) {
    let paths = byReason[reason] ?? []
    lines += paths.prefix(shown).map { "\(printable($0)): \(reason)" }
    if paths.count > shown { lines.append("… and \(paths.count - shown) more: \(reason)") }
  }
  if order.count > 20 { lines.append("… and \(order.count - 20) more reasons") }
  return lines
}

extension TreeChange {
  fileprivate var differenceText: String {
    switch kind {
    case .added: "is missing"
    case .removed: "is left over"
    case .changed(_, _, let fields): "differs in \(fields.names.joined(separator: ", "))"
    }
  }
}

/// Attributes that the file system cannot hold, without those that were listed when they were set.
func limitLines(_ apply: ApplyOutcome) -> [String] {
  let listed = Set(apply.report.problems.lazy.filter(\.isAttribute).map(\.path))
  return problemLines(apply.limits.filter { !listed.contains($0.path) })
}
