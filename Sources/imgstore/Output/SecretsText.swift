// How secrets are shown: a bounded list where a command carries them along, all of them where they are asked
// for, and their JSON form (docs/json.md).

import ArgumentParser
import Images
import Platform
import Store

struct SecretsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "secrets",
    abstract: "List the secrets that an image carries.",
    discussion: """
      Password hashes, private keys, keytabs, tokens and the like, in everything that belongs to the \
      image: root tree, packed image, ramdisks, lists, extras, attributes. docs/secrets.md has the \
      rules. 'imgstore export --scrub' leaves secrets out of a bundle.

      Examples:
        imgstore secrets compute
        imgstore secrets compute@golden --json
      """)

  @Argument(help: "The image, or a snapshot of it.") var ref: String?
  @Flag(help: "Print the rules, as tables in Markdown.") var rules = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if ref == nil, !rules { throw ValidationError("Name an image, or give --rules.") }
    if rules, json.json { throw ValidationError("--rules and --json exclude each other.") }
  }

  func run() throws {
    if rules {
      for line in SecretsText.rules { print(line) }
      return
    }
    guard let ref else { return }
    let (snapshot, report) = try common.open().secrets(ref)
    Terminal.finish()
    if json.json { return try printJSON(SecretsJSON(report, snapshot: snapshot.name)) }
    for line in SecretsText.all(report) { print(line) }
    print(
      report.findings.isEmpty
        ? "\(snapshot.name) carries no secrets that are known of"
        : "\(snapshot.name) carries \(SecretsText.summary(report))")
  }
}

enum SecretsText {
  private static let maxLines = 10

  /// "7 secrets: 3 password hashes, 1 ssh host key".
  static func summary(_ report: SecretReport) -> String {
    let kinds = report.counts.prefix(6).map { "\($0.count) \($0.kind.noun)" }
    let more = report.counts.count > 6 ? ", …" : ""
    return count(report.findings.count, "secret") + ": " + kinds.joined(separator: ", ") + more
  }

  /// All findings, a line each.
  static func all(_ report: SecretReport) -> [String] {
    report.findings.map(line)
      + report.published.map {
        "published by the package \($0.package ?? ""): " + line($0)
      }
      + report.unexamined.map { "not examined: \(printable($0.path)) \($0.finding)" }
  }

  static func line(_ finding: SecretFinding) -> String {
    "\(finding.kind.rawValue)  \(finding.location): \(finding.reason)"
  }

  /// Remarks of a command that carries secrets along.
  /// - Parameter what: "the bundle", "the copy".
  static func carried(_ report: SecretReport, by what: String, in reference: String) -> [String] {
    var lines: [String] = []
    if !report.findings.isEmpty {
      lines.append("\(what) carries \(summary(report))")
      lines += bounded(report.findings.map { "  " + line($0) })
      lines.append("'imgstore secrets \(reference)' lists all; 'export --scrub' leaves them out")
    }
    return lines + report.unexamined.map { "\(printable($0.path)) \($0.finding)" }
  }

  /// What a scrubbed export left out, and what its nodes need.
  static func scrubbed(_ report: SecretReport) -> [String] {
    if report.findings.isEmpty { return ["no secrets were found to leave out"] }
    var lines = ["left out \(summary(report))"]
    lines += report.findings.map { "  \($0.treatment.rawValue)  " + line($0) }
    if !report.deliveries.isEmpty {
      lines.append("the nodes need these from elsewhere:")
      lines += report.deliveries.map { "  " + $0 }
    }
    return lines
  }

  /// The tables of docs/secrets.md.
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

struct SecretFindingJSON: Codable {
  let path: String
  let container: String?
  let layer: String
  let kind: String
  let rule: String
  let reason: String
  let treatment: String
  let package: String?

  init(_ finding: SecretFinding) {
    path = printable(finding.path)
    container = finding.container.map { printable($0) }
    layer =
      switch finding.layer {
      case .definition: "definition"
      case .tree: "tree"
      case .packed: "packed"
      case .ramdisk: "ramdisk"
      case .file: "file"
      }
    kind = finding.kind.rawValue
    rule = finding.rule
    reason = finding.reason
    treatment =
      switch finding.treatment {
      case .leftOut: "leftOut"
      case .blanked: "blanked"
      case .kept: "kept"
      }
    package = finding.package
  }
}

struct SecretsJSON: JSONDocument {
  static let kind = "secrets"
  let snapshot: String?
  let findings: [SecretFindingJSON]
  let published: [SecretFindingJSON]
  let unexamined: [ProblemJSON]
  let scrubbed: Bool
  let deliveries: [String]

  init(_ report: SecretReport, snapshot: String? = nil) {
    self.snapshot = snapshot
    findings = report.findings.map(SecretFindingJSON.init)
    published = report.published.map(SecretFindingJSON.init)
    unexamined = report.unexamined.map { ProblemJSON(path: printable($0.path), what: $0.finding) }
    scrubbed = report.isScrubbed
    deliveries = report.deliveries
  }
}
