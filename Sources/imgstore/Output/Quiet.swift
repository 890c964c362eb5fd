// -q: silence where all is well, and every warning and error all the same. Commands that are asked for text (log,
// diff, ls …) print it whatever is said; those that change something, or check it, report, and the report goes.

import ArgumentParser
import Platform

/// A command whose text is a report of what it did.
protocol ReportingCommand {
  var common: CommonOptions { get }
}

enum Quiet {
  /// How this command's report is printed.
  fileprivate struct Report {
    var isSilent = false
    /// The columns that lines are folded at; nil where they are printed as they are.
    var width: Int?
  }
  fileprivate static let report = Monitor(Report())

  /// Silences the report of a command. A document, and the plan of a dry run, is what was asked for.
  static func apply(to command: any ParsableCommand, _ arguments: [String]) {
    let isDocument = arguments.contains("--json")
    if !isDocument, command is any ReportingCommand || command is Status {
      report.withLock { $0.width = LineFolding.width(of: 1) }
    }
    guard let reporting = command as? any ReportingCommand, reporting.common.quiet else { return }
    let asked: Set<String> = ["--json", "--dry-run", "-n", "--list-secrets"]
    if arguments.contains(where: asked.contains) { return }
    report.withLock { $0.isSilent = true }
  }
}

/// Prints on standard output, unless the command is to be silent. It has the very signature of the standard
/// library's function, whose place it takes in this module.
func print(_ items: Any..., separator: String = " ", terminator: String = "\n") {
  let report = Quiet.report.withLock { $0 }
  if report.isSilent { return }
  // Most are one text, and lists have a hundred thousand lines.
  if items.count == 1, let text = items[0] as? String {
    return Swift.print(LineFolding.folded(text, to: report.width), terminator: terminator)
  }
  Swift.print(items.map { "\($0)" }.joined(separator: separator), terminator: terminator)
}

extension SnapshotCommand: ReportingCommand {}
extension Init: ReportingCommand {}
extension Add: ReportingCommand {}
extension Define: ReportingCommand {}
extension Copy: ReportingCommand {}
extension Revert: ReportingCommand {}
extension Undo: ReportingCommand {}
extension Resume: ReportingCommand {}
extension Restore: ReportingCommand {}
extension Pack: ReportingCommand {}
extension Lite: ReportingCommand {}
extension Export: ReportingCommand {}
extension Import: ReportingCommand {}
extension TagCommand: ReportingCommand {}
extension Untag: ReportingCommand {}
extension Pin: ReportingCommand {}
extension Unpin: ReportingCommand {}
extension Forget: ReportingCommand {}
extension Remove: ReportingCommand {}
extension GC: ReportingCommand {}
extension Optimize: ReportingCommand {}
extension Recipes: ReportingCommand {}
extension Verify: ReportingCommand {}
extension Repair: ReportingCommand {}
extension Reindex: ReportingCommand {}
extension Sign: ReportingCommand {}
