// A store of this machine as a place to read from.

import Codec
import Platform
import Store

/// Reads from an open store.
public struct LocalSource: TransferSource {
  public let name: String
  let store: ObjectStore

  /// Creates a source.
  /// - Parameter name: the store for messages.
  public init(_ store: ObjectStore, name: String) {
    self.store = store
    self.name = name
  }

  public func images() throws -> [ImageName] { try store.refs.images() }

  public func history(of image: ImageName) throws -> RemoteHistory {
    let refs = store.refs
    return RemoteHistory(
      image: image,
      snapshots: try refs.ids(of: image).map { .init(number: $0.number, id: $0.id) },
      tags: try refs.tags(of: image), pins: try refs.pins(of: image))
  }

  public func snapshot(_ image: ImageName, _ number: Int) throws -> TransferredSnapshot {
    let committed = try store.refs.read(image, number)
    var signatures: [SnapshotSignature] = []
    for name in try store.refs.signatures(of: image) where name.number == number {
      guard let key = name.key else { continue }
      let statement = SignatureFileName(
        number: number, kind: name.kind, statement: name.statement)
      signatures.append(
        SnapshotSignature(
          kind: name.kind, statement: try store.refs.signatureFile(statement, of: image), key: key,
          signature: try store.refs.signatureFile(name, of: image)))
    }
    return try mapCodecErrors(committed.name) { () throws(CodecError) in
      try TransferredSnapshot(committed.snapshot.encode(), signatures: signatures)
    }
  }

  public func objects(_ names: [ObjectName], _ body: (ObjectName, [UInt8]) throws -> Void) throws {
    for name in names { try body(name, try store.object(name.kind, name.id)) }
  }

  public func contents(of blobs: [Digest]) throws -> [BlobContent?] {
    try store.contents(of: blobs)
  }

  public func frames(_ names: [ObjectName], _ body: (RawFrame) throws -> Void) throws {
    try store.frames(holding: names, body)
  }

  public func bases(of names: [ObjectName]) throws -> [Digest] { try store.bases(of: names) }

  public func siblings(basedOn bases: Set<Digest>) throws -> Set<Digest> {
    try store.siblings(basedOn: bases)
  }

  public func frames(
    _ names: [ObjectName], bases: Set<Digest>, _ body: (RawFrame) throws -> Void
  ) throws {
    try store.frames(holding: names, bases: bases, body)
  }

  public func directories(_ ids: [Tree.IDs]) throws -> [DirectoryContent] {
    try ids.map { try DirectoryContent($0, from: store) }
  }
}
