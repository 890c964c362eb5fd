// The JSON form of secrets (docs/json.md).

import Images
import Platform

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
    unexamined = report.unexamined.map { ProblemJSON(path: printable($0.path), what: $0.reason) }
    scrubbed = report.isScrubbed
    deliveries = report.deliveries
  }
}
