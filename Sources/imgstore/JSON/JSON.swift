// The JSON forms of images, entries, snapshots and their comparison (docs/json.md).
//
// 1. Keys are sorted.
// 2. Paths are printable, in a spelling from which a program can restore the bytes (PrintableBytes.swift).

import FoundationEssentials
import Images
import Platform
import Store

struct DefinitionJSON: JSONDocument {
  static let kind = "definition"
  let name: String
  let attributes: [String: String]
}

struct ImageJSON: Codable {
  let name: String
  let defined: Bool
  let provmethod: String
  let directory: String?
  let snapshots: Int
  /// The id of the latest snapshot.
  let latest: String?
  let latestNumber: Int?
  let latestCreated: String?
  /// The time at which a snapshot was last taken, or `snapshot --if-changed` last found no change.
  let lastChecked: String?
  /// Later snapshots that are unreadable.
  let unreadable: [UnreadableJSON]?
  let unfinished: UnfinishedJSON?

  init(_ image: ImageSummary) {
    name = image.name
    defined = image.isDefined
    provmethod = image.provisioning?.text ?? ""
    directory = image.directory
    snapshots = image.snapshots
    latest = image.latest?.id.hex
    latestNumber = image.latest?.number
    latestCreated = image.latest.map { isoText($0.snapshot.created) }
    lastChecked = image.lastChecked.map(isoText)
    unreadable = UnreadableJSON.list(image.unreadable)
    unfinished = image.unfinished.map(UnfinishedJSON.init)
  }
}

struct EntryJSON: JSONDocument {
  static let kind = "entry"
  let path: String
  let kind: String
  let mode: String
  let uid: UInt32
  let gid: UInt32
  let modified: String
  let sizeBytes: UInt64?
  let sha256: String?
  let tree: String?
  let target: String?
  let device: [UInt32]?
  let xattrs: String?
  let holes: String?
  let flags: String?
  let unreadable: Bool?
  let hardLinked: Bool

  init(_ path: [UInt8], _ entry: Entry) {
    self.path = printable(path)
    kind = entry.kind.noun
    mode = String(entry.mode, radix: 8)
    uid = entry.uid
    gid = entry.gid
    modified = isoText(entry.modified)
    sizeBytes = entry.kind == .file ? entry.sizeBytes : nil
    sha256 = entry.mayHaveSparseID ? nil : entry.blob?.hex
    tree = entry.tree?.hex
    if case .symlink(let bytes) = entry.content { target = printable(bytes) } else { target = nil }
    if case .device(_, let number) = entry.content {
      device = [number.major, number.minor]
    } else {
      device = nil
    }
    xattrs = entry.xattrs?.hex
    holes = entry.holes?.hex
    flags = entry.flags.isEmpty ? nil : entry.flags.letters
    unreadable = entry.content.isMissing ? true : nil
    hardLinked = entry.linkGroup != 0
  }
}

struct NoteJSON: Codable {
  let kind: String
  let path: String
  let detail: String

  init(_ note: Snapshot.Note) {
    kind = "\(note.kind)"
    path = printable(note.path)
    detail = note.detail
  }
}

struct SnapshotJSON: JSONDocument {
  static let kind = "snapshot"
  struct Piece: Codable {
    let role: String
    let entry: EntryJSON
  }
  let name: String
  let number: Int
  let id: String
  let image: String
  let created: String
  let parent: String?
  let message: String
  let tags: [String]
  let pin: PinnedJSON?
  let origin: SnapshotOrigin
  let signed: Bool?
  let signatures: [SignatureJSON]?
  let complete: Bool
  let entries: UInt64
  let contentBytes: UInt64
  let provenance: [String: String]
  let tables: [String: [[String: String]]]?
  let pieces: [Piece]?
  let notes: [NoteJSON]?

