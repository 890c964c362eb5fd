// Finds passwords and tokens in an image's attributes: kernel parameters, variables, and kit parameters.

import Platform

/// Scans rows of tables for secrets.
enum DefinitionSecrets {
  /// Returns a row without secrets, and the secrets that it held.
  static func scan(
    _ row: [String: String], table: String
  ) -> (row: [String: String], findings: [SecretFinding]) {
    var result = row
    var findings: [SecretFinding] = []
    for (column, value) in row.sorted(by: { $0.key < $1.key }) {
      let (text, items) = scan(value)
      if items.isEmpty { continue }
      result[column] = text
      for item in items {
        findings.append(
          SecretFinding(.definition, Array("\(table).\(column)".utf8), in: nil, item, .blanked))
      }
    }
    return (result, findings)
  }

  private static let endings = ["pass", "pw", "pwd"].map { Array($0.utf8) }

  private static func isSecret(_ name: [UInt8]) -> Bool {
    SecretNames.isSecret(name)
      || endings.contains { name.suffix($0.count).elementsEqual($0) }
  }

  private static func scan(_ value: String) -> (String, [SecretVerdict.Item]) {
    // A comma or a blank ends a value in the list.
    let bytes = Array(value.utf8)
    var redactions: [Redaction] = []
    var items: [SecretVerdict.Item] = []
    for match in SecretForms.standard.matches(in: bytes) {
      let form = SecretForms.standard.forms[match.form]
      redactions.append(match.redaction)
      items.append(.init(kind: form.kind, rule: form.id, reason: form.reason))
    }
    let names = ValueFinder(isSecret: isSecret, isStrict: true).find(bytes).filter { new in
      !redactions.contains { $0.range.overlaps(new.range) }
    }
    if !names.isEmpty {
      redactions += names
      items.append(
        .init(
          kind: .configuredPassword, rule: SecretExaminer.namedRule,
          reason: "value with the name of a password"))
    }
    let urls = URLPasswords.find(bytes)
    if !urls.isEmpty {
      redactions += urls
      items.append(
        .init(kind: .urlPassword, rule: SecretExaminer.urlRule, reason: "password in a URL"))
    }
    if items.isEmpty { return (value, []) }
    return (String(decoding: Redaction.apply(redactions, to: bytes), as: UTF8.self), items)
  }
}
