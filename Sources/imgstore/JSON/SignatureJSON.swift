// The JSON forms of keys and signatures (docs/json.md).

import Images
import Platform
import Signatures
import Store

struct KeyJSON: JSONDocument {
  static let kind = "key"
  let id: String
  let name: String?
  let publicKey: String
  let privateFile: String?
  let publicFiles: [String]?

  init(_ key: PublicKey, name: String?) {
    id = key.id.hex
    self.name = name
    publicKey = String(decoding: key.pem, as: UTF8.self)
    privateFile = nil
    publicFiles = nil
  }

  init(_ outcome: KeyOutcome) {
    id = outcome.key.id.hex
    name = nil
    publicKey = String(decoding: outcome.key.pem, as: UTF8.self)
    privateFile = outcome.privateFile
    publicFiles = outcome.publicFiles
  }
}

struct SignedJSON: Codable {
  let snapshot: String
  let id: String
  let key: String
}

struct SignatureJSON: Codable {
  /// "signed" or "origin".
  let kind: String
  let key: String
  let keyName: String?
  /// "valid", "untrusted" or "bad".
  let verdict: String
  let finding: String?
  let subject: String?
  let host: String?
  let user: String?
  let time: String?
  let statementFile: String
  let signatureFile: String

  init(_ status: SignatureStatus) {
    kind = status.kind.rawValue
    key = status.key.hex
    keyName = status.keyName
    switch status.verdict {
    case .valid: (verdict, finding) = ("valid", nil)
    case .untrusted: (verdict, finding) = ("untrusted", nil)
    case .bad(let text): (verdict, finding) = ("bad", text)
    }
    subject = status.subject
    host = status.host
    user = status.user
    time = status.time.map(isoText)
    statementFile = status.statementFile
    signatureFile = status.signatureFile
  }
}

struct OriginJSON: Codable {
  let key: String
  let keyName: String?
  let subject: String
  let host: String
  let user: String
  let time: String
  let verified: Bool

  init(_ origin: OriginSignature) {
    key = origin.key.hex
    keyName = origin.keyName
    subject = origin.subject
    host = origin.host
    user = origin.user
    time = isoText(origin.time)
    verified = origin.isVerified
  }
}

/// The result of `verify --signatures`.
struct SignatureReportJSON: Codable {
  struct Snapshot: Codable {
    let snapshot: String
    let signatures: [SignatureJSON]
  }
  let snapshots: [Snapshot]
  let unsigned: [String]
  let bad: Int
  let untrusted: Int

  init(_ report: SignatureReport) {
    snapshots = report.checked.map {
      Snapshot(snapshot: $0.snapshot, signatures: $0.signatures.map(SignatureJSON.init))
    }
    unsigned = report.unsigned
    bad = report.bad.count
    untrusted = report.untrusted.count
  }
}

/// Returns a signature as a line: its key and its verdict.
func signatureText(_ status: SignatureStatus) -> String {
  let key = status.keyName.map { "\($0) (\(status.key.shortHex))" } ?? status.key.shortHex
  let verdict: String
  switch status.verdict {
  case .valid: verdict = "valid"
  case .untrusted: verdict = "not checked: the key is not trusted"
  case .bad(let finding): verdict = "BAD: \(finding)"
  }
  guard status.kind == .origin else { return "by \(key): \(verdict)" }
  let subject = status.subject.map { printable($0.utf8) } ?? "?"
  let host = status.host.map { ", on \(printable($0.utf8))" } ?? ""
  return "origin \(subject)\(host), by \(key): \(verdict)"
}
