// The JSON forms of snapshots, of new ones and of `status` (docs/json.md).

import Images

struct SnapshotOutcomeJSON: JSONDocument {
  let outcome: SnapshotOutcome
  let tags: [String]
  /// The id of the key that signed the snapshot.
  let signedBy: String?

  static let form = JSONForm<Self>(kind: "new-snapshot") { key in
    key("snapshot") { SnapshotJSON(committed: $0.outcome.committed, tags: $0.tags, full: true) }
    key("sameAs", \.outcome.sameAs)
    key("recorded", \.outcome.isNew)
    key("readBytes", \.outcome.readBytes)
    key("storedBytes", \.outcome.storedBytes)
    key("recipes", \.outcome.recipes)
    key("signedBy", \.signedBy)
    key("seconds", \.outcome.seconds)
  }
}

struct StatusJSON: JSONDocument {
  let status: StatusOutcome
  let boot: BootCheck
  let nodes: NodeCheck

  static let form = JSONForm<Self>(kind: "status") { key in
    key("snapshot", \.status.snapshot.name)
    key("id", \.status.snapshot.id.hex)
    key("origin", \.status.snapshot.snapshot.origin)
    key("baseline", \.status.baseline?.name)
    key("identical", \.status.isClean)
    key("entries", \.status.entryCount)
    key("readBytes", \.status.readBytes)
    key("seconds", \.status.seconds)
    key("diff") { DiffJSON($0.status.diff) }
    key("notes", \.status.notes)
    key("excluded") { $0.status.excluded.map(Excluded.init) }
    key("excludedBefore") { $0.status.excludedBefore.map(Excluded.init) }
    key("unfinished", \.status.unfinished)
    key("bootFiles") { BootFilesJSON($0.boot) }
    key("nodes", \.nodes.nodes?.names)
  }

  /// A pattern, and the number of entries that it leaves out of a live tree.
  private struct Excluded: JSONObject {
    let pattern: String
    let entries: Int

    static let form = JSONForm<Self>("Excluded") { key in
      key("pattern", \.pattern)
      key("entries", \.entries)
    }
  }
}
