// The documents that are lists, or that have few keys (docs/json.md).

import Images

/// The document of `status --all`.
struct StatusesJSON: JSONDocument {
  let images: [StatusJSON]

  static let form = JSONForm<Self>(kind: "statuses") { key in key("images", \.images) }
}

/// The document of `snapshot` for several images.
struct NewSnapshotsJSON: JSONDocument {
  let snapshots: [SnapshotOutcomeJSON]
  /// The images without a snapshot, with the reasons.
  let failures: [SnapshotFailure]

  static let form = JSONForm<Self>(kind: "new-snapshots") { key in
    key("snapshots", \.snapshots)
    key("failures", \.failures)
  }
}

/// The document of `snapshot --dry-run` for several images.
struct SnapshotPlansJSON: JSONDocument {
  let snapshots: [SnapshotPlan]
  let failures: [SnapshotFailure]

  static let form = JSONForm<Self>(kind: "snapshot-plans") { key in
    key("snapshots", \.snapshots)
    key("failures", \.failures)
  }
}

/// The document of `grep`.
struct MatchesJSON: JSONListDocument {
  static let form = JSONForm<Self>(kind: "matches") { key in key("matches", \.list) }
  let list: [MatchJSON]
}

/// A line that matches, or a file of which no line is printed.
struct MatchJSON: JSONObject {
  let path: String
  var line: Int?
  var text: String?
  let isBinary: Bool

  static let form = JSONForm<Self> { key in
    key("path", \.path)
    key("line", \.line)
    key("text", \.text)
    key("binary", \.isBinary)
  }
}

struct KeysJSON: JSONDocument {
  let keys: [KeyJSON]

  static let form = JSONForm<Self>(kind: "keys") { key in key("keys", \.keys) }
}

/// The document of `sign`.
struct SignaturesMadeJSON: JSONDocument {
  let snapshots: [CommittedSnapshot]
  let key: PublicKey

  static let form = JSONForm<Self>(kind: "signed") { key in
    key("signed") { document in document.snapshots.map { Signed(snapshot: $0, key: document.key) } }
  }

  private struct Signed: JSONObject {
    let snapshot: CommittedSnapshot
    let key: PublicKey

    static let form = JSONForm<Self>("Signed") { key in
      key("snapshot", \.snapshot.name)
      key("id", \.snapshot.id.hex)
      key("key", \.key.id.hex)
    }
  }
}

/// The document of `untag`: the snapshot that had the tag, or IMAGE@TAG if the tag was damaged.
struct UntagJSON: JSONDocument {
  let snapshot: String

  static let form = JSONForm<Self>(kind: "untag") { key in key("snapshot", \.snapshot) }
}

/// The document of `pin` and `pins`.
struct PinsJSON: JSONDocument {
  let pins: [PinJSON]
  /// The damaged pins, in a list of all pins.
  var damagedMarks: [DamagedMark] = []

  static let form = JSONForm<Self>(kind: "pins") { key in
    key("pins", \.pins)
    key("damagedMarks") { $0.damagedMarks.isEmpty ? nil : $0.damagedMarks }
  }
}

struct PinJSON: JSONObject {
  let snapshot: String
  let reason: String

  static let form = JSONForm<Self> { key in
    key("snapshot", \.snapshot)
    key("reason", \.reason)
  }
}

/// The document of `unpin`.
struct UnpinJSON: JSONDocument {
  let snapshots: [String]

  static let form = JSONForm<Self>(kind: "unpinned") { key in key("snapshots", \.snapshots) }
}

/// The document of `define` for one image.
struct DefinitionJSON: JSONDocument {
  let name: String
  let attributes: [String: String]

  static let form = JSONForm<Self>(kind: "definition") { key in
    key("name", \.name)
    key("attributes", \.attributes)
  }
}

/// The document of `define -z`: the images that were defined.
struct DefinitionsSetJSON: JSONDocument {
  let names: [String]

  static let form = JSONForm<Self>(kind: "definitions-set") { key in key("names", \.names) }
}

/// The document of `define --csv`.
struct RowsSetJSON: JSONDocument {
  let table: String
  let rows: Int

  static let form = JSONForm<Self>(kind: "rows-set") { key in
    key("table", \.table)
    key("rows", \.rows)
  }
}

/// The document of `remove --definition`.
struct RemovedDefinitionsJSON: JSONDocument {
  let isDryRun: Bool
  let removed: [RemovedDefinition]

  static let form = JSONForm<Self>(kind: "removed-definitions") { key in
    key("dryRun", \.isDryRun)
    key("removed", \.removed)
  }
}
