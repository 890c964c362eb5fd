// A depot as a position to read from: of a pull, or to look at a remote snapshot.

import Codec
import ObjectStorage
import Platform
import Store
import Transfer

/// Reads from a depot.
public struct DepotSource: TransferSource {
  public let depot: Depot
  public var name: String { depot.name }

  /// Creates a source.
  public init(_ depot: Depot) { self.depot = depot }

  // MARK: Snapshots

  public func images() throws -> [ImageName] {
    try depot.refs.allNumbers().filter { !$0.value.existing.isEmpty }.keys.sorted()
  }

  public func history(of image: ImageName) throws -> RemoteHistory {
    let numbers = try depot.refs.numbers(of: image).existing
    let ids = try depot.snapshotIDs(of: image, numbers)
    return RemoteHistory(
      image: image,
      snapshots: zip(numbers, ids).compactMap { number, id in
        id.map { RemoteHistory.Item(number: number, id: $0) }
      },
      tags: try depot.marks.tags(of: image), pins: try depot.marks.pins(of: image))
  }

  public func snapshot(_ image: ImageName, _ number: Int) throws -> TransferredSnapshot {
    guard let ref = try depot.refs.read(image, number), try !depot.refs.isRemoved(image, number)
    else {
      throw DepotError(
        .snapshotNotFound, "\(image)@\(number)", "does not exist in \(name)",
        hint: "List the history of the image there")
    }
    let signatures = try DepotSignatures(storage: depot.storage).read(image, number)
    return try mapDepotErrors("ref \(image)@\(number)", of: name) { () throws(CodecError) in
      try TransferredSnapshot(ref.snapshot.encode(), signatures: signatures)
    }
  }

  // MARK: Objects

  public func objects(_ names: [ObjectName], _ body: (ObjectName, [UInt8]) throws -> Void) throws {
    try DepotReader(depot).objects(names, body)
  }

  public func contents(of blobs: [Digest]) throws -> [BlobContent?] {
    try resolve(blobs).map { resolution in
      switch resolution {
      case nil: nil
      case .chunk: .chunk
      case .recipe(let recipe): .recipe(recipe.references)
      }
    }
  }

  /// Resolves blobs. What the latest listing lacks may be in packs that were uploaded since.
  private func resolve(_ blobs: [Digest]) throws -> [BlobResolver.Resolution?] {
    var listing = try depot.listing()
    var result = try resolver().resolve(blobs)
    for _ in 0..<DepotReader.maxAttempts where result.contains(where: { $0 == nil }) {
      guard let new = try depot.changedListing(since: listing) else { break }
      listing = new
      result = try resolver().resolve(blobs)
    }
    return result
  }

  private func resolver() throws -> BlobResolver {
    let listing = try depot.listing()
    return BlobResolver(
      DepotReader(depot),
      holds: { name in
        try depot.withCache {
          try depot.index.locations(name.kind, name.id).contains { listing.packs[$0.pack] != nil }
        }
      })
  }

  public func frames(_ names: [ObjectName], _ body: (RawFrame) throws -> Void) throws {
    let repacker = FrameRepacker()
    let requested = Set(names)
    // The recipes come first, so that the receiver can hash blobs while their chunks arrive.
    for group in [requested.filter { $0.kind == .recipe }, requested.filter { $0.kind != .recipe }]
    {
      try fetch(group, of: requested, repacker, body)
      try repacker.finish(body)
    }
  }

  /// Fetches the frames of some objects. Packs that vanish are looked for again.
  private func fetch(
    _ names: Set<ObjectName>, of requested: Set<ObjectName>, _ repacker: FrameRepacker,
    _ body: (RawFrame) throws -> Void
  ) throws {
    var pending = names
    var attempts = 0
    while !pending.isEmpty {
      let selections = try self.selections(pending)
      do {
        let fetcher = FrameFetcher(
          storage: depot.storage, requestCount: depot.options.requestCount)
        try fetcher.fetch(selections.keys) { location, frame in
          guard let positions = selections[location] else { return }
          try pass(frame, positions, of: requested, repacker, body)
          pending.subtract(positions.keys)
        }
      } catch is VanishedPackError {
        attempts += 1
        guard attempts <= DepotReader.maxAttempts else {
          throw DepotError(
            .busy, name, "loses packs to collections faster than they can be read",
            hint: "Run the command again later")
        }
        _ = try depot.refreshListing()
      } catch let error as DamagedFrameError {
        throw DepotError.damaged(
          error.frame.pack.shortName, of: name, "is damaged: \(error.reason)")
      }
    }
  }

