// A store of this machine as a place to write to: of a pull, or at the far end of a push.
//
// 1. A ref is created under the image's lock, after everything that the snapshot needs is durable and was found.
// 2. A snapshot whose id the history has is not added again: a command that is repeated after an interruption
//    finds its own ref.

import Codec
import Platform
import Store

/// Writes to an open store.
public struct LocalSink: TransferSink {
  public var name: String { source.name }
  private let source: LocalSource
  private let origin: String
  private let lockWait: LockWait
  private let record: OriginTemplate?

  /// Creates a sink.
  /// - Parameters:
  ///   - name: the store for messages.
  ///   - origin: what the objects come from, for messages.
  ///   - record: where new snapshots come from, for their origin records; nil for none.
  public init(
    _ store: ObjectStore, name: String, origin: String, lockWait: LockWait,
    record: OriginTemplate? = nil
  ) {
    source = LocalSource(store, name: name)
    self.origin = origin
    self.lockWait = lockWait
    self.record = record
  }

  public func images() throws -> [ImageName] { try source.images() }
  public func history(of image: ImageName) throws -> RemoteHistory {
    try source.history(of: image)
  }
  public func snapshot(_ image: ImageName, _ number: Int) throws -> TransferredSnapshot {
    try source.snapshot(image, number)
  }

  public func begin() throws -> any TransferSession {
    LocalSession(
      source.store, try IncomingObjects(source.store, from: origin), origin: origin,
      lockWait: lockWait, record: record)
  }
}

/// Where the snapshots of a session come from: the part of their origin records that they share.
public struct OriginTemplate: Sendable {
  public let remote: String
  /// The address of the other side, without credentials.
  public let url: String
  public let user: String
  public let time: Timestamp

  public init(remote: String, url: String, user: String, time: Timestamp) {
    self.remote = remote
    self.url = url
    self.user = user
    self.time = time
  }

  /// Returns the record of a snapshot.
  func record(_ snapshot: SnapshotName?, id: Digest) -> OriginRecord {
    OriginRecord(
      remote: remote, url: url, snapshot: snapshot, id: id, pulled: time, user: user)
  }
}

/// A session of a local store.
final class LocalSession: TransferSession {
  private let store: ObjectStore
  private let objects: IncomingObjects
  private let origin: String
  private let lockWait: LockWait
  private let record: OriginTemplate?

  init(
    _ store: ObjectStore, _ objects: IncomingObjects, origin: String, lockWait: LockWait,
    record: OriginTemplate?
  ) {
    self.record = record
    self.store = store
    self.objects = objects
    self.origin = origin
    self.lockWait = lockWait
  }

  var acceptsBases: Bool { true }
  func missing(_ names: [ObjectName]) throws -> [ObjectName] { try objects.missing(names) }
  func missingBlobs(_ blobs: [Digest]) throws -> [Digest] { try objects.missingBlobs(blobs) }
  func append(_ frame: RawFrame) throws { try objects.append(frame) }
  func end() { objects.end() }

  func commit(_ snapshot: TransferredSnapshot, bases: [Digest]) throws -> Int {
    let image = try ImageName(snapshot.snapshot.image)
    try objects.publish()
    return try withImageLock(image) {
      let known = try store.refs.ids(of: image)
      if let own = known.last(where: { $0.id == snapshot.id }) {
        try addSignatures(snapshot, to: image, own.number)
        return own.number
      }
      let baseSnapshots = try known.filter { bases.contains($0.id) }.suffix(4).compactMap {
        try store.refs.readIfPresent(image, $0.number)?.snapshot
      }
      if let name = try objects.missingObjects(of: snapshot.snapshot, bases: baseSnapshots).first {
        throw TransferError(
          .remoteDamaged, origin,
          "did not send the \(name.kind.noun) \(name.id.shortHex), which the snapshot needs",
          hint: "Run the command again. If the error stays, run 'imgstore verify' there")
      }
      let committed = try store.refs.append(
        snapshot.snapshot,
        origin: record?.record(snapshot.remoteName, id: snapshot.remoteID))
      guard committed.id == snapshot.id else {
        preconditionFailure("a decoded snapshot is encoded to the same bytes")
      }
      try addSignatures(snapshot, to: image, committed.number)
      return committed.number
    }
  }

  func tag(_ tag: String, of image: ImageName, _ number: Int) throws -> Int {
    try withImageLock(image) {
      try requireSnapshot(image, number)
      if let own = try store.refs.tags(of: image)[tag] { return own }
      _ = try store.refs.setTag(tag, of: image, to: number)
      return number
    }
  }

  func pin(_ image: ImageName, _ number: Int, reason: String) throws {
    try withImageLock(image) {
      try requireSnapshot(image, number)
      if try store.refs.pins(of: image)[number] != nil { return }
      try store.refs.pin(image, number, reason: reason)
    }
  }

  /// Refuses marks for a snapshot that does not exist: a later one could get its number.
  private func requireSnapshot(_ image: ImageName, _ number: Int) throws {
    guard try store.refs.readIfPresent(image, number) != nil else {
      throw TransferError(.snapshotNotFound, "snapshot \(image)@\(number)", "does not exist")
    }
  }

  private func addSignatures(
    _ snapshot: TransferredSnapshot, to image: ImageName, _ number: Int
  ) throws {
    let existing = Set(
      try store.refs.signatures(of: image).filter { $0.number == number }.map {
        [$0.statement, $0.key ?? .zero]
      })
    for signature in snapshot.signatures
    where !existing.contains([SHA256.digest(of: signature.statement), signature.key]) {
      try store.refs.addSignature(
        signature.signature, by: signature.key, of: signature.statement, kind: signature.kind,
        to: image, number)
    }
  }

  private func withImageLock<R>(_ image: ImageName, _ body: () throws -> R) throws -> R {
    let lock = try store.lockImage(image, waiting: lockWait) { _ in }
    defer { withExtendedLifetime(lock) {} }
    return try body()
  }
}
