// The option -q suppresses reports, but not warnings and errors. Commands that change or check something
// print a report. Commands that show something (log, diff, ls …) print it even with -q.

import ArgumentParser
import Images

/// A command that prints a report of its work.
protocol ReportingCommand {
  var common: CommonOptions { get }
}

/// The state of the option -q.
enum Quiet {
  /// The settings for the report of this command.
  fileprivate struct Report {
    var isSilent = false
    /// The columns to fold lines at; nil to fold none.
    var width: Int?
  }
  fileprivate static let report = Monitor(Report())

  /// Applies -q to a command. It does not suppress a JSON document, a list of secrets or the plan of a dry
  /// run.
  static func apply(to command: any ParsableCommand, _ arguments: [String]) {
    let arguments = arguments.prefix { $0 != "--" }
    let isDocument = arguments.contains("--json")
    if !isDocument, command is any ReportingCommand || command is StatusCommand {
      report.withLock { $0.width = LineFolding.width(of: 1) }
    }
    guard let reporting = command as? any ReportingCommand, reporting.common.quiet else { return }
    let printing: Set<String> = ["--json", "--dry-run", "-n", "--list-secrets"]
    if arguments.contains(where: printing.contains) { return }
    report.withLock { $0.isSilent = true }
  }
}

/// Prints on standard output, unless -q suppresses the report. The signature is that of the standard
/// library's function, which this one replaces in the module.
func print(_ items: Any..., separator: String = " ", terminator: String = "\n") {
  let report = Quiet.report.withLock { $0 }
  if report.isSilent { return }
  // A fast path for one string: lists can have 100,000 lines.
  if items.count == 1, let text = items[0] as? String {
    return Swift.print(LineFolding.folded(text, to: report.width), terminator: terminator)
  }
  Swift.print(items.map { "\($0)" }.joined(separator: separator), terminator: terminator)
}
