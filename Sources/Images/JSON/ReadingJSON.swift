// The documents of commands that look at a store (docs/json.md). The HTTP server gives the same ones.

import FoundationEssentials
import Platform
import Store

public struct ImagesJSON: JSONDocument {
  public let images: [ImageSummary]

  /// Creates the document.
  public init(images: [ImageSummary]) {
    self.images = images
  }

  public static let form = JSONForm<Self>(kind: "images") { key in key("images", \.images) }
}

/// The document of `log`.
public struct SnapshotsJSON: JSONDocument {
  public let snapshots: [SnapshotJSON]
  public let unreadable: [UnreadableSnapshot]
  public let damagedMarks: [DamagedMark]

  /// Creates the document.
  public init(
    snapshots: [SnapshotJSON], unreadable: [UnreadableSnapshot], damagedMarks: [DamagedMark]
  ) {
    self.snapshots = snapshots
    self.unreadable = unreadable
    self.damagedMarks = damagedMarks
  }

  public static let form = JSONForm<Self>(kind: "snapshots") { key in
    key("snapshots", \.snapshots)
    key("unreadable") { $0.unreadable.isEmpty ? nil : $0.unreadable }
    key("damagedMarks") { $0.damagedMarks.isEmpty ? nil : $0.damagedMarks }
  }
}

/// The document of `log` with a path.
public struct PathHistoryJSON: JSONDocument {
  public let changes: [PathChange]

  /// Creates the document.
  public init(changes: [PathChange]) {
    self.changes = changes
  }

  public static let form = JSONForm<Self>(kind: "path-history") { key in key("changes", \.changes) }
}

public struct BlameJSON: JSONDocument {
  public let snapshot: SnapshotJSON
  public let entry: LocatedEntry

  /// Creates the document.
  public init(snapshot: SnapshotJSON, entry: LocatedEntry) {
    self.snapshot = snapshot
    self.entry = entry
  }

  public static let form = JSONForm<Self>(kind: "blame") { key in
    key("snapshot", \.snapshot)
    key("entry", \.entry)
  }
}

/// The document of `ls` and `find`.
public struct EntriesJSON: JSONListDocument {
  public static let form = JSONForm<Self>(kind: "entries") { key in key("entries", \.list) }
  public let list: [LocatedEntry]
}

/// The document of `cat`.
public struct FilesJSON: JSONDocument {
  /// The largest size of the content of all files together.
  public static let maxBytes: UInt64 = 16 << 20
  public let files: [FileJSON]

  /// Creates the document.
  public init(files: [FileJSON]) {
    self.files = files
  }

  public static let form = JSONForm<Self>(kind: "files") { key in key("files", \.files) }
}

/// A file with its content.
public struct FileJSON: JSONObject {
  public let found: LocatedEntry
  public let bytes: [UInt8]
  /// The content, if it is UTF-8.
  private let text: String?

  public init(_ found: LocatedEntry, _ bytes: [UInt8]) {
    (self.found, self.bytes) = (found, bytes)
    text = String(validating: bytes, as: UTF8.self)
  }

  public static let form = JSONForm<Self> { key in
    key("path") { printable($0.found.path) }
    key("sizeBytes") { UInt64($0.bytes.count) }
    key("sha256") { $0.found.entry.mayHaveSparseID ? nil : $0.found.entry.blob?.hex }
    key("text", \.text)
    key("base64") { $0.text == nil ? Data($0.bytes).base64EncodedString() : nil }
  }
}

public struct TagJSON: JSONDocument {
  public let tag: String
  public let snapshot: String
  public var movedFrom: String?

  /// Creates the document.
  public init(tag: String, snapshot: String, movedFrom: String? = nil) {
    self.tag = tag
    self.snapshot = snapshot
    self.movedFrom = movedFrom
  }

  public static let form = JSONForm<Self>(kind: "tag") { key in
    key("tag", \.tag)
    key("snapshot", \.snapshot)
    key("movedFrom", \.movedFrom)
  }
}

public struct TagsJSON: JSONDocument {
  public let tags: [TagJSON]
  public let damagedMarks: [DamagedMark]

  /// Creates the document.
  public init(tags: [TagJSON], damagedMarks: [DamagedMark]) {
    self.tags = tags
    self.damagedMarks = damagedMarks
  }

  public static let form = JSONForm<Self>(kind: "tags") { key in
    key("tags", \.tags)
    key("damagedMarks") { $0.damagedMarks.isEmpty ? nil : $0.damagedMarks }
  }
}
