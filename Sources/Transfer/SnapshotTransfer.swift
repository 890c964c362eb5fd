// Brings one snapshot from a source to a sink.
//
//     walk against the bases → ask what is missing → frames → everything durable → ref
//
// 1. Only the sink decides what it has, and it checks that nothing is missing before it creates the ref.
// 2. An interruption leaves complete packs, so a repetition sends only what had not arrived.

import Codec
import Platform
import Store

/// What a transfer would carry, or has carried.
public struct TransferredAmount: Sendable, Equatable {
  /// The objects that were missing.
  public var objects = 0
  /// The bytes of the frames.
  public var bytes: UInt64 = 0

  public init() {}

  /// Adds another amount.
  public mutating func add(_ other: TransferredAmount) {
    objects += other.objects
    bytes += other.bytes
  }
}

/// A transfer between two places.
public struct SnapshotTransfer {
  private let source: any TransferSource
  private let session: any TransferSession
  /// A store here that can read the bases; nil if there is none.
  private let baseStore: ObjectStore?
  private let progress: Progress

  /// Creates a transfer.
  public init(
    from source: any TransferSource, to session: any TransferSession, baseStore: ObjectStore?,
    progress: Progress
  ) {
    self.source = source
    self.session = session
    self.baseStore = baseStore
    self.progress = progress
  }

  /// Returns the objects that the sink lacks.
  /// - Parameter bases: snapshots that both the sink and `baseStore` have refs of.
  /// - Throws: errors of the source and the sink; `objectMissing` if the source lacks an object itself.
  public func missing(_ snapshot: Snapshot, bases: [Snapshot]) throws -> [ObjectName] {
    let source = source
    progress.begin("Comparing")
    let needs = try SnapshotWalk.needs(of: snapshot, bases: bases, in: baseStore) { ids in
      progress.add(items: UInt64(ids.count))
      return try source.directories(ids)
    }
    var names = needs.objects
    var blobs = needs.blobs
    var seen = Set(blobs)
    // The parts of a plan are blobs, too, a few levels deep.
    for _ in 0...ObjectStore.maxReconstructionDepth where !blobs.isEmpty {
      blobs = try session.missingBlobs(blobs)
      var parts: [Digest] = []
      for (blob, content) in zip(blobs, try contents(of: blobs)) {
        switch content {
        case .chunk: names.append(ObjectName(kind: .chunk, id: blob))
        case .recipe(let references):
          names.append(ObjectName(kind: .recipe, id: blob))
          names += references.chunks.map { ObjectName(kind: .chunk, id: $0) }
          for part in references.blobs where part.sizeBytes > 0 && seen.insert(part.id).inserted {
            parts.append(part.id)
          }
        }
      }
      blobs = parts
    }
    guard blobs.isEmpty else {
      throw TransferError.damaged(source.name, "has plans that are nested too deeply")
    }
    var unique: Set<ObjectName> = []
    names.removeAll { !unique.insert($0).inserted }
    return names.isEmpty ? [] : try session.missing(names)
  }

  private func contents(of blobs: [Digest]) throws -> [BlobContent] {
    if blobs.isEmpty { return [] }
    let contents = try source.contents(of: blobs)
    guard contents.count == blobs.count else {
      throw TransferError.damaged(source.name, "answered for other files than it was asked")
    }
    return try zip(blobs, contents).map { blob, content in
      guard let content else {
        throw TransferError(
          .objectMissing, source.name,
          "lacks the content \(blob.shortHex) of a file of the snapshot",
          hint: "Run 'imgstore verify' there")
      }
      return content
    }
  }

  /// Returns the chunks at the sink that frames may be based on.
  private func bases(of names: [ObjectName]) throws -> Set<Digest> {
    guard session.acceptsBases else { return [] }
    let bases = Set(try source.bases(of: names))
    let present = try present(bases)
    if present.count == bases.count { return present }
    let siblings = try source.siblings(basedOn: bases.subtracting(present))
    return present.union(try self.present(siblings.subtracting(names.map(\.id))))
  }

  /// Returns the chunks that the sink has.
  private func present(_ chunks: Set<Digest>) throws -> Set<Digest> {
    if chunks.isEmpty { return [] }
    let missing = try session.missing(chunks.map { ObjectName(kind: .chunk, id: $0) })
    return chunks.subtracting(missing.map(\.id))
  }

  /// Returns the bytes that `send` would send.
  /// - Throws: errors of the source and the sink.
  public func measure(_ names: [ObjectName]) throws -> UInt64 {
    names.isEmpty ? 0 : try source.measure(names, bases: try bases(of: names))
  }

  /// Sends objects.
  /// - Returns: what was sent.
  /// - Throws: errors of the source and the sink.
  public func send(_ names: [ObjectName]) throws -> TransferredAmount {
    var amount = TransferredAmount()
    amount.objects = names.count
    guard !names.isEmpty else { return amount }
    progress.begin("Sending")
    try source.frames(names, bases: try bases(of: names)) { frame in
      try session.append(frame)
      amount.bytes += UInt64(frame.bytes.count)
      progress.add(bytes: UInt64(frame.bytes.count), items: UInt64(frame.objectCount))
    }
    return amount
  }
}
