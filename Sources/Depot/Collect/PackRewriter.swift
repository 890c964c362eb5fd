// Copies what snapshots need of marked packs into new packs.
//
// 1. An object is copied unless a pack that is not marked has it, in a frame that is not deeper, with all
//    that it is based on in such packs. So the least depth of an object never grows. Of recipes, each variant
//    is copied, unless a pack that is not marked has an equal one.
// 2. Every frame is decoded and its objects compared with their ids before they are copied. Objects keep
//    their ids.
// 3. A frame with a base keeps its base and its depth if the chunks of the base are present in packs that are
//    not marked, or copied as well. Otherwise its objects go into frames without a base.
// 4. The new packs and their directories are uploaded when `copy` returns.

import Codec
import Platform
import Store

/// Copies objects out of marked packs.
struct PackRewriter {
  let depot: Depot
  let listing: PackListing
  let marked: Set<DepotPack>
  /// The id in the names of new packs.
  let id: WriterID
  /// Whether the collector is registered as a writer, so that its frames may have bases.
  let keepsBases: Bool

  struct Result {
    var copiedBytes: UInt64 = 0
    /// The packs with a needed object that cannot be read, and the reasons.
    var damaged: [DepotPack: String] = [:]
  }

  /// The needed objects of frames, by their start.
  private typealias Plan = [FrameLocation: Set<Int>]

  /// Copies the needed objects.
  /// - Throws: `VanishedPackError` if another collector has deleted a pack; `StorageError`.
  func copy(_ reachable: DepotReachability) throws -> Result {
    let listing = listing
    let usable = PresentCopies(depot, listing) { listing.isUsable($0.pack) }
    let (plan, copied) = try plan(reachable, usable)
    var result = Result()
    guard !plan.isEmpty else { return result }
    let recipes = try recipesToCopy(plan)
    let output = try PackOutput(depot, writer: id)
    defer { output.close() }
    let repacker = FrameRepacker()
    let reader = FrameReader(depot, PresentCopies(depot, listing))
    var frames = Set(plan.keys)
    while !frames.isEmpty {
      do {
        try reader.read(frames) { location, frame, decoded in
          frames.remove(location)
          do throws(CodecError) { try FrameDecoder.verify(decoded) } catch {
            throw DamagedFrameError(frame: location, reason: "\(error)")
          }
          let starts = plan[location] ?? []
          if let base = frame.header.base, try mayKeep(base, copied, usable) {
            try copyDelta(frame, decoded, starts, reader, at: location, output)
          } else {
            try copy(frame, decoded, starts, recipes, repacker, output)
          }
        }
      } catch let error as DamagedFrameError {
        frames.remove(error.frame)
        for pack in try packs(with: plan[error.frame] ?? [], of: error.frame) {
          result.damaged[pack] =
            "\(error.frame.pack.shortName) of \(depot.name) is damaged: \(error.reason)"
        }
      }
    }
    try repacker.finish(output.append)
    result.copiedBytes = try output.finish()
    return result
  }

  /// Returns the pack of a damaged frame, and the marked packs that have one of its objects: their copies may
  /// be intact.
  private func packs(
    with starts: Set<Int>, of frame: FrameLocation
  ) throws -> Set<DepotPack> {
    try depot.withCache {
      var packs: Set = [frame.pack]
      try depot.index.forEachObject(in: [frame.pack]) { key, position in
        guard position.frame == frame, starts.contains(position.start) else { return }
        packs.formUnion(try depot.index.locations(key).map(\.pack).filter(marked.contains))
      }
      return packs
    }
  }

  /// Returns the objects to copy, and the depth that each of them will have at most.
  private func plan(
    _ reachable: DepotReachability, _ usable: PresentCopies
  ) throws -> (Plan, [LocationKey: UInt8]) {
    let present = PresentCopies(depot, listing)
    var plan: Plan = [:]
    var copied: [LocationKey: UInt8] = [:]
    var isAnyUnreadable = false
    try depot.withCache {
      (plan, copied) = ([:], [:])
      try depot.index.forEachObject(in: marked) { key, position in
        guard reachable.contains(key) else { return }
        if key.kind == UInt32(ObjectKind.recipe.rawValue) {
          plan[position.frame, default: []].insert(position.start)
          return
        }
        guard copied[key] == nil else { return }
        guard let best = try present.copy(of: key) else {
          isAnyUnreadable = true
          return
        }
        if let other = try usable.copy(of: key), other.depth <= best.depth { return }
        copied[key] = best.depth
        plan[best.frame, default: []].insert(best.start)
      }
    }
    // Nothing counts on a copy whose base is gone. But the base may have moved between the pages of the
    // listing.
    if isAnyUnreadable, try depot.changedListing(since: listing) != nil {
      throw VanishedPackError(pack: .none)
    }
    return (plan, copied)
  }

