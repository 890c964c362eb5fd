// The JSON form of `export` (docs/json.md).

import Images

struct ExportJSON: JSONDocument {
  static let kind = "export"
  struct Member: Codable {
    let name: String
    let path: String
  }
  let snapshot: String?
  let destination: String
  let dryRun: Bool
  let sizeBytes: UInt64?
  let contentBytes: UInt64
  let members: [Member]
  let gaps: [NoteJSON]
  let missing: [ProblemJSON]
  let secrets: SecretsJSON
  let seconds: Double

  /// - Parameter destination: The path of the bundle, in a dry run the planned one.
  init(_ outcome: ExportOutcome, destination: String) {
    snapshot = outcome.snapshot.name
    self.destination = destination
    dryRun = outcome.isDryRun
    sizeBytes = outcome.isDryRun ? nil : outcome.sizeBytes
    contentBytes = outcome.contentBytes
    members = outcome.members.map { Member(name: $0.name, path: $0.path) }
    gaps = outcome.gaps.map(NoteJSON.init)
    missing = outcome.missing.map { ProblemJSON(path: $0.path, what: $0.reason) }
    secrets = SecretsJSON(outcome.secrets)
    seconds = outcome.seconds
  }
}
