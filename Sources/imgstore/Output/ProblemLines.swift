// Problems as lines, and the error that ends a command which did its work in part.

import Apply
import Images
import Platform
import Store

/// Ends a command that has listed what can be read: a snapshot that cannot be is damage.
func expectReadable(_ snapshots: [UnreadableSnapshot]) throws {
  if snapshots.isEmpty { return }
  throw CompletedWithWarnings(
    lines: snapshots.prefix(40).map { "\($0.name) cannot be read: \($0.finding)" }
      + (snapshots.count > 40 ? ["… and \(snapshots.count - 40) more"] : [])
      + ["'imgstore repair' may help"], isDamage: true)
}

/// What could not be compared is a problem, however equal the rest is.
func expectComparable(_ notes: [Snapshot.Note]) throws {
  if notes.isEmpty { return }
  throw CompletedWithWarnings(
    lines: ["\(count(notes.count, "entry")) could not be compared"] + notes.map(noteText))
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

/// Attributes that the file system cannot hold, without those that were listed when they were set.
func limitLines(_ apply: ApplyOutcome) -> [String] {
  let listed = Set(apply.report.problems.lazy.filter(\.isAttribute).map(\.path))
  return problemLines(apply.limits.filter { !listed.contains($0.path) })
}
