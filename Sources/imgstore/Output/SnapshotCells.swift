// The cells of a snapshot in a table, for `log` with a path and for `blame`.

import Images

/// Returns the cells of a snapshot: "@3", its id, its time, and its tags with the message.
func snapshotCells(_ committed: CommittedSnapshot, _ tags: [String]) -> [String] {
  let message = committed.snapshot.message
  let words = tags.map { "[\($0)]" } + (message.isEmpty ? [] : [printable(message.utf8)])
  return [
    "@\(committed.number)", committed.id.shortHex, timeText(committed.snapshot.created),
    words.joined(separator: " "),
  ]
}

/// Returns " (automatic: MESSAGE)" for a snapshot that a command took for its own purposes; else nothing.
func automaticText(_ snapshot: Snapshot) -> String {
  guard snapshot.origin.isAutomatic else { return "" }
  let message = printable(snapshot.message.utf8)
  return message.isEmpty ? " (automatic)" : " (automatic: \(message))"
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
