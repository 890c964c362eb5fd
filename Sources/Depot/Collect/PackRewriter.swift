// Copies what snapshots need of marked packs into new packs.
//
// 1. An object is copied unless a pack that is not marked has it. Of recipes, each variant is copied, unless a pack that
//    is not marked has an equal one.
// 2. Every frame is decoded and its objects compared with their ids before they are copied. Objects keep their ids.
// 3. The new packs and their directories are uploaded when `copy` returns.

import Codec
import Platform
import Store

/// Copies objects out of marked packs.
struct PackRewriter {
  let depot: Depot
  let listing: PackListing
  let marked: Set<DepotPack>

  struct Result {
    var copiedBytes: UInt64 = 0
    /// The packs with a needed object that cannot be read, and the reasons.
    var damaged: [DepotPack: String] = [:]
  }

  /// The needed objects of one frame, by their start.
  private typealias Plan = [FrameLocation: Set<Int>]

  /// Copies the needed objects.
  /// - Throws: `VanishedPackError` if another collector has deleted a pack; `StorageError`.
  func copy(_ reachable: DepotReachability) throws -> Result {
    let plan = try plan(reachable)
    var result = Result()
    guard !plan.isEmpty else { return result }
    let recipes = try recipesToCopy(plan)
    let output = try PackOutput(depot, writer: depot.options.makeID())
    defer { output.close() }
    let repacker = FrameRepacker()
    let fetcher = FrameFetcher(storage: depot.storage, requestCount: depot.options.requestCount)
    var frames = Set(plan.keys)
    while !frames.isEmpty {
      do {
        try fetcher.fetch(frames) { location, frame in
          frames.remove(location)
          try copy(frame, at: location, plan[location] ?? [], recipes, repacker, output)
        }
      } catch let error as DamagedFrameError {
        frames.remove(error.frame)
        result.damaged[error.frame.pack] =
          "\(error.frame.pack.shortName) of \(depot.name) is damaged: \(error.reason)"
      }
    }
    try repacker.finish(output.append)
    result.copiedBytes = try output.finish()
    return result
  }

  private func plan(_ reachable: DepotReachability) throws -> Plan {
    try depot.withCache {
      var plan: Plan = [:]
      var claimed: Set<LocationKey> = []
      try depot.index.forEachObject(in: marked) { key, position in
        guard reachable.contains(key) else { return }
        if key.kind != UInt32(ObjectKind.recipe.rawValue) {
          guard !claimed.contains(key) else { return }
          let copies = try depot.index.locations(key)
          if copies.contains(where: { listing.isUsable($0.pack) }) { return }
          claimed.insert(key)
        }
        plan[position.frame, default: []].insert(position.start)
      }
      return plan
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

  private func copy(
    _ frame: RawFrame, at location: FrameLocation, _ starts: Set<Int>, _ recipes: KnownRecipes,
    _ repacker: FrameRepacker, _ output: PackOutput
  ) throws {
    let decoded: DecodedFrame
    do throws(CodecError) { decoded = try depot.decoder.verify(frame) } catch {
      throw DamagedFrameError(frame: location, reason: "\(error)")
    }
    var objects: [FrameHeader.Object] = []
    for object in frame.header.objects where starts.contains(object.start) {
      if object.kind == .recipe {
        let bytes = decoded.withBytes(start: object.start, length: object.length) { [UInt8]($0) }
        guard recipes.bytes[object.id, default: []].insert(bytes).inserted else { continue }
      }
      objects.append(object)
    }
    if objects.count == frame.objectCount { return try output.append(frame) }
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
    uploads = try PackUploads(depot.storage, requestCount: depot.options.requestCount)
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
