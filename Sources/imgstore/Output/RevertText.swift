// The reports of `revert`, `undo` and `resume`.

import Images

/// Prints the report of a revert or undo, and of the files that nodes boot now.
/// - Throws: `CompletedWithWarnings` if the live image does not match the snapshot.
func reportChange(
  _ outcome: RevertOutcome, _ workspace: Workspace, _ options: ChangeOptions,
  _ nodeset: NodesetOption, _ json: JSONFlag
) throws {
  let boot = outcome.bootCheck(workspace, nodeset)
  if try !json.prints(RevertJSON(outcome: outcome, boot: boot)) {
    printReport(outcome, showsAll: options.all)
  }
  try expectNotRefused(outcome.refusal)
  try outcome.expectNoProblems(boot?.printResult(json) ?? [])
}

extension RevertOutcome {
  /// Compares the boot files of the image, and runs nodeset if the user asked for it.
  /// - Returns: nil for a dry run.
  func bootCheck(_ workspace: Workspace, _ nodeset: NodesetOption) -> BootCheck? {
    if isDryRun { return nil }
    return nodeset.follow(
      workspace, target.snapshot.image, writes: apply.writes,
      isDone: remaining?.isEmpty ?? true)
  }

  /// Ends the command.
  /// - Parameter others: More problems to report.
  /// - Throws: `CompletedWithWarnings` if the live image does not match the snapshot, or if there are other
  ///   problems.
  func expectNoProblems(_ others: [String] = []) throws {
    var problems = problemLines(apply.report.problems)
    let listed = Set(apply.report.problems.lazy.filter(\.isAttribute).map(\.path))
    problems += problemLines(limits.filter { !listed.contains($0.path) })
    if let remaining, !remaining.isEmpty {
      problems.append(
        "the live image still differs from \(target.name): \(remainingText(remaining)). If another "
          + "process wrote to it meanwhile, run the command again")
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
      problems += apply.skipped.map { "\(printable($0.path)): unchanged: \($0.reason)" }
    }
    problems += others
    try expectNone(problems, apply.report)
  }
}

/// Prints the report of a change, or the plan of a dry run.
/// - Parameter subject: the change, as the last line of a plan names it; nil for a revert or an undo.
func printReport(_ outcome: RevertOutcome, showsAll: Bool = false, subject: String? = nil) {
  let apply = outcome.apply
  if let undone = outcome.undone {
    print(
      "\(outcome.isDryRun ? "would undo" : "undo of") \(undone.name): \(undone.snapshot.message)")
  }
  if outcome.isDryRun {
    let verb = outcome.undone == nil ? "a revert" : "an undo"
    printPlan(apply, of: subject ?? "\(verb) to \(outcome.target.name)", showsAll: showsAll)
    return
  }
  if outcome.remaining == nil {
    let subject = outcome.parts.isEmpty ? "the live image" : "\(outcome.parts.text): live"
    return print("\(subject) already matches \(outcome.target.name); nothing was changed")
  }
  if let safety = outcome.safety {
    print("saved the previous state as \(safety.name)")
  }
  for method in apply.methods { print(methodText(method)) }
  let report = apply.report
  // An exchange of a tree writes nothing.
  if report.isEmpty, apply.attributes.isEmpty, apply.methods.contains(where: \.isStandby) {
    return printResult(outcome)
  }
  print(
    "wrote \(count(report.writtenFiles, "entry")) (\(sizeText(report.writtenBytes))), "
      + (report.reusedFiles > 0 ? "kept the data of \(report.reusedFiles), " : "")
      + "removed \(report.removed), changed attributes of \(report.changedAttributes)"
      + (apply.attributes.isEmpty
        ? "" : ", set \(count(apply.attributes.count, "attribute")) of the definition"))
  printResult(outcome)
}

/// Prints how the change ended.
private func printResult(_ outcome: RevertOutcome) {
  if outcome.isExact, outcome.uncompared.isEmpty {
    print(
      (outcome.parts.isEmpty
        ? "verified: the live image matches" : "verified: \(outcome.parts.text) matches")
        + " \(outcome.target.name)")
  }
  if let recorded = outcome.recorded {
    print("recorded as \(recorded.name); \(secondsText(outcome.seconds))")
  }
  let image = outcome.target.snapshot.image
  if outcome.undone != nil, !outcome.isDefined {
    print(
      "\(image) is no longer defined; 'imgstore undo \(image)' defines it again, and "
        + "'imgstore forget \(image) --entirely' removes its snapshots")
  }
}

private func methodText(_ method: TreeStrategy) -> String {
  let verb =
    method.isStandby ? "exchanged" : method.isSwap ? "swapped" : "changed in place"
  return "\(printable(method.path)): \(verb) (\(method.reason))"
}

/// Prints a plan: its steps, then their numbers and sizes.
private func printPlan(_ apply: ApplyOutcome, of subject: String, showsAll: Bool) {
  StepsText(apply, showsAll: showsAll).printAll()
  for method in apply.methods { print(methodText(method)) }
  let rows =
    [
      ["remove", count(apply.removals.count, "entry"), sizeText(apply.removedBytes)],
      ["write", count(apply.writes.count, "entry"), sizeText(apply.plannedBytes)],
      ["attributes of", count(apply.attributePaths.count, "entry"), ""],
      ["table columns", "\(apply.attributes.count)", ""],
      ["unchanged", count(apply.skipped.count, "entry"), ""],
    ].filter { !$0[1].hasPrefix("0") }
  if !rows.isEmpty { print(table(rows, indent: "  ")) }
  print(
    "\(subject) would take \(count(apply.plannedSteps, "step")), "
      + "write \(sizeText(apply.plannedBytes)) and remove \(count(apply.removals.count, "entry"))")
}

/// Returns the counts of the differences that remain, seen from the live image.
private func remainingText(_ remaining: ImageDiff) -> String {
  var (missing, extra, different) = (0, 0, 0)
  for change in remaining.entries {
    switch change.kind {
    case .added: missing += 1
    case .removed: extra += 1
    case .changed: different += 1
    }
  }
  return [
    missing == 0 ? nil : "\(count(missing, "entry")) missing",
    extra == 0 ? nil : "\(count(extra, "extra entry"))",
    different == 0 ? nil : "\(count(different, "entry")) different",
    remaining.attributes.isEmpty
      ? nil : "\(count(remaining.attributes.count, "attribute")) of the definition different",
  ].compactMap(\.self).joined(separator: ", ")
}

extension TreeChange {
  fileprivate var differenceText: String {
    switch kind {
    case .added: "is missing"
    case .removed: "is extra"
    case .changed(_, _, let fields): "differs in \(fields.names.joined(separator: ", "))"
    }
  }
}
