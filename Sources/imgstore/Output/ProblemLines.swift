// Problems as lines, and the error that ends a command which did its work in part.

import Apply
import Images
import Platform
import Store

/// Ends a command that has listed the readable snapshots. An unreadable snapshot counts as damage.
/// - Throws: `CompletedWithWarnings` if there are unreadable snapshots.
func expectReadable(_ snapshots: [UnreadableSnapshot]) throws {
  if snapshots.isEmpty { return }
  throw CompletedWithWarnings(
    lines: snapshots.prefix(40).map { "cannot read \($0.name): \($0.reason)" }
      + (snapshots.count > 40 ? ["… and \(snapshots.count - 40) more"] : [])
      + ["'imgstore repair' may help"], isDamage: true)
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