  /// Returns true if a copied frame may keep its base.
  private func mayKeep(
    _ base: FrameBase, _ copied: [LocationKey: UInt8], _ usable: PresentCopies
  ) throws -> Bool {
    guard keepsBases else { return false }
    return try base.chunks.allSatisfy { chunk in
      if let depth = copied[LocationKey(.chunk, chunk.id)], depth < base.depth { return true }
      return try usable.baseCopy(chunk, belowDepth: base.depth) != nil
    }
  }

  /// The bytes of recipes that unmarked packs have, and those that were copied.
  private final class KnownRecipes {
    var bytes: [Digest: Set<[UInt8]>] = [:]
  }

  private func recipesToCopy(_ plan: Plan) throws -> KnownRecipes {
    var reader = DepotReader(depot)
    reader.isAllowed = listing.isUsable
    var blobs: Set<Digest> = []
    let fetcher = FrameFetcher(storage: depot.storage, requestCount: depot.options.requestCount)
    // Only frames with recipes matter; their headers tell the blobs.
    let frames = try recipeFrames(plan)
    do {
      try fetcher.fetch(frames) { _, frame in
        for object in frame.header.objects where object.kind == .recipe { blobs.insert(object.id) }
      }
    } catch is DamagedFrameError {
      // The copy itself reports it.
    }
    let known = KnownRecipes()
    for (blob, copies) in try reader.recipes(of: blobs) {
      known.bytes[blob] = Set(copies.map(\.bytes))
    }
    return known
  }

  private func recipeFrames(_ plan: Plan) throws -> Set<FrameLocation> {
    try depot.withCache {
      var frames: Set<FrameLocation> = []
      try depot.index.forEachObject(in: marked) { key, position in
        if key.kind == UInt32(ObjectKind.recipe.rawValue), plan[position.frame] != nil {
          frames.insert(position.frame)
        }
      }
      return frames
    }
  }

  /// Copies objects of a frame with a base into one with the same base.
  private func copyDelta(
    _ frame: RawFrame, _ decoded: DecodedFrame, _ starts: Set<Int>, _ reader: FrameReader,
    at location: FrameLocation, _ output: PackOutput
  ) throws {
    if starts.count == frame.objectCount { return try output.append(frame) }
    guard let base = frame.header.base else { return }
    let prefix = try reader.prefix(of: base, at: location)
    let chunks = frame.header.objects.filter { starts.contains($0.start) }.map { object in
      decoded.withBytes(start: object.start, length: object.length) {
        (id: object.id, bytes: [UInt8]($0))
      }
    }
    let part = try prefix.withUnsafeBytes {
      try FrameRepacker.frame(of: chunks, base: base, prefix: $0)
    }
    try output.append(part)
  }

  private func copy(
    _ frame: RawFrame, _ decoded: DecodedFrame, _ starts: Set<Int>, _ recipes: KnownRecipes,
    _ repacker: FrameRepacker, _ output: PackOutput
  ) throws {
    var objects: [FrameHeader.Object] = []
    for object in frame.header.objects where starts.contains(object.start) {
      if object.kind == .recipe {
        let bytes = decoded.withBytes(start: object.start, length: object.length) { [UInt8]($0) }
        guard recipes.bytes[object.id, default: []].insert(bytes).inserted else { continue }
      }
      objects.append(object)
    }
    if objects.count == frame.objectCount, frame.header.base == nil {
      return try output.append(frame)
    }
    for object in objects {
      try decoded.withBytes(start: object.start, length: object.length) {
        try repacker.add(object.kind, object.id, $0, output.append)
      }
    }
  }
}

/// Builds and uploads packs of a collector.
final class PackOutput {
  private let options: DepotOptions
  private let writer: WriterID
  private let uploads: PackUploads
  private var builder: PackBuilder

  init(_ depot: Depot, writer: WriterID) throws {
    options = depot.options
    self.writer = writer
    uploads = try PackUploads(depot)
    builder = PackBuilder(depot.options, writer: writer)
  }

  func append(_ frame: RawFrame) throws {
    try builder.append(frame)
    if builder.isFull { try finishPack() }
  }

  private func finishPack() throws {
    guard !builder.isEmpty else { return }
    let pack = builder.finish()
    builder = PackBuilder(options, writer: writer)
    try uploads.add(pack)
  }

  /// Uploads the last pack and the directories.
  /// - Returns: the bytes of all packs.
  func finish() throws -> UInt64 {
    try finishPack()
    try uploads.finish()
    return uploads.uploadedBytes
  }

  func close() { uploads.close() }

  deinit { uploads.close() }
}
