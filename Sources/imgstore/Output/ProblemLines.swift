// Problems as lines, and the error that ends a command which did its work in part.

import Images

/// Ends a command that has listed the readable snapshots. An unreadable snapshot counts as damage.
/// - Throws: `CompletedWithWarnings` if there are unreadable snapshots.
func expectReadable(
  _ snapshots: [UnreadableSnapshot], damaged marks: [DamagedMark] = []
) throws {
  if snapshots.isEmpty, marks.isEmpty { return }
  let shown = 40
  let damaged = snapshots.filter { !$0.isLost }
  let lost = snapshots.filter(\.isLost).map(\.name)
  var lines = damaged.prefix(shown).map { "cannot read \($0.name): \($0.reason)" }
  if damaged.count > shown { lines.append("… and \(damaged.count - shown) more") }
  lines += lostLines(lost)
  lines += marks.prefix(shown).map { "\($0.object) \($0.reason)" }
  if !damaged.isEmpty || !marks.isEmpty { lines.append("'imgstore repair' may help") }
  for mark in marks.prefix(1) { lines.append(mark.hint) }
  throw CompletedWithWarnings(lines: lines, isDamage: true)
}

/// Returns lines about snapshots whose refs are lost: ranges of numbers, and what the user can do.
func lostLines(_ snapshots: [SnapshotName]) -> [String] {
  let shown = 10
  let ranges = snapshotRanges(snapshots)
  if ranges.isEmpty { return [] }
  var lines = ranges.prefix(shown).map {
    $0.contains("..")
      ? "\($0) are lost: their refs are missing" : "\($0) is lost: its ref is missing"
  }
  if ranges.count > shown { lines.append("… and \(ranges.count - shown) more ranges") }
  lines.append(
    "'imgstore repair --from STORE' restores lost snapshots, and 'imgstore remove "
      + "\(ranges.prefix(shown).map(shellQuoted).joined(separator: " ")) --force' gives them up")
  return lines
}

/// Ends a comparison. An entry that could not be compared is a problem, even if there are no differences.
/// - Throws: `CompletedWithWarnings` if there are such entries.
func expectComparable(_ notes: [Snapshot.Note]) throws {
  if notes.isEmpty { return }
  throw CompletedWithWarnings(
    lines: ["\(count(notes.count, "entry")) could not be compared"] + notes.map(noteText))
}

/// Ends a command that changed files.
/// - Throws: `CompletedWithWarnings` if there are problems.
func expectNone(_ problems: [String], _ report: ApplyReport) throws {
  if problems.isEmpty { return }
  throw CompletedWithWarnings(
    lines: problems, isDamage: report.problems.contains(where: \.isDamage))
}

/// Returns problems as lines. For each reason, the first paths are listed and the others are counted.
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

/// Returns the attributes that the file system cannot store, without those that failed when they were set.
func limitLines(_ apply: ApplyOutcome) -> [String] {
  let listed = Set(apply.report.problems.lazy.filter(\.isAttribute).map(\.path))
  return problemLines(apply.limits.filter { !listed.contains($0.path) })
}

/// Ends a dry run as the real run would end, after it has printed its plan.
/// - Parameter refusal: the error of the real run; nil if it would not be refused.
/// - Parameter problems: the problems that the command has to report.
/// - Parameter condition: the start of the message, such as "without --force ".
/// - Throws: `CompletedWithWarnings` with the code of the refusal.
func expectNotRefused(
  _ refusal: (any ExplainedError)?, _ problems: [String] = [], unless condition: String = ""
) throws {
  guard let refusal else { return }
  throw CompletedWithWarnings(
    lines: problems + ["\(condition)this would be refused: \(refusal.messageWithHint)"],
    failure: refusal.errorCode)
}
