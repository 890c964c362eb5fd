// The document of a snapshot (docs/json.md).

import Platform
import Store

/// A snapshot, with its tags and its pin.
public struct SnapshotJSON: JSONDocument {
  public let committed: CommittedSnapshot
  public let tags: [String]
  /// The reason of its pin; nil if it is not pinned.
  public var pin: String?
  /// Whether the document has tables, pieces and notes.
  public let full: Bool
  /// Whether the snapshot itself is signed; nil if that was not checked.
  public var isSigned: Bool?
  /// Where it came from; nil if it was taken here.
  public var pulledFrom: OriginRecord?
  /// The verdicts on its signatures; nil if none was checked.
  public var signatures: [SignatureStatus]?

  /// Creates the document of a snapshot.
  public init(
    committed: CommittedSnapshot, tags: [String], pin: String? = nil, full: Bool,
    isSigned: Bool? = nil, pulledFrom: OriginRecord? = nil, signatures: [SignatureStatus]? = nil
  ) {
    self.committed = committed
    self.tags = tags
    self.pin = pin
    self.full = full
    self.isSigned = isSigned
    self.pulledFrom = pulledFrom
    self.signatures = signatures
  }

  public static let form = JSONForm<Self>(kind: "snapshot") { key in
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