  /// - Parameters:
  ///   - pin: The reason of its pin; nil if it is not pinned.
  ///   - full: Whether the document has tables, pieces and notes.
  ///   - isSigned: Whether the snapshot itself is signed; nil if that was not checked.
  ///   - signatures: The verdicts on its signatures; nil if none was checked.
  init(
    _ committed: CommittedSnapshot, tags: [String], pin: String? = nil, full: Bool,
    isSigned: Bool? = nil,
    signatures: [SignatureStatus]? = nil
  ) {
    signed = isSigned ?? signatures.map { $0.contains { $0.kind == .signed } }
    self.signatures = signatures?.map(SignatureJSON.init)
    let snapshot = committed.snapshot
    name = committed.name
    number = committed.number
    id = committed.id.hex
    image = snapshot.image
    created = isoText(snapshot.created)
    parent = snapshot.parent?.hex
    message = snapshot.message
    self.tags = tags
    self.pin = pin.map(PinnedJSON.init)
    origin = snapshot.origin
    complete = snapshot.isComplete
    entries = snapshot.entryCount
    contentBytes = snapshot.contentBytes
    provenance = Dictionary(snapshot.provenance.map { ($0.key, $0.value) }) { $1 }
    tables = full ? Dictionary(snapshot.tables.map { ($0.name, $0.rows) }) { $0 + $1 } : nil
    pieces =
      full
      ? snapshot.components.map { Piece(role: $0.role.text, entry: EntryJSON($0.path, $0.entry)) }
      : nil
    notes = full ? snapshot.notes.map(NoteJSON.init) : nil
  }
}

struct SnapshotOutcomeJSON: JSONDocument {
  static let kind = "new-snapshot"
  let snapshot: SnapshotJSON
  let sameAs: Int?
  let recorded: Bool
  let readBytes: UInt64
  let storedBytes: UInt64
  let recipes: [RecipeJSON]
  /// The id of the key that signed the snapshot.
  let signedBy: String?
  let seconds: Double

  init(_ outcome: SnapshotOutcome, tags: [String], signedBy: String? = nil) {
    self.signedBy = signedBy
    snapshot = SnapshotJSON(outcome.committed, tags: tags, full: true)
    sameAs = outcome.sameAs
    recorded = outcome.isNew
    readBytes = outcome.readBytes
    storedBytes = outcome.storedBytes
    recipes = outcome.recipes.map(RecipeJSON.init)
    seconds = outcome.seconds
  }
}

struct StatusJSON: JSONDocument {
  static let kind = "status"
  let snapshot: String
  let id: String
  /// Who took the snapshot: a person, an import, a copy, or a command for its own purposes.
  let origin: SnapshotOrigin
  /// The latest snapshot that a person took or reverted to, if the compared one is a later, automatic one.
  let baseline: String?
  let identical: Bool
  let entries: UInt64
  let readBytes: UInt64
  let seconds: Double
  let diff: DiffJSON
  let notes: [NoteJSON]
  let excluded: [ExcludedJSON]
  let excludedBefore: [ExcludedJSON]
  let unfinished: UnfinishedJSON?
  let bootFiles: BootFilesJSON?
  /// The nodes that boot the image; nil for an image that xCAT does not define.
  let nodes: [String]?

  init(_ status: StatusOutcome, _ boot: BootCheck, _ check: NodeCheck) {
    nodes = check.nodes?.names
    bootFiles = BootFilesJSON(boot)
    snapshot = status.snapshot.name
    id = status.snapshot.id.hex
    origin = status.snapshot.snapshot.origin
    baseline = status.baseline?.name
    identical = status.isClean
    entries = status.entryCount
    readBytes = status.readBytes
    seconds = status.seconds
    diff = DiffJSON(status.diff)
    notes = status.notes.map(NoteJSON.init)
    excluded = status.excluded.map { ExcludedJSON(pattern: $0.pattern, entries: $0.entries) }
    excludedBefore = status.excludedBefore.map {
      ExcludedJSON(pattern: $0.pattern, entries: $0.entries)
    }
    unfinished = status.unfinished.map(UnfinishedJSON.init)
  }
}

/// The document of `status --all`.
struct StatusesJSON: JSONDocument {
  static let kind = "statuses"
  let images: [StatusJSON]
}

/// A pattern, and the number of entries that it leaves out of a live tree.
struct ExcludedJSON: Codable {
  let pattern: String
  let entries: Int
}
