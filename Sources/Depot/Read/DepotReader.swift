// Reads objects of a depot.
//
// 1. Objects other than recipes are compared with their ids. A recipe can be verified by its blob only, which
//    the reader of the blob does.
// 2. A pack that vanished makes the reader list the packs again: the needed objects are in other packs then.
// 3. If one copy is damaged, another one is read.

import Codec
import ObjectStorage
import Platform
import Store

/// Reads objects of some packs of a depot.
struct DepotReader {
  let depot: Depot
  /// The packs to read from.
  var isAllowed: @Sendable (DepotPack) -> Bool = { _ in true }
  static let maxAttempts = 5
  /// The names that are read at once: their frames are decoded one after the other, so memory is bounded by
  /// `body`.
  private var fetcher: FrameFetcher {
    FrameFetcher(storage: depot.storage, requestCount: depot.options.requestCount)
  }

  init(_ depot: Depot) { self.depot = depot }

  /// Calls `body` with the bytes of each object once, in the order of the packs.
  /// - Throws: `objectMissing` if no pack has one; `remoteDamaged` if no copy of one is valid;
  ///   `StorageError`; errors of `body`.
  func objects(_ names: some Sequence<ObjectName>, _ body: (ObjectName, [UInt8]) throws -> Void)
    throws
  {
    var pending = Set(names)
    var damaged: [FrameLocation: String] = [:]
    var attempts = 0
    var lastListing: PackListing?
    while !pending.isEmpty {
      let listing = try attempts == 0 ? depot.listing() : depot.refreshListing()
      let isStable = lastListing?.packs == listing.packs
      lastListing = listing
      let present = present(in: listing)
      let reader = FrameReader(depot, present)
      do {
        var requested: [FrameLocation: [ObjectName: ObjectLocation]] = [:]
        for name in pending {
          let copies = try present.copies(of: name)
          guard let location = copies.first(where: { damaged[$0.frame] == nil }) else {
            // Two collectors may move an object between the pages of one listing.
            if !isStable { throw VanishedPackError(pack: DepotPack.none) }
            throw try missing(name, present, damaged)
          }
          requested[location.frame, default: [:]][name] = location
        }
        try reader.read(requested.keys) { location, _, decoded in
          guard let objects = requested[location] else { return }
          for (name, position) in objects.sorted(by: { $0.value.start < $1.value.start }) {
            let bytes = try object(name, position, in: decoded)
            pending.remove(name)
            try body(name, bytes)
          }
        }
      } catch let error as DamagedFrameError {
        damaged[error.frame] = error.reason
        attempts = max(attempts, 1)
      } catch is VanishedPackError {
        attempts += 1
        guard attempts <= DepotReader.maxAttempts else {
          throw DepotError(
            .busy, depot.name, "loses packs to collections faster than they can be read",
            hint: "Run the command again later")
        }
      }
    }
  }

  /// Reads one object.
  func object(_ name: ObjectName) throws -> [UInt8] {
    var result: [UInt8] = []
    try objects([name]) { result = $1 }
    return result
  }

  private func present(in listing: PackListing) -> PresentCopies {
    let isAllowed = isAllowed
    return PresentCopies(depot, listing) { listing.packs[$0.pack] != nil && isAllowed($0.pack) }
  }

  private func decode(_ frame: RawFrame, at location: FrameLocation) throws -> DecodedFrame {
    do throws(CodecError) { return try depot.decoder.decode(frame) } catch {
      throw DamagedFrameError(frame: location, reason: "\(error)")
    }
  }

  private func object(
    _ name: ObjectName, _ position: ObjectLocation, in frame: DecodedFrame
  ) throws -> [UInt8] {
    guard frame.header.holds(name.kind, name.id, start: position.start, length: position.length)
    else {
      throw DamagedFrameError(frame: position.frame, reason: "the frame has other objects")
    }
    let bytes = frame.withBytes(start: position.start, length: position.length) { [UInt8]($0) }
    guard name.kind == .recipe || SHA256.digest(of: bytes) == name.id else {
      throw DamagedFrameError(frame: position.frame, reason: "an object has other bytes")
    }
    return bytes
  }

  /// Returns the error for an object of which no copy can be read.
  func missing(
    _ name: ObjectName, _ present: PresentCopies, _ damaged: [FrameLocation: String]
  ) throws -> DepotError {
    let copies = try present.candidates(LocationKey(name.kind, name.id))
    if let reason = copies.lazy.compactMap({ damaged[$0.frame] }).first {
      return .damaged(
        "\(name.kind.noun) \(name.id.shortHex)", of: depot.name, "is damaged: \(reason)")
    }
    if let copy = copies.first, let base = try present.missingBase(of: copy.frame) {
      return DepotError(
        .objectMissing, "\(name.kind.noun) \(name.id.shortHex)",
        "is based on chunk \(base.shortHex), which is in no pack of \(depot.name)",
        hint: "Verify the depot to see which snapshots are affected")
    }
    return DepotError(
      .objectMissing, "\(name.kind.noun) \(name.id.shortHex)", "is in no pack of \(depot.name)",
      hint: "Verify the depot to see which snapshots are affected")
  }

  // MARK: Recipes

  /// Reads all copies of recipes that are in allowed packs, those of each blob in the order in which readers
  /// try them.
  ///
  /// A copy that is damaged, or in a pack that vanished, is left out.
  func recipes(of blobs: Set<Digest>) throws -> [Digest: [(
    position: ObjectLocation, bytes: [UInt8]
  )]] {
    let listing = try depot.listing()
    var requested: [FrameLocation: [(blob: Digest, position: ObjectLocation)]] = [:]
    for blob in blobs {
      let copies = try depot.withCache { try depot.index.locations(.recipe, blob) }
      for position in listing.ordered(copies) where isAllowed(position.pack) {
        requested[position.frame, default: []].append((blob, position))
      }
    }
    var result: [Digest: [(position: ObjectLocation, bytes: [UInt8])]] = [:]
    var frames = Set(requested.keys)
    while !frames.isEmpty {
      do {
        try fetcher.fetch(frames) { location, frame in
          frames.remove(location)
          let decoded = try decode(frame, at: location)
          for (blob, position) in requested[location] ?? [] {
            let bytes = try object(ObjectName(kind: .recipe, id: blob), position, in: decoded)
            result[blob, default: []].append((position, bytes))
          }
        }
      } catch let error as DamagedFrameError {
        frames.remove(error.frame)
      } catch let error as VanishedPackError {
        frames = frames.filter { $0.pack != error.pack }
      }
    }
    return result.mapValues { copies in
      let order = listing.ordered(copies.map(\.position))
      return copies.sorted { a, b in
        (order.firstIndex(of: a.position) ?? 0) < (order.firstIndex(of: b.position) ?? 0)
      }
    }
  }
}

extension DepotPack {
  /// A name that no pack has.
  static let none = DepotPack(digest: .zero, writer: WriterID(high: 0, low: 0))
}

extension Depot: ObjectSource {
  /// Returns the bytes of an object. Callers that need many objects use `DepotSource`, which reads them
  /// together.
  public func object(_ kind: ObjectKind, _ id: Digest) throws -> [UInt8] {
    try DepotReader(self).object(ObjectName(kind: kind, id: id))
  }
}
