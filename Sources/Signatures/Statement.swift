// The signed statement (docs/signatures.md, "The statement"): a small text that describes the content of a
// snapshot or a bundle.
//
// 1. One statement has one text: the parser accepts only the text that the renderer writes, byte for byte.
// 2. The text consists of printable ASCII. Every other byte, the blank and the backslash are spelled \xhh.
// 3. Strings are compared by their rendered bytes. Swift's equality of strings accepts two spellings
//    of one character, which a signature must not.

import Codec
import Platform

/// The content of a statement.
public struct Statement: Sendable {
  /// The size limit of the text.
  public static let maxBytes = 1 << 20

  /// The subject of a statement.
  public enum Subject: String, Sendable, CaseIterable {
    /// The items are the components of a snapshot, by their paths on a management node.
    case snapshot
    /// The items are the members of a bundle, by their names in the image's directory.
    case bundle
  }

  /// A row of a table; columns in byte order of their names.
  public struct Row: Sendable {
    public var table: String
    public var columns: [(name: String, value: String)]

    /// Creates a row.
    /// - Parameter row: the columns; those without a value are dropped.
    public init(table: String, _ row: [String: String]) {
      self.table = table
      columns = row.filter { !$0.value.isEmpty }
        .sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        .map { ($0.key, $0.value) }
    }

    init(table: String, columns: [(name: String, value: String)]) {
      self.table = table
      self.columns = columns
    }
  }

  /// A key and a value that describe the snapshot.
  public struct Fact: Sendable {
    public var key: String
    public var value: String
    /// Creates a fact.
    public init(_ key: String, _ value: String) {
      self.key = key
      self.value = value
    }
  }

  /// The signed digests of a tree. Each is the SHA-256 of a listing.
  public struct Tree: Sendable, Hashable {
    /// The number of entries.
    public var entryCount: UInt64
    /// The attributes that a cpio archive holds.
    public var portable: Digest
    /// The attributes that only a tar archive holds: exact times and extended attributes.
    public var attributes: Digest
    /// The attributes that the members of a bundle hold.
    public var members: Digest

    /// Creates digests.
    public init(entryCount: UInt64, portable: Digest, attributes: Digest, members: Digest) {
      self.entryCount = entryCount
      self.portable = portable
      self.attributes = attributes
      self.members = members
    }
  }

  /// The content of an item.
  public enum Content: Sendable, Hashable {
    case file(sizeBytes: UInt64, sha256: Digest)
    case link(target: [UInt8])
    case tree(Tree)
    /// A directory of a bundle: the SHA-256 of the listing of its members.
    case directory(memberCount: UInt64, members: Digest)
    /// A component of another kind, or an unreadable one: never in a bundle.
    case other(String)
  }

  /// A component of a snapshot, or a member of a bundle.
  public struct Item: Sendable {
    public var role: String
    public var path: [UInt8]
    /// The twelve permission bits of a snapshot's component, the lower nine of a bundle's member.
    public var mode: UInt16
    public var uid: UInt32
    public var gid: UInt32
    /// The modification time, in seconds.
    public var seconds: Int64
    public var content: Content

    /// Creates an item.
    public init(
      role: String, path: [UInt8], mode: UInt16, uid: UInt32, gid: UInt32, seconds: Int64,
      content: Content
    ) {
      self.role = role
      self.path = path
      self.mode = mode
      self.uid = uid
      self.gid = gid
      self.seconds = seconds
      self.content = content
    }
  }

  /// Whether the statement is about a snapshot or a bundle.
  public var subject: Subject
  public var image: String
  /// The number of the snapshot.
  public var number: Int
  /// The id of the snapshot.
  public var snapshot: Digest
  /// The id of the snapshot's parent.
  public var parent: Digest?
  /// The time of the snapshot, or of writing the bundle.
  public var time: Timestamp
  public var host: String
  public var user: String
  public var command: String
  public var message: String
  /// The rows, in byte order of their lines.
  public var rows: [Row]
  /// The facts, in their order.
  public var facts: [Fact]
  /// The items, in byte order of their paths, each path once.
  public var items: [Item]

  /// Creates a statement.
  public init(
    subject: Subject, image: String, number: Int, snapshot: Digest, parent: Digest?,
    time: Timestamp, host: String, user: String, command: String, message: String, rows: [Row],
    facts: [Fact], items: [Item]
  ) {
    self.subject = subject
    self.image = image
    self.number = number
    self.snapshot = snapshot
    self.parent = parent
    self.time = time
    self.host = host
    self.user = user
    self.command = command
    self.message = message
    self.rows = rows.map { ($0.line, $0) }.sorted { $0.0.lexicographicallyPrecedes($1.0) }
      .map { $0.1 }
    self.facts = facts
    self.items = items.sorted { $0.path.lexicographicallyPrecedes($1.path) }
  }

  /// The snapshot's reference: "compute@3".
  public var name: String { "\(image)@\(number)" }
}
