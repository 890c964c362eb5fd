// What the bases of frames (FrameBase.swift) mean for the presence of objects.
//
// 1. An object in a frame with a base is present only if the base is. A session that finds an object whose
//    base is gone stores it again without a base, so that the new copy is the one that is read.
// 2. The directories in the packs list the chunks of bases. The index has only the depths of frames.
// 3. gc keeps the chunks of the base of each frame with a needed object (`Reachability`). So the base of a
//    needed object stays.

import Codec
import Platform

/// The frames whose bases were found in packs that are not doomed. gc does not remove those packs while the
/// lease is held under which they were found (GarbageCollection.swift, rule 3).
final class CompleteBases: Sendable {
  private static let maxFrames = 1 << 16
  private let frames = Monitor<Set<FrameAddress>>([])

  func contains(_ frame: FrameAddress) -> Bool { frames.withLock { $0.contains(frame) } }

  func insert(_ frame: FrameAddress) {
    frames.withLock { frames in
      if frames.count >= CompleteBases.maxFrames { frames.removeAll() }
      frames.insert(frame)
    }
  }

  func removeAll() { frames.withLock { $0.removeAll() } }
}

extension Index {
  /// Returns true if packs that are not doomed contain the object and everything that it is based on, so that
  /// a new snapshot may depend on it.
  func keeps(_ kind: ObjectKind, _ id: Digest) throws(StoreError) -> Bool {
    guard let location = try keptLocation(kind, id) else { return false }
    return try missingBase(of: location) == nil
  }

  /// Returns a chunk that an object is based on and that no pack contains, except doomed ones; nil if there
  /// is none.
  func missingBase(of location: ObjectLocation) throws(StoreError) -> FrameBase.Chunk? {
    if location.depth == 0 || completeBases.contains(location.address) { return nil }
    // A frame of less depth is next each time, so this ends. Each frame is asked once: the chunks of a base
    // are in few frames, and without the memory the questions would multiply with each level.
    for chunk in try base(of: location.address)?.chunks ?? [] {
      guard let next = try keptLocation(.chunk, chunk.id), next.length == chunk.length,
        next.depth < location.depth
      else { return chunk }
      if let missing = try missingBase(of: next) { return missing }
    }
    completeBases.insert(location.address)
    return nil
  }

  /// Returns the base of the frame at an address; nil if it has none.
  /// - Throws: `damaged` or `missing` if its directory cannot be read; `system`.
  func base(of address: FrameAddress) throws(StoreError) -> FrameBase? {
    try directory(of: address)?.base
  }

  /// Returns the directory of the frame at an address; nil at the end of the pack.
  func directory(of address: FrameAddress) throws(StoreError) -> FrameHeader? {
    try reader.header(try reader.open(address.pack), address.pack, at: address.offset)
  }

  /// Returns the addresses of the frames with a base, also in doomed packs, the deepest first.
  func framesWithBases() throws(StoreError) -> [FrameAddress] {
    try framesWithBases("ORDER BY f.depth DESC, f.pack, f.offset")
  }

  /// Returns the addresses of at most `limit` frames with a base, also in doomed packs, the least deep first.
  func leastDeepFramesWithBases(limit: Int) throws(StoreError) -> [FrameAddress] {
    try framesWithBases("ORDER BY f.depth, f.pack, f.offset LIMIT \(limit)")
  }

  private func framesWithBases(_ order: String) throws(StoreError) -> [FrameAddress] {
    try query { database in
      var addresses: [FrameAddress] = []
      try database.statement(
        """
        SELECT p.name, f.offset FROM frame f CROSS JOIN pack p
        WHERE f.depth > 0 AND p.id = f.pack \(order)
        """
      ).rows { row in
        guard let pack = row.digest(0), row.integer(1) >= 0 else {
          throw StoreError.impossibleRow("frame")
        }
        addresses.append(FrameAddress(pack: pack, offset: UInt64(row.integer(1))))
      }
      return addresses
    }
  }
}

extension ObjectStore {
  /// Returns the depths of the copies of a chunk, that of the copy that is read first.
  /// - Throws: `StoreError` of kind `index`.
  package func depths(of chunk: Digest) throws(StoreError) -> [UInt8] {
    try index.locations(.chunk, chunk).map(\.depth)
  }

  /// Returns the depths of all frames with a base, the greatest first.
  /// - Throws: `StoreError` if a directory cannot be read.
  package func depthsOfFrames() throws(StoreError) -> [UInt8] {
    var depths: [UInt8] = []
    for address in try index.framesWithBases() {
      if let base = try index.base(of: address) { depths.append(base.depth) }
    }
    return depths
  }

  /// Returns the forms of the payloads of all frames with a base, in the order of `depthsOfFrames`.
  /// - Throws: `StoreError` if a directory cannot be read.
  package func codecsOfFrames() throws(StoreError) -> [FrameCodec] {
    var codecs: [FrameCodec] = []
    for address in try index.framesWithBases() {
      if let frame = try index.directory(of: address) { codecs.append(frame.codec) }
    }
    return codecs
  }

  /// Returns the number of frames that each base is read from.
  /// - Throws: `StoreError` if a directory cannot be read.
  package func frameCountsOfBases() throws(StoreError) -> [Int] {
    var counts: [Int] = []
    for address in try index.framesWithBases() {
      var frames: Set<FrameAddress> = []
      for chunk in try index.base(of: address)?.chunks ?? [] {
        if let location = try index.location(.chunk, chunk.id) { frames.insert(location.address) }
      }
      counts.append(frames.count)
    }
    return counts
  }
}
