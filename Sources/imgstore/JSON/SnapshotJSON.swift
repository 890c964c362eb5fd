// The JSON forms of snapshots, of new ones and of `status` (docs/json.md).

import Images

/// A snapshot, with its tags and its pin.
struct SnapshotJSON: JSONDocument {
  let committed: CommittedSnapshot
  let tags: [String]
  /// The reason of its pin; nil if it is not pinned.
  var pin: String?
  /// Whether the document has tables, pieces and notes.
  let full: Bool
  /// Whether the snapshot itself is signed; nil if that was not checked.
  var isSigned: Bool?
  /// Where it came from; nil if it was taken here.
  var pulledFrom: OriginRecord?
  /// The verdicts on its signatures; nil if none was checked.
  var signatures: [SignatureStatus]?

  static let form = JSONForm<Self>(kind: "snapshot") { key in
    key("name", \.committed.name)
    key("number", \.committed.number)
    key("id", \.committed.id.hex)
    key("image", \.snapshot.image)
    key("created") { isoText($0.snapshot.created) }
    key("parent", \.snapshot.parent?.hex)
    key("message", \.snapshot.message)
    key("tags", \.tags)
    key("pin") { $0.pin.map(Pin.init) }
    key("origin", \.snapshot.origin)
    key("pulledFrom", \.pulledFrom)
    key("signed") { $0.isSigned ?? $0.signatures.map { $0.contains { $0.kind == .signed } } }
    key("signatures", \.signatures)
    key("complete", \.snapshot.isComplete)
    key("entries", \.snapshot.entryCount)
    key("contentBytes", \.snapshot.contentBytes)
    key("provenance") { Dictionary($0.snapshot.provenance.map { ($0.key, $0.value) }) { $1 } }
    key("tables") {
      $0.full ? Dictionary($0.snapshot.tables.map { ($0.name, $0.rows) }) { $0 + $1 } : nil
    }
    key("pieces") { $0.full ? $0.snapshot.components : nil }
    key("notes") { $0.full ? $0.snapshot.notes : nil }
  }

  private var snapshot: Snapshot { committed.snapshot }

  private struct Pin: JSONObject {
    let reason: String

    static let form = JSONForm<Self>("Pinned") { key in key("reason", \.reason) }
  }
}

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
