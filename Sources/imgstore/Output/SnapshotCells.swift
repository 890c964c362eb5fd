// The cells of a snapshot in a table, for `log` with a path and for `blame`.

import Platform
import Store

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
