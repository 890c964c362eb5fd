// Which copies of objects a reader, a writer or a collector may count on: those in packs that it names, with
// all that they are based on (docs/decisions/0091-deltas-in-depots.md).
//
// 1. A copy in a frame with a base is present only if each chunk of the base has a present copy in a frame of
//    less depth. So every present copy can be read, and reading it ends.
// 2. The directories of packs list the bases. They need not be right: what is read is compared with its id.
// 3. The packs that count never become fewer while a value is used. A value remembers what it found, so its
//    owner makes a new one after it has added packs.
// 4. Memory: an entry for each frame with a base that was asked for.

import Codec
import Platform
import Store

/// Finds the copies of objects that count. Any thread may call its methods.
final class PresentCopies: Sendable {
  private let depot: Depot
  private let listing: PackListing
  private let counts: @Sendable (ObjectLocation) -> Bool
  /// The missing chunk of each frame with a base that was asked for.
  private let missing = Monitor<[FrameLocation: Missing]>([:])

  /// What a frame lacks.
  private enum Missing {
    case nothing
    case chunk(Digest)
  }

  /// Creates a value.
  /// - Parameters:
  ///   - listing: tells which packs will be deleted: their copies come last.
  ///   - counts: whether a copy counts, apart from its base.
  init(
    _ depot: Depot, _ listing: PackListing, counts: @escaping @Sendable (ObjectLocation) -> Bool
  ) {
    self.depot = depot
    self.listing = listing
    self.counts = counts
  }

  /// Creates a value for readers, who may read every pack of a listing.
  convenience init(_ depot: Depot, _ listing: PackListing) {
    self.init(depot, listing) { listing.packs[$0.pack] != nil }
  }

  /// Returns true if a copy of the object is present.
  func contains(_ name: ObjectName) throws -> Bool { try copy(of: name) != nil }

  /// Returns the copy that is read; nil if none is present.
  func copy(of name: ObjectName) throws -> ObjectLocation? {
    try copy(of: LocationKey(name.kind, name.id))
  }

  /// Returns the copy that is read; nil if none is present.
  func copy(of key: LocationKey) throws -> ObjectLocation? {
    for location in try candidates(key) where try missingBase(of: location.frame) == nil {
      return location
    }
    return nil
  }

  /// Returns the copies that are present, in the order in which readers try them.
  func copies(of name: ObjectName) throws -> [ObjectLocation] {
    try candidates(LocationKey(name.kind, name.id)).filter { try missingBase(of: $0.frame) == nil }
  }

  /// Returns all copies in packs that count: those in frames of less depth first, then those in packs that
  /// stay.
  func candidates(_ key: LocationKey) throws -> [ObjectLocation] {
    let all = try depot.withCache { try depot.index.locations(key) }
    return listing.inOrder(all.filter(counts))
  }

  /// Returns the base of a frame, as the directory of its pack lists it; nil if it has none, or two
  /// directories of the pack disagree.
  func base(of frame: FrameLocation) throws -> FrameBase? {
    try header(of: frame)?.base
  }

  /// Returns the header of a frame with a base.
  func header(of frame: FrameLocation) throws -> FrameHeader? {
    let header = try depot.withCache { try depot.index.header(ofBasedFrame: frame) }
    return header?.base?.depth == frame.depth ? header : nil
  }

  /// Returns a chunk of the frame's base that is not present; nil if all are, or the frame has no base.
  func missingBase(of frame: FrameLocation) throws -> Digest? {
    if frame.depth == 0 { return nil }
    if let known = missing.withLock({ $0[frame] }) {
      if case .chunk(let id) = known { return id }
      return nil
    }
    // Each frame that this asks about has less depth, so it ends. Each is asked about once.
    let base = try base(of: frame)
    var result = base == nil ? Missing.chunk(.zero) : .nothing
    for chunk in base?.chunks ?? []
    where try baseCopy(chunk, belowDepth: frame.depth) == nil {
      result = .chunk(chunk.id)
      break
    }
    missing.withLock { $0[frame] = result }
    if case .chunk(let id) = result { return id }
    return nil
  }

  /// Returns the copy of a chunk of a base that is read; nil if none is present.
  /// - Parameter isUsable: false for copies that turned out to be damaged.
  func baseCopy(
    _ chunk: FrameBase.Chunk, belowDepth depth: UInt8,
    isUsable: (ObjectLocation) -> Bool = { _ in true }
  ) throws -> ObjectLocation? {
    for location in try candidates(LocationKey(.chunk, chunk.id))
    where location.depth < depth && location.length == chunk.length && isUsable(location) {
      if try missingBase(of: location.frame) == nil { return location }
    }
    return nil
  }

  /// Adds the packs that a present copy is read from: its own, and those of its base.
  func addPacks(
    of frame: FrameLocation, to packs: inout Set<DepotPack>, _ visited: inout Set<FrameLocation>
  ) throws {
    packs.insert(frame.pack)
    guard frame.depth > 0, visited.insert(frame).inserted else { return }
    for chunk in try base(of: frame)?.chunks ?? [] {
      guard let copy = try baseCopy(chunk, belowDepth: frame.depth) else { continue }
      try addPacks(of: copy.frame, to: &packs, &visited)
    }
  }
}
