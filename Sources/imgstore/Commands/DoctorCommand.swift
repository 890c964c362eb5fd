// imgstore doctor.

import ArgumentParser
import Images

struct DoctorCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Find what is wrong with this installation, and how to repair it",
    discussion: """
      The command checks the configuration, the tables, the store and its rights, free space, the clock, \
      the images, and when 'maintain' and 'verify' last ran. It changes nothing, and does not read the data \
      of the store: 'verify' does that. The exit code is 1 if there is a problem; advice does not count.
      """)

  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let errors = common.configurationFiles.check()
    let configuration = errors.isEmpty ? try common.configuration() : Configuration()
    let workspace = try common.open(configuration: configuration, waits: false)
    let report = workspace.doctor(configurationErrors: errors)
    Terminal.finish()
    if json.json {
      try printJSON(report)
    } else {
      for finding in report.findings {
        print("\(finding.isProblem ? "problem" : "advice"): \(finding.message)")
        if !finding.hint.isEmpty { print("  \(finding.hint)") }
      }
      if report.findings.isEmpty {
        print("\(count(report.checks.count, "check")), no problem found")
      }
    }
    if report.hasProblems { throw NoMatch() }
  }
}
