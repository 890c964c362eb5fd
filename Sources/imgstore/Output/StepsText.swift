// The steps of a plan as lines. A directory that is added or removed as a whole is one line. A long plan is
// cut after its first lines, unless the user asks for all.

import Images

/// Prints the plan of a dry run.
struct StepsText {
  private static let maxLines = 30

  private let apply: ApplyOutcome
  private let showsAll: Bool

  init(_ apply: ApplyOutcome, showsAll: Bool) {
    (self.apply, self.showsAll) = (apply, showsAll)
  }

  /// Prints the steps, and an empty line after them. Without steps, it prints nothing.
  func printAll() {
    var lines = folded("remove", apply.removals) + folded("write", apply.writes)
    lines += apply.attributePaths.map { "attrs   \(printable($0))" }
    if lines.isEmpty, apply.attributes.isEmpty, apply.skipped.isEmpty { return }
    let limit = showsAll ? Int.max : StepsText.maxLines
    for line in lines.prefix(limit) { print(line) }
    if lines.count > limit { print("…       and \(lines.count - limit) more (--all lists all)") }
    for change in apply.attributes {
      print("set     \(change.table).\(change.column)=\(printable((change.new ?? "").utf8))")
    }
    for skip in apply.skipped { print("leave   \(printable(skip.path)) (\(skip.reason))") }
    print("")
  }

  /// Returns a line for each path that is not below another one, with the number of paths below it.
  private func folded(_ verb: String, _ paths: [[UInt8]]) -> [String] {
    let head = verb + String(repeating: " ", count: 8 - verb.count)
    if showsAll { return paths.map { head + printable($0) } }
    var lines: [String] = []
    var top: (path: [UInt8], inside: Int)?
    func flush() {
      guard let top else { return }
      lines.append(
        head + printable(top.path)
          + (top.inside == 0 ? "" : "/  (\(count(top.inside, "entry")) in it)"))
    }
    for path in paths.sorted(by: precedes) {
      if let current = top, path.starts(with: current.path + [0x2f]) {
        top = (current.path, current.inside + 1)
      } else {
        flush()
        top = (path, 0)
      }
    }
    flush()
    return lines
  }
}