  /// Returns the bytes of the frames that have to be fetched.
  public func measure(_ names: [ObjectName]) throws -> UInt64 {
    try selections(Set(names)).keys.reduce(0) { $0 + UInt64($1.frameBytes) }
  }

  /// Returns the frames to fetch, each with its requested objects.
  private func selections(
    _ names: Set<ObjectName>
  ) throws -> [FrameLocation: [ObjectName: ObjectLocation]] {
    let blobs = names.filter { $0.kind == .recipe }.map(\.id)
    var recipes: [Digest: ObjectLocation] = [:]
    for (blob, resolution) in zip(blobs, try resolve(blobs)) {
      if case .recipe(let recipe) = resolution { recipes[blob] = recipe.position }
    }
    var listing = try depot.listing()
    var isStable = false
    func position(_ name: ObjectName) throws -> ObjectLocation? {
      if let recipe = name.kind == .recipe ? recipes[name.id] : nil { return recipe }
      for _ in 0...DepotReader.maxAttempts {
        if let position = try bestPosition(name, listing) { return position }
        guard !isStable, let new = try depot.changedListing(since: listing) else { break }
        listing = new
      }
      isStable = true
      return nil
    }
    var selections: [FrameLocation: [ObjectName: ObjectLocation]] = [:]
    for name in names {
      guard let position = try position(name) else {
        throw DepotError(
          .objectMissing, "\(name.kind.noun) \(name.id.shortHex)", "is in no pack of \(self.name)",
          hint: "Verify the depot to see which snapshots are affected")
      }
      selections[position.frame, default: [:]][name] = position
    }
    return selections
  }

  private func bestPosition(_ name: ObjectName, _ listing: PackListing) throws -> ObjectLocation? {
    listing.best(try depot.withCache { try depot.index.locations(name.kind, name.id) })
  }

  /// Passes on a frame of which most is requested as it is, and the requested objects of another one in new frames.
  ///
  /// A recipe that was not requested must not travel: its parts may be missing at the receiver.
  private func pass(
    _ frame: RawFrame, _ positions: [ObjectName: ObjectLocation], of requested: Set<ObjectName>,
    _ repacker: FrameRepacker, _ body: (RawFrame) throws -> Void
  ) throws {
    var wantedBytes = 0
    var hasOtherRecipe = false
    var listed: Set<ObjectName> = []
    for object in frame.header.objects {
      let name = ObjectName(kind: object.kind, id: object.id)
      if positions[name] != nil, listed.insert(name).inserted {
        wantedBytes += object.length
      } else if object.kind == .recipe, !requested.contains(name) {
        hasOtherRecipe = true
      }
    }
    guard listed.count == positions.count else {
      throw DepotError.damaged("a frame", of: name, "has other objects than its directory lists")
    }
    if !hasOtherRecipe, wantedBytes * 2 >= frame.header.rawBytes { return try body(frame) }
    let decoded = try mapDepotErrors("a frame", of: name) { () throws(CodecError) in
      try depot.decoder.decode(frame)
    }
    for (requested, position) in positions.sorted(by: { $0.value.start < $1.value.start }) {
      guard
        decoded.header.holds(
          requested.kind, requested.id, start: position.start, length: position.length)
      else {
        throw DepotError.damaged("a frame", of: name, "has other objects than its directory lists")
      }
      try decoded.withBytes(start: position.start, length: position.length) {
        try repacker.add(requested.kind, requested.id, $0, body)
      }
    }
  }
}

extension Depot {
  /// Returns the ids of snapshots; nil for refs that vanished. Unknown refs are read on several threads.
  func snapshotIDs(of image: ImageName, _ numbers: [Int]) throws -> [Digest?] {
    let refs = refs
    guard options.requestCount > 1, numbers.count > 1 else {
      return try numbers.map { try refs.read(image, $0)?.id }
    }
    let ids = Monitor([Digest?](repeating: nil, count: numbers.count))
    try parallelForEach(
      numbers.count, threads: options.requestCount, makeWorker: {},
      { _, index in
        let id = try refs.read(image, numbers[index])?.id
        ids.withLock { $0[index] = id }
      })
    return ids.withLock { $0 }
  }
}
