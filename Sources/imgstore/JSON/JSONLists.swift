// The documents that are lists, or that have few keys (docs/json.md).

import FoundationEssentials
import Images

struct ImagesJSON: JSONDocument {
  let images: [ImageSummary]

  static let form = JSONForm<Self>(kind: "images") { key in key("images", \.images) }
}

/// The document of `log`.
struct SnapshotsJSON: JSONDocument {
  let snapshots: [SnapshotJSON]
  let unreadable: [UnreadableSnapshot]
  let damagedMarks: [DamagedMark]

  static let form = JSONForm<Self>(kind: "snapshots") { key in
    key("snapshots", \.snapshots)
    key("unreadable") { $0.unreadable.isEmpty ? nil : $0.unreadable }
    key("damagedMarks") { $0.damagedMarks.isEmpty ? nil : $0.damagedMarks }
  }
}

/// The document of `status --all`.
struct StatusesJSON: JSONDocument {
  let images: [StatusJSON]

  static let form = JSONForm<Self>(kind: "statuses") { key in key("images", \.images) }
}

/// The document of `log` with a path.
struct PathHistoryJSON: JSONDocument {
  let changes: [PathChange]

  static let form = JSONForm<Self>(kind: "path-history") { key in key("changes", \.changes) }
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

struct BlameJSON: JSONDocument {
  let snapshot: SnapshotJSON
  let entry: LocatedEntry

  static let form = JSONForm<Self>(kind: "blame") { key in
    key("snapshot", \.snapshot)
    key("entry", \.entry)
  }
}

/// The document of `ls` and `find`.
struct EntriesJSON: JSONListDocument {
  static let form = JSONForm<Self>(kind: "entries") { key in key("entries", \.list) }
  let list: [LocatedEntry]
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

/// The document of `cat`.
struct FilesJSON: JSONDocument {
  /// The largest size of the content of all files together.
  static let maxBytes: UInt64 = 16 << 20
  let files: [FileJSON]

  static let form = JSONForm<Self>(kind: "files") { key in key("files", \.files) }
}

/// A file with its content.
struct FileJSON: JSONObject {
  let found: LocatedEntry
  let bytes: [UInt8]
  /// The content, if it is UTF-8.
  private let text: String?

  init(_ found: LocatedEntry, _ bytes: [UInt8]) {
    (self.found, self.bytes) = (found, bytes)
    text = String(validating: bytes, as: UTF8.self)
  }

  static let form = JSONForm<Self> { key in
    key("path") { printable($0.found.path) }
    key("sizeBytes") { UInt64($0.bytes.count) }
    key("sha256") { $0.found.entry.mayHaveSparseID ? nil : $0.found.entry.blob?.hex }
    key("text", \.text)
    key("base64") { $0.text == nil ? Data($0.bytes).base64EncodedString() : nil }
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

struct TagJSON: JSONDocument {
  let tag: String
  let snapshot: String
  var movedFrom: String?

  static let form = JSONForm<Self>(kind: "tag") { key in
    key("tag", \.tag)
    key("snapshot", \.snapshot)
    key("movedFrom", \.movedFrom)
  }
}

struct TagsJSON: JSONDocument {
  let tags: [TagJSON]
  let damagedMarks: [DamagedMark]

  static let form = JSONForm<Self>(kind: "tags") { key in
    key("tags", \.tags)
    key("damagedMarks") { $0.damagedMarks.isEmpty ? nil : $0.damagedMarks }
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
