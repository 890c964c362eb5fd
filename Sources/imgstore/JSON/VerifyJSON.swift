// The JSON form of `verify` (docs/json.md).

import Images
import Platform
import Store

struct VerifyJSON: JSONDocument {
  static let kind = "verify"
  struct Problem: Codable {
    let object: String
    let finding: String
    let affects: [ProblemJSON]
  }
  /// How much of the store has been read, and since when.
  struct Coverage: Codable {
    let packs: Int
    let bytes: UInt64
    let uncheckedPacks: Int
    let uncheckedBytes: UInt64
    let oldestCheck: String?
  }
  let deep: Bool
  let clean: Bool
  let snapshots: Int
  let packs: Int
  let objects: Int
  let checkedBytes: UInt64
  let coverage: Coverage?
  let incomplete: [String]
  let problems: [Problem]
  let signatures: SignatureReportJSON?

  init(_ report: VerifyReport, deep: Bool, signatures: SignatureReport? = nil) {
    self.signatures = signatures.map(SignatureReportJSON.init)
    self.deep = deep
    clean = report.isClean
    snapshots = report.snapshots
    packs = report.packs
    objects = report.objects
    checkedBytes = report.checkedBytes
    coverage = report.coverage.map {
      Coverage(
        packs: $0.packs, bytes: $0.bytes, uncheckedPacks: $0.uncheckedPacks,
        uncheckedBytes: $0.uncheckedBytes,
        oldestCheck: $0.oldestCheck.map { isoText(Timestamp(seconds: $0, nanoseconds: 0)) })
    }
    incomplete = report.incomplete
    problems = report.problems.map { problem in
      Problem(
        object: problem.object, finding: problem.reason,
        affects: problem.affected.map {
          ProblemJSON(path: printable($0.path), what: $0.snapshot)
        })
    }
  }
}
