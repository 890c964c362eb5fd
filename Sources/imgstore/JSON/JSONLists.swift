// The documents that are lists, or that have few keys (docs/json.md).

import Images
import Platform
import Store

struct ImagesJSON: JSONDocument {
  static let kind = "images"
  let images: [ImageJSON]
}

/// The document of `log`.
struct SnapshotsJSON: JSONDocument {
  static let kind = "snapshots"
  let snapshots: [SnapshotJSON]
  /// The snapshots that are lost or unreadable; nil if there are none.
  let unreadable: [UnreadableJSON]?
  /// The damaged tags and pins; nil if there are none.
  let damagedMarks: [DamagedMarkJSON]?
}

/// A tag or pin whose file is damaged.
struct DamagedMarkJSON: Codable {
  /// Returns the list of damaged marks; nil if it is empty.
  static func list(_ marks: [DamagedMark]) -> [DamagedMarkJSON]? {
    marks.isEmpty ? nil : marks.map(DamagedMarkJSON.init)
  }

  /// "tag" or "pin".
  let kind: String
  /// The reference, such as "compute@golden".
  let name: String
  let finding: String

  init(_ mark: DamagedMark) {
    (kind, name, finding) = ("\(mark.kind)", mark.reference, mark.reason)
  }
}

struct UnreadableJSON: Codable {
  /// Returns the list of unreadable snapshots; nil if it is empty.
  static func list(_ snapshots: [UnreadableSnapshot]) -> [UnreadableJSON]? {
    snapshots.isEmpty ? nil : snapshots.map(UnreadableJSON.init)
  }

  let name: String
  let number: Int
  let finding: String

  init(_ snapshot: UnreadableSnapshot) {
    (name, number, finding) = ("\(snapshot.name)", snapshot.name.number, snapshot.reason)
  }
}

/// The document of `log` with a path.
struct PathHistoryJSON: JSONDocument {
  static let kind = "path-history"
  let changes: [PathChangeJSON]
}

/// The document of `snapshot` for several images.
struct NewSnapshotsJSON: JSONDocument {
  static let kind = "new-snapshots"
  let snapshots: [SnapshotOutcomeJSON]
  /// The images without a snapshot, with the reasons.
  let failures: [SnapshotFailureJSON]
}

/// An image whose snapshot failed: its name, and the keys of an error.
struct SnapshotFailureJSON: Codable {
  let image: String
  let code: ErrorCode
  let category: ErrorCategory
  let object: String
  let message: String
  let advice: String

  init(_ image: String, _ error: any ExplainedError) {
    (self.image, code, category) = (image, error.errorCode, error.errorCode.category)
    (object, message, advice) = (error.subject, error.reason, error.hint)
  }
}

/// The document of `ls` and `find`.
struct EntriesJSON: JSONListDocument {
  typealias Element = EntryJSON
  static let kind = "entries"
  static let listKey = "entries"
  let entries: [EntryJSON]
}

/// The document of `grep`.
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

/// The document of `sign`.
struct SignaturesMadeJSON: JSONDocument {
  static let kind = "signed"
  let signed: [SignedJSON]
}

struct TagsJSON: JSONDocument {
  static let kind = "tags"
  let tags: [TagJSON]
  let damagedMarks: [DamagedMarkJSON]?
}

/// The document of `untag`: the snapshot that had the tag, or IMAGE@TAG if the tag was damaged.
struct UntagJSON: JSONDocument {
  static let kind = "untag"
  let snapshot: String
}

/// The document of `pin` and `pins`.
struct PinsJSON: JSONDocument {
  static let kind = "pins"
  let pins: [PinJSON]
  /// The damaged pins, in a list of all pins.
  var damagedMarks: [DamagedMarkJSON]?
}

struct PinJSON: Codable {
  let snapshot: String
  let reason: String
}

/// The document of `unpin`.
struct UnpinJSON: JSONDocument {
  static let kind = "unpinned"
  let snapshots: [String]
}

/// The pin of a snapshot.
struct PinnedJSON: Codable {
  /// The reason; empty if there is none.
  let reason: String
}

/// The document of `define -z`: the images that were defined.
struct DefinitionsSetJSON: JSONDocument {
  static let kind = "definitions-set"
  let names: [String]
}

/// The document of `define --csv`.
struct RowsSetJSON: JSONDocument {
  static let kind = "rows-set"
  let table: String
  let rows: Int
}
