// The JSON forms of secrets and signatures (docs/json.md).

import Platform
import Store

extension SecretFinding: JSONObject {
  public static let form = JSONForm<Self> { key in
    key("path") { printable($0.path) }
    key("container") { $0.container.map { printable($0) } }
    key("layer") { "\($0.layer)" }
    key("kind", \.kind.rawValue)
    key("rule", \.rule)
    key("reason", \.reason)
    key("treatment") { "\($0.treatment)" }
    key("package", \.package)
  }
}

extension UnexaminedFile: JSONObject {
  public static let form = JSONForm<Self>("Problem") { key in
    key("path") { printable($0.path) }
    key("what", \.reason)
  }
}

extension SecretReport: JSONDocument {
  public static let form = JSONForm<Self>("Secrets", kind: "secrets") { key in
    key("snapshot", \.snapshot)
    key("findings", \.findings)
    key("published", \.published)
    key("unexamined", \.unexamined)
    key("scrubbed", \.isScrubbed)
    key("deliveries", \.deliveries)
  }
}

extension SignatureStatus: JSONObject {
  public static let form = JSONForm<Self>("Signature") { key in
    key("kind", \.kind.rawValue)
    key("key", \.key.hex)
    key("keyName", \.keyName)
    key("verdict") { status -> String in
      switch status.verdict {
      case .valid: "valid"
      case .untrusted: "untrusted"
      case .bad: "bad"
      }
    }
    key("finding") { status -> String? in
      if case .bad(let reason) = status.verdict { reason } else { nil }
    }
    key("subject", \.subject)
    key("host", \.host)
    key("user", \.user)
    key("time") { $0.time.map(isoText) }
    key("statementFile", \.statementFile)
    key("signatureFile", \.signatureFile)
  }
}

extension OriginSignature: JSONObject {
  public static let form = JSONForm<Self>("Origin") { key in
    key("key", \.key.hex)
    key("keyName", \.keyName)
    key("subject", \.subject)
    key("host", \.host)
    key("user", \.user)
    key("time") { isoText($0.time) }
    key("verified", \.isVerified)
  }
}

extension SignatureReport: JSONObject {
  public static let form = JSONForm<Self> { key in
    key("snapshots", \.checked)
    key("unsigned", \.unsigned)
    key("bad", \.bad.count)
    key("untrusted", \.untrusted.count)
  }
}

extension SignatureReport.CheckedSnapshot: JSONObject {
  public static let form = JSONForm<Self>("SignatureReport.Snapshot") { key in
    key("snapshot", \.snapshot)
    key("signatures", \.signatures)
  }
}
