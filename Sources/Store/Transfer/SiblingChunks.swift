// Other versions of the same files, as bases for a receiver that lacks the base of a frame.
//
// A version behind a long chain is based on one that is older than the version before it
// (docs/decisions/0096-one-frame-for-a-base.md). A receiver with only some snapshots may lack that base, and
// have a version that rests on it, too, directly or through others: a sibling. Both resemble each other.
//
// 1. A sibling is a hint: one that is wrong or cannot be read costs bytes, and nothing else.
// 2. The receiver decides which siblings it has, and computes the depths of its frames itself.

import Codec
import Platform

extension ObjectStore {
  /// The most frames whose directories are read for a search.
  private static let maxSearchedFrames = 1 << 16

  /// The most siblings that a search returns: nothing depends on finding all of them.
  private static let maxSiblings = 1 << 18

  /// Returns chunks that rest on some chunks, as later versions of them.
  /// - Throws: `StoreError` of kind `index`. A directory that cannot be read is left out.
  public func siblings(basedOn bases: Set<Digest>) throws(StoreError) -> Set<Digest> {
    var siblings: Set<Digest> = []
    // A base is less deep, so it is met before the chunks that rest on it.
    for address in try index.leastDeepFramesWithBases(limit: ObjectStore.maxSearchedFrames) {
      guard siblings.count < ObjectStore.maxSiblings else { break }
      guard let header = (try? index.directory(of: address)) ?? nil,
        header.base?.chunks
          .contains(where: { bases.contains($0.id) || siblings.contains($0.id) }) == true
      else { continue }
      let alignment = BaseAlignment(header)
      for object in header.objects {
        guard let base = alignment.base(ofObjectAt: object.start) else { continue }
        if bases.contains(base.id) || siblings.contains(base.id) { siblings.insert(object.id) }
      }
    }
    return siblings
  }
}

/// Chunks that a receiver has, by a chunk that they are based on and that it may lack. Belongs to one thread.
final class SubstituteBases {
  /// A chunk that the receiver has.
  struct Chunk {
    let id: Digest
    let location: ObjectLocation
    /// The number of chunks between it and the one that it rests on.
    let distance: Int
  }

  private let store: ObjectStore
  private let known: Set<Digest>
  private var found: [Digest: Chunk]?

  /// Creates the description of a receiver.
  /// - Parameter known: the chunks that it has.
  init(_ store: ObjectStore, known: Set<Digest>) {
    self.store = store
    self.known = known
  }

  /// Returns the nearest chunk that the receiver has and that rests on `base`; nil if it has none.
  func chunk(basedOn base: Digest) throws(StoreError) -> Chunk? {
    if found == nil { found = try search() }
    return found?[base]
  }

  private func search() throws(StoreError) -> [Digest: Chunk] {
    var alignments: [FrameAddress: BaseAlignment] = [:]
    var found: [Digest: Chunk] = [:]
    for id in known {
      guard let own = try store.index.location(.chunk, id), own.depth < FrameBase.maxDepth
      else { continue }
      var (location, distance) = (own, 0)
      while location.depth > 0 {
        let alignment =
          alignments[location.address]
          ?? BaseAlignment((try? store.index.directory(of: location.address)) ?? nil)
        alignments[location.address] = alignment
        guard let base = alignment.base(ofObjectAt: location.start),
          let next = try store.index.location(.chunk, base.id), next.depth < location.depth
        else { break }
        if found[base.id].map({ distance < $0.distance }) ?? true {
          found[base.id] = Chunk(id: id, location: own, distance: distance)
        }
        (location, distance) = (next, distance + 1)
      }
    }
    return found
  }
}

/// Objects of a frame whose base the receiver lacks.
struct RebasedFrame {
  /// The objects that get another base, with it.
  private(set) var deltas: [(object: FrameHeader.Object, base: SubstituteBases.Chunk)] = []
  /// The others.
  private(set) var others: [FrameHeader.Object] = []

  /// Divides the requested objects of a frame.
  init(_ header: FrameHeader, _ objects: [FrameHeader.Object], _ substitutes: SubstituteBases)
    throws(StoreError)
  {
    let alignment = BaseAlignment(header)
    for object in objects {
      if object.kind == .chunk, let base = alignment.base(ofObjectAt: object.start),
        let substitute = try substitutes.chunk(basedOn: base.id)
      {
        deltas.append((object, substitute))
      } else {
        others.append(object)
      }
    }
  }

  /// Returns the objects that get another base in one frame; nil if there are none, or their bases are too
  /// large or cannot be read.
  /// - Throws: `StoreError` if the objects do not survive compression.
  func frame(of decoded: DecodedFrame, in store: ObjectStore) throws -> RawFrame? {
    var prefix: [UInt8] = []
    var chunks: [FrameBase.Chunk] = []
    var depth: UInt8 = 0
    var seen: Set<Digest> = []
    for (_, base) in deltas where seen.insert(base.id).inserted {
      guard
        let frame = try? store.packs.frame(
          base.location.address, frameBytes: base.location.frameBytes),
        frame.header.holds(
          .chunk, base.id, start: base.location.start, length: base.location.length),
        prefix.count + base.location.length <= FrameBuilder.maxBaseBytes
      else { return nil }
      frame.withBytes(start: base.location.start, length: base.location.length) { prefix += $0 }
      chunks.append(FrameBase.Chunk(id: base.id, length: base.location.length))
      depth = max(depth, base.location.depth)
    }
    if prefix.isEmpty { return nil }
    let objects = deltas.map { object, _ in
      (
        id: object.id,
        bytes: decoded.withBytes(start: object.start, length: object.length) { [UInt8]($0) }
      )
    }
    let base = FrameBase(depth: FrameBase.depth(above: depth), chunks: chunks)
    return try prefix.withUnsafeBytes {
      try FrameRepacker.frame(of: objects, base: base, prefix: $0)
    }
  }
}
