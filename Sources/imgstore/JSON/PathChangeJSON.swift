// The JSON form of a change in the history of a path (docs/json.md).

import Images
import Platform

struct PathChangeJSON: Codable {
  let snapshot: String
  let number: Int
  let id: String
  let created: String
  let message: String
  let path: String
  let change: String
  let fields: [String]
  let old: EntryJSON?
  let new: EntryJSON?

  init(_ change: PathChange) {
    snapshot = change.committed.name
    number = change.committed.number
    id = change.committed.id.hex
    created = isoText(change.committed.snapshot.created)
    message = change.committed.snapshot.message
    path = printable(change.path)
    self.change = change.old == nil ? "added" : change.new == nil ? "removed" : "changed"
    fields = change.fields.names
    old = change.old.map { EntryJSON(change.path, $0) }
    new = change.new.map { EntryJSON(change.path, $0) }
  }
}
