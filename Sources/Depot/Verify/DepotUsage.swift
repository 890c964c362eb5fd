// What the images of a depot take.

import Codec
import Platform
import Store

/// The use of a depot's space.
public struct DepotUsage: Sendable {
  /// The use of one image.
  public struct Image: Sendable {
    public let image: ImageName
    public let snapshots: Int
    /// The bytes of packs that its snapshots need, with what these are based on: an estimate from the share
    /// of each pack.
    public let neededBytes: UInt64
    /// The part of `neededBytes` that no other image needs.
    public let ownBytes: UInt64
  }

  public var images: [Image] = []
  public var packs = 0
  public var packBytes: UInt64 = 0
  /// The bytes of packs that will be deleted.
  public var doomedBytes: UInt64 = 0
  /// The part of `packBytes` that no snapshot needs.
  public var unneededBytes: UInt64 = 0
}

extension Depot {
  /// Measures what each image takes.
  /// - Throws: `objectMissing` or `remoteDamaged` if a snapshot is incomplete; `StorageError`.
  public func usage() throws -> DepotUsage {
    var snapshots: [ImageName: [[Entry]]] = [:]
    try refs.readAll { image, _, ref in
      snapshots[image, default: []].append(ref.snapshot.components.map(\.entry))
    }
    let listing = try refreshListing()
    let images = snapshots.keys.sorted()
    let needs = try images.map { image in
      var reachable = try DepotReachability(self)
      for snapshot in snapshots[image] ?? [] { try reachable.add(snapshot) }
      try reachable.addBases()
      return reachable
    }
    var sums = UsageSums(imageCount: images.count)
    try withCache {
      sums = UsageSums(imageCount: images.count)
      var rawBytes: [DepotPack: UInt64] = [:]
      let all = Set(listing.packs.keys)
      try index.forEachObject(in: all) { rawBytes[$1.pack, default: 0] += UInt64($1.length) }
      try index.forEachObject(in: all) { key, position in
        let share =
          Double(listing.packs[position.pack] ?? 0) / Double(max(1, rawBytes[position.pack] ?? 0))
        sums.add(
          Double(position.length) * share, to: needs.indices.filter { needs[$0].contains(key) })
      }
    }
    var usage = DepotUsage()
    usage.packs = listing.packs.count
    usage.packBytes = listing.packs.values.reduce(0, +)
    usage.doomedBytes = listing.doomed.reduce(0) { $0 + (listing.packs[$1] ?? 0) }
    usage.unneededBytes = UInt64(sums.unneeded)
    usage.images = images.enumerated().map { index, image in
      DepotUsage.Image(
        image: image, snapshots: snapshots[image]?.count ?? 0,
        neededBytes: UInt64(sums.needed[index]), ownBytes: UInt64(sums.own[index]))
    }
    return usage
  }
}

/// Adds up the bytes of objects by the images that need them.
private struct UsageSums {
  var needed: [Double]
  var own: [Double]
  var unneeded = 0.0

  init(imageCount: Int) {
    needed = Array(repeating: 0, count: imageCount)
    own = needed
  }

  mutating func add(_ bytes: Double, to images: [Int]) {
    for image in images { needed[image] += bytes }
    if images.isEmpty { unneeded += bytes }
    if images.count == 1, let image = images.first { own[image] += bytes }
  }
}
