// What a place with snapshots tells about them. A place is a store, a depot, the other end of a connection, or a
// thin bundle.

import Codec
import Platform
import Store

/// The history of one image at a place.
public struct RemoteHistory: Sendable {
  /// A snapshot: its number at the place, and its id, which is the same everywhere.
  public struct Item: Hashable, Sendable {
    public let number: Int
    public let id: Digest

    public init(number: Int, id: Digest) {
      self.number = number
      self.id = id
    }
  }

  public let image: ImageName
  /// In ascending order of the numbers; empty if the place has no such image.
  public let snapshots: [Item]
  /// The number of each tag's snapshot.
  public let tags: [String: Int]
  /// The reasons of the pins, by number.
  public let pins: [Int: String]

  /// Creates a history.
  public init(
    image: ImageName, snapshots: [Item], tags: [String: Int] = [:], pins: [Int: String] = [:]
  ) {
    self.image = image
    self.snapshots = snapshots
    self.tags = tags
    self.pins = pins
  }

  /// Returns the number of the snapshot with this id; nil if the history has none.
  public func number(of id: Digest) -> Int? { snapshots.last { $0.id == id }?.number }
}

/// A statement about a snapshot with one signature (docs/format.md, "Signatures").
public struct SnapshotSignature: Sendable, Hashable {
  public let kind: SignatureFileName.Kind
  public let statement: [UInt8]
  /// The id of the key.
  public let key: Digest
  /// 64 bytes.
  public let signature: [UInt8]

  public init(
    kind: SignatureFileName.Kind, statement: [UInt8], key: Digest, signature: [UInt8]
  ) {
    self.kind = kind
    self.statement = statement
    self.key = key
    self.signature = signature
  }
}

/// A snapshot with its bytes and what belongs to it.
public struct TransferredSnapshot: Sendable {
  /// The encoded snapshot, whose SHA-256 is the id.
  public let bytes: [UInt8]
  public let id: Digest
  public let snapshot: Snapshot
  public var signatures: [SnapshotSignature]
  /// The snapshot at the place that it comes from; nil if that is not known.
  public var remoteName: SnapshotName?
  /// The id that it has there.
  public var remoteID: Digest

  /// The largest encoded snapshot.
  public static let maxBytes = 64 << 20

  /// Decodes a snapshot.
  /// - Throws: `CodecError` if the bytes are not a snapshot, or not the only encoding of it.
  public init(_ bytes: [UInt8], signatures: [SnapshotSignature] = []) throws(CodecError) {
    guard bytes.count <= TransferredSnapshot.maxBytes else {
      throw .overLimit("the snapshot is larger than a ref can be")
    }
    self.bytes = bytes
    id = SHA256.digest(of: bytes)
    remoteID = id
    snapshot = try Snapshot.decode(bytes)
    // A ref is written from the decoded snapshot, under the same id.
    guard snapshot.encode() == bytes else {
      throw .corrupt("the snapshot is not encoded as its id says")
    }
    self.signatures = signatures
  }
}

/// A place that lists its snapshots. Any thread may call its methods; each call may cost a round trip.
public protocol SnapshotCatalog: Sendable {
  /// The place for messages: a path or a URL without credentials.
  var name: String { get }

  /// Returns the images that have snapshots, in order.
  func images() throws -> [ImageName]

  /// Returns the history of an image.
  func history(of image: ImageName) throws -> RemoteHistory

  /// Reads one snapshot.
  /// - Throws: an error with the code `snapshot-not-found` if the place has none.
  func snapshot(_ image: ImageName, _ number: Int) throws -> TransferredSnapshot
}
