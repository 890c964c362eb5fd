// Secrets as lines: a bounded list for commands that copy them, all of them for `secrets`.

import Images

/// Renders secrets.
enum SecretsText {
  private static let maxLines = 10

  /// Returns the number of secrets by kind: "7 secrets: 3 password hashes, 1 ssh host key".
  static func summary(_ report: SecretReport) -> String {
    let kinds = report.counts.prefix(6).map { "\($0.count) \($0.kind.noun)" }
    let more = report.counts.count > 6 ? ", …" : ""
    return count(report.findings.count, "secret") + ": " + kinds.joined(separator: ", ") + more
  }

  /// Returns a line for each finding.
  static func all(_ report: SecretReport) -> [String] {
    report.findings.map(line)
      + report.published.map {
        "published by the package \($0.package ?? ""): " + line($0)
      }
      + report.unexamined.map { "not examined: \(printable($0.path)) \($0.reason)" }
  }

  /// Returns a finding as a line.
  static func line(_ finding: SecretFinding) -> String {
    "\(finding.kind.rawValue)  \(finding.location): \(finding.reason)"
  }

  /// Returns the remarks of a command that copies secrets.
  /// - Parameter subject: The copy: "the bundle", "the copy".
  static func carried(_ report: SecretReport, by subject: String, in reference: String) -> [String]
  {
    var lines: [String] = []
    if !report.findings.isEmpty {
      lines.append("\(subject) contains \(summary(report))")
      lines += bounded(report.findings.map { "  " + line($0) })
      lines.append("'imgstore secrets \(reference)' lists all; 'export --scrub' leaves them out")
    }
    return lines + report.unexamined.map { "\(printable($0.path)) \($0.reason)" }
  }

  /// Returns the remark of `copy`, whose result stays on this machine; nil without secrets.
  static func copied(_ report: SecretReport, in reference: String) -> String? {
    if report.findings.isEmpty { return nil }
    return
      "the copy holds \(count(report.findings.count, "secret")); 'imgstore secrets \(reference)' "
      + "lists \(report.findings.count == 1 ? "it" : "them")"
  }

  /// Returns the secrets that a scrubbed export left out, and the files that its nodes need.
  static func scrubbed(_ report: SecretReport) -> [String] {
    if report.findings.isEmpty { return ["found no secrets to leave out"] }
    var lines = ["left out \(summary(report))"]
    lines += report.findings.map { "  \($0.treatment.rawValue)  " + line($0) }
    if !report.deliveries.isEmpty {
      lines.append("the nodes need these from another source:")
      lines += report.deliveries.map { "  " + $0 }
    }
    return lines
  }

  /// The tables of docs/secrets.md, in Markdown.
  static var rules: [String] {
    func code(_ texts: [String]) -> String { texts.map { "`\($0)`" }.joined(separator: " ") }
    return ["| rule | kind | paths | a scrubbed export | why |", "|---|---|---|---|---|"]
      + SecretRule.table.map {
        "| \($0.id) | \($0.kind.rawValue) | \(code($0.patterns)) | \($0.check.treatment) | "
          + "\($0.reason) |"
      } + ["", "| form | kind | begins with, or holds | why |", "|---|---|---|---|"]
      + SecretForm.table.map {
        "| \($0.id) | \($0.kind.rawValue) | \(code($0.needles)) | \($0.reason) |"
      }
  }

  private static func bounded(_ lines: [String]) -> [String] {
    guard lines.count > maxLines else { return lines }
    return lines.prefix(maxLines) + ["  … and \(lines.count - maxLines) more"]
  }
}
