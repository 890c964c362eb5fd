// The report of `run`. It goes to standard error: standard output belongs to the command.

import Images

/// Prints the report of `run`.
struct RunText {
  private let outcome: RunOutcome

  init(_ outcome: RunOutcome) { self.outcome = outcome }

  func printAll() { for line in lines { Terminal.line(line) } }

  /// The lines of the report.
  var lines: [String] {
    var lines: [String] = []
    for packages in outcome.packages where packages.oldKind != nil || packages.newKind != nil {
      let text = PackageDiffText(packages)
      lines += text.changes + [text.summary]
      lines += packages.remarks
    }
    let end = "\(outcome.command): \(statusText)"
    guard let recorded = outcome.recorded else {
      return lines + ["\(end); nothing changed, so no snapshot was taken"]
    }
    lines.append("\(end); recorded as \(recorded.name)")
    if let comparison = outcome.comparison {
      lines.append("  \(comparison.diff.old) → \(comparison.diff.new): \(summary(comparison.diff))")
    }
    if let rollback = outcome.rollback {
      lines.append(
        "  rolled back: the live image "
          + (rollback.isExact ? "matches" : "was reverted to") + " \(rollback.target.name)"
          + (rollback.recorded.map { ", recorded as \($0.name)" } ?? ""))
    } else if let before = outcome.before {
      lines.append(
        "  'imgstore undo \(shellQuoted(outcome.image))' restores \(before.name)")
    }
    return lines
  }

  private var statusText: String {
    switch outcome.end.status {
    case .exited(0): "done"
    case .exited(let code): "exit \(code)"
    case .signalled(let signal): "ended by signal \(signal)"
    }
  }
}
