// A place that objects are read from, and a place that they are written to.

import Codec
import Store

/// A place to read from. Any thread may call its methods.
public protocol TransferSource: SnapshotCatalog {
  /// Reads objects other than chunks, in any order, each once.
  ///
  /// Callers compare the bytes with the ids: a source need not be trusted.
  /// - Throws: an error if one cannot be read; errors of `body`.
  func objects(_ names: [ObjectName], _ body: (ObjectName, [UInt8]) throws -> Void) throws

  /// Returns how the place has the contents, in the order of the blobs; nil for those that it lacks.
  func contents(of blobs: [Digest]) throws -> [BlobContent?]

  /// Reads frames that together contain the objects. They may contain others, too.
  func frames(_ names: [ObjectName], _ body: (RawFrame) throws -> Void) throws

  /// Returns the bytes of the frames that `frames` would return.
  func measure(_ names: [ObjectName]) throws -> UInt64

  /// Returns the chunks that the frames of the objects are based on, each once; none if `frames` passes on no
  /// frames with bases.
  func bases(of names: [ObjectName]) throws -> [Digest]

  /// Returns chunks that rest on some of these, as other versions of the same files; none if the place does not
  /// look for them.
  func siblings(basedOn bases: Set<Digest>) throws -> Set<Digest>

  /// Reads frames that together contain the objects. Those that are based only on chunks of `bases` may
  /// arrive as deltas.
  func frames(_ names: [ObjectName], bases: Set<Digest>, _ body: (RawFrame) throws -> Void) throws

  /// Returns the bytes of the frames that `frames` would return with these bases.
  func measure(_ names: [ObjectName], bases: Set<Digest>) throws -> UInt64

  /// Reads directories, in the order of the ids.
  func directories(_ ids: [Tree.IDs]) throws -> [DirectoryContent]
}

/// A place to write to.
public protocol TransferSink: SnapshotCatalog {
  /// Starts to add objects.
  func begin() throws -> any TransferSession
}

/// Objects on their way to one place. One thread calls its methods.
///
/// The objects that `missing` did not return stay in the place until the session ends.
public protocol TransferSession: AnyObject {
  /// Returns the objects that the place lacks, in their order.
  func missing(_ names: [ObjectName]) throws -> [ObjectName]

  /// Returns the blobs whose content the place lacks, at least in part, in their order.
  func missingBlobs(_ blobs: [Digest]) throws -> [Digest]

  /// Returns those of the snapshots in the place's history, by their ids, whose objects all stay in the place until the
  /// session ends. Only they may be bases of a walk and of `commit`.
  func usableBases(_ ids: [Digest]) throws -> [Digest]

  /// Whether frames may have bases that the place has.
  var acceptsBases: Bool { get }

  /// Adds a frame. May return before it is verified and written.
  func append(_ frame: RawFrame) throws

  /// Makes the snapshot a part of the place's history, after everything it needs is durable there.
  ///
  /// A place that has a snapshot with this id already adds none.
  /// - Parameter bases: ids of snapshots in the place's history that have most of its objects.
  /// - Returns: the snapshot's number there.
  /// - Throws: an error if an object is missing or wrong. There is no ref then.
  func commit(_ snapshot: TransferredSnapshot, bases: [Digest]) throws -> Int

  /// Gives a snapshot a tag, unless the tag names another one.
  /// - Returns: the number that has the tag now.
  func tag(_ tag: String, of image: ImageName, _ number: Int) throws -> Int

  /// Pins a snapshot, unless it is pinned.
  func pin(_ image: ImageName, _ number: Int, reason: String) throws

  /// Ends the session. Complete packs stay.
  func end()
}

extension TransferSession {
  public var acceptsBases: Bool { false }

  public func usableBases(_ ids: [Digest]) throws -> [Digest] { ids }
}

/// Objects in memory, compared with their ids.
private struct ReceivedObjects: ObjectSource {
  var objects: [ObjectName: [UInt8]] = [:]

  func object(_ kind: ObjectKind, _ id: Digest) throws -> [UInt8] {
    guard let bytes = objects[ObjectName(kind: kind, id: id)] else {
      throw StoreError(.missing, "\(kind.noun) \(id.shortHex)", "was not sent")
    }
    return bytes
  }
}

extension TransferSource {
  public func bases(of names: [ObjectName]) throws -> [Digest] { [] }

  public func siblings(basedOn bases: Set<Digest>) throws -> Set<Digest> { [] }

  public func frames(
    _ names: [ObjectName], bases: Set<Digest>, _ body: (RawFrame) throws -> Void
  ) throws { try frames(names, body) }

  public func measure(_ names: [ObjectName], bases: Set<Digest>) throws -> UInt64 {
    if bases.isEmpty { return try measure(names) }
    var bytes: UInt64 = 0
    try frames(names, bases: bases) { bytes += UInt64($0.bytes.count) }
    return bytes
  }

  public func measure(_ names: [ObjectName]) throws -> UInt64 {
    var bytes: UInt64 = 0
    try frames(names) { bytes += UInt64($0.bytes.count) }
    return bytes
  }

  public func directories(_ ids: [Tree.IDs]) throws -> [DirectoryContent] {
    var received = ReceivedObjects()
    try receive(ids, into: &received)
    // A node lists leaves, and no leaf is a node.
    let leaves = try ids.flatMap { try Tree.leaves($0, from: received) }
    try receive(leaves, into: &received)
    return try ids.map { try DirectoryContent($0, from: received) }
  }

  private func receive(_ ids: [Tree.IDs], into received: inout ReceivedObjects) throws {
    var names: Set<ObjectName> = []
    for ids in ids {
      names.insert(ObjectName(kind: .tree, id: ids.tree))
      names.insert(ObjectName(kind: .times, id: ids.times))
    }
    guard !names.isEmpty else { return }
    try objects(Array(names)) { name, bytes in
      guard names.contains(name), SHA256.digest(of: bytes) == name.id else {
        throw TransferError.damaged(
          self.name, "sent other bytes for the \(name.kind.noun) \(name.id.shortHex)")
      }
      received.objects[name] = bytes
    }
  }
}
