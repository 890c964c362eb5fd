// Documents that are lists, or little more than a name (docs/json.md).

import Images
import Platform
import Store

struct ImagesJSON: JSONDocument {
  static let kind = "images"
  let images: [ImageJSON]
}

/// Of `log`.
struct SnapshotsJSON: JSONDocument {
  static let kind = "snapshots"
  let snapshots: [SnapshotJSON]
  /// Those that the store has lost, or cannot read; nil where there are none.
  let unreadable: [UnreadableJSON]?
}

struct UnreadableJSON: Codable {
  static func list(_ snapshots: [UnreadableSnapshot]) -> [UnreadableJSON]? {
    snapshots.isEmpty ? nil : snapshots.map(UnreadableJSON.init)
  }

  let name: String
  let number: Int
  let finding: String

  init(_ snapshot: UnreadableSnapshot) {
    (name, number, finding) = ("\(snapshot.name)", snapshot.name.number, snapshot.finding)
  }
}

/// Of `log` with a path.
struct PathHistoryJSON: JSONDocument {
  static let kind = "path-history"
  let changes: [PathChangeJSON]
}

/// Of `snapshot`, of several images.
struct NewSnapshotsJSON: JSONDocument {
  static let kind = "new-snapshots"
  let snapshots: [SnapshotOutcomeJSON]
  /// Why other images have none.
  let failures: [SnapshotFailureJSON]
}

/// An image of which no snapshot was taken: the keys of an error, and the image's name.
struct SnapshotFailureJSON: Codable {
  let image: String
  let code: ErrorCode
  let object: String
  let message: String
  let advice: String

  init(_ image: String, _ error: any ExplainedError) {
    (self.image, code) = (image, error.errorCode)
    (object, message, advice) = (error.object, error.finding, error.advice)
  }
}

/// Of `ls` and `find`.
struct EntriesJSON: JSONListDocument {
  typealias Element = EntryJSON
  static let kind = "entries"
  static let listKey = "entries"
  let entries: [EntryJSON]
}

/// Of `grep`.
struct MatchesJSON: JSONListDocument {
  typealias Element = MatchJSON
  static let kind = "matches"
  static let listKey = "matches"
  let matches: [MatchJSON]
}

struct KeysJSON: JSONDocument {
  static let kind = "keys"
  let keys: [KeyJSON]
}

/// Of `sign`.
struct SignaturesMadeJSON: JSONDocument {
  static let kind = "signed"
  let signed: [SignedJSON]
}

struct TagsJSON: JSONDocument {
  static let kind = "tags"
  let tags: [TagJSON]
}

/// The snapshot that a tag stood for.
struct UntagJSON: JSONDocument {
  static let kind = "untag"
  let snapshot: String
}

/// Of `pin`.
struct PinsJSON: JSONDocument {
  static let kind = "pins"
  let pins: [PinJSON]
}

struct PinJSON: Codable {
  let snapshot: String
  let reason: String
}

/// Of `unpin`.
struct UnpinJSON: JSONDocument {
  static let kind = "unpinned"
  let snapshots: [String]
}

/// The pin of a snapshot.
struct PinnedJSON: Codable {
  /// Empty where none was given.
  let reason: String
}

/// Of `define -z`: the images that were defined.
struct DefinitionsSetJSON: JSONDocument {
  static let kind = "definitions-set"
  let names: [String]
}

/// Of `define --csv`.
struct RowsSetJSON: JSONDocument {
  static let kind = "rows-set"
  let table: String
  let rows: Int
}
