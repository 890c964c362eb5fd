// One state of one image: definition, trees and files, and where they came from (docs/format.md,
// "Snapshots"). A snapshot's id is the SHA-256 of its encoding.

import Codec
import Platform

/// Holds the content of a snapshot. Only the modules above Store interpret the rows, which are xCAT's.
public struct Snapshot: Hashable, Sendable {
  /// Rows of one table of the definition; a row maps column names to values.
  public struct Table: Hashable, Sendable {
    public var name: String
    public var rows: [[String: String]]
    public init(name: String, rows: [[String: String]]) {
      self.name = name
      self.rows = rows
    }
  }

  /// A tree or a file of the image, with the absolute path where it belongs.
  public struct Component: Hashable, Sendable {
    public var role: Role
    public var path: [UInt8]
    /// The root entry; its name is empty.
    public var entry: Entry
    public init(role: Role, path: [UInt8], entry: Entry) {
      self.role = role
      self.path = path
      self.entry = entry
    }
  }

  /// A part of the image that the snapshot does not hold exactly, or excludes on purpose.
  public struct Note: Hashable, Sendable {
    /// Why there is a note. The raw values are on disk (docs/format.md).
    public enum Kind: UInt8, Sendable {
      /// A mount point; the capture did not look below it.
      case mountPoint = 1
      /// The entry could not be read.
      case unreadable = 2
      /// The file changed while it was read.
      case changedWhileRead = 3
      /// The entry disappeared during the capture.
      case vanished = 4
      /// A file that an attribute of the definition names does not exist.
      case absent = 5
      /// The image's directory contains neither a tree nor a kernel nor a packed image.
      case noImageFiles = 6
      /// The store itself, or a file of an unfinished change. Neither is ever part of a tree.
      case ownFiles = 7
      /// The root of a btrfs subvolume, captured as a directory.
      case subvolume = 8
      /// A read-only btrfs subvolume that is a snapshot of another subvolume: excluded.
      case subvolumeSnapshot = 9
      /// A file system is mounted on this directory, which is a component or contains one.
      case mountedFolder = 10
      /// Neither the kernel nor /proc lists the mounts below a component.
      case unknownMounts = 11
      /// A pattern excludes the entry. Snapshots store the patterns and never this note. It makes the
      /// planner leave such entries of a live tree unchanged.
      case excluded = 12
      /// The archive that the tree came from had more attributes of its entries than the snapshot keeps.
      case attributesLost = 20
    }
    /// A reason for a note of the kind `absent` that decides what a revert does. The raw values are on disk,
    /// as the note's detail (docs/format.md). They are the sentences that all earlier versions wrote and
    /// compare.
    public enum ReasonCode: String, Sendable, CaseIterable {
      /// A file that a change created. A revert to the snapshot removes it.
      case createdFile = "not there before the import"
      /// A directory that a change created. A revert removes it while it is empty.
      case createdDirectory = "a folder not there before the import"
    }
    public var kind: Kind
    public var path: [UInt8]
    /// A reason code, or text for people.
    public var detail: String
    public init(_ kind: Kind, path: [UInt8], detail: String = "") {
      self.kind = kind
      self.path = path
      self.detail = detail
    }
    /// Creates a note on a path that did not exist before a change.
    public init(_ code: ReasonCode, path: [UInt8]) {
      self.init(.absent, path: path, detail: code.rawValue)
    }
    /// The reason code; nil if the detail is text for people.
    public var code: ReasonCode? { kind == .absent ? ReasonCode(rawValue: detail) : nil }
    /// Returns true if the snapshot is not the exact state because of this note.
    public var isProblem: Bool {
      switch kind {
      case .unreadable, .changedWhileRead, .vanished, .noImageFiles, .unknownMounts,
        .attributesLost:
        true
      case .mountPoint, .absent, .ownFiles, .subvolume, .subvolumeSnapshot, .mountedFolder,
        .excluded:
        false
      }
    }

    /// Returns true if the path is not part of the image, so that no command changes it.
    public var isExclusion: Bool {
      switch kind {
      case .mountPoint, .ownFiles, .subvolumeSnapshot, .excluded: true
      case .unreadable, .changedWhileRead, .vanished, .absent, .noImageFiles, .subvolume,
        .mountedFolder, .unknownMounts, .attributesLost:
        false
      }
    }
  }

  /// A named fact that travels with the image. A key may occur several times.
  public struct Fact: Hashable, Sendable {
    public var key: String
    public var value: String
    public init(_ key: String, _ value: String) {
      self.key = key
      self.value = value
    }
  }

  public var image: String
  public var created: Timestamp
  /// The id of the snapshot that was the latest when this one was taken.
  public var parent: Digest?
  public var message: String
  /// Where the snapshot was taken, by whom and with what: "host", "user", "command", "tool".
  public var provenance: [Fact]
  public var tables: [Table]
  public var components: [Component]
  public var notes: [Note]
  public var facts: [Fact]
  public var entryCount: UInt64
  public var contentBytes: UInt64

  /// Creates a snapshot from all its fields.
  public init(
    image: String, created: Timestamp, parent: Digest?, message: String, provenance: [Fact],
    tables: [Table], components: [Component], notes: [Note], facts: [Fact], entryCount: UInt64,
    contentBytes: UInt64
  ) {
    self.image = image
    self.created = created
    self.parent = parent
    self.message = message
    self.provenance = provenance
    self.tables = tables
    self.components = components
    self.notes = notes
    self.facts = facts
    self.entryCount = entryCount
    self.contentBytes = contentBytes
  }

  /// Returns true if no note is a problem, so that the snapshot holds the exact state.
  public var isComplete: Bool { !notes.contains(where: \.isProblem) }
  /// Returns the snapshot's id. Encodes the snapshot on each call.
  public var id: Digest { SHA256.digest(of: encode()) }

  /// Returns true if definition, components, notes and facts are equal. Time, message and provenance are
  /// ignored.
  public func hasSameState(as other: Snapshot) -> Bool {
    tables == other.tables && components == other.components && facts == other.facts
      && notes == other.notes
  }
}
