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
    let present = PresentCopies(depot, try depot.listing())
    return BlobResolver(DepotReader(depot), holds: present.contains)
  }

  // MARK: Frames

  public func frames(_ names: [ObjectName], _ body: (RawFrame) throws -> Void) throws {
    try frames(names, bases: [], body)
  }

  public func frames(
    _ names: [ObjectName], bases: Set<Digest>, _ body: (RawFrame) throws -> Void
  ) throws {
    let requested = Set(names)
    // The recipes come first, so that the receiver can hash blobs while their chunks arrive.
    for group in [requested.filter { $0.kind == .recipe }, requested.filter { $0.kind != .recipe }]
    {
      try SentFrames(source: self, requested: requested, bases: bases).send(group, body)
    }
  }

  /// Returns the bytes of the frames that have to be fetched.
  public func measure(_ names: [ObjectName]) throws -> UInt64 { try measure(names, bases: []) }

  public func measure(_ names: [ObjectName], bases: Set<Digest>) throws -> UInt64 {
    let requested = Set(names)
    return try SentFrames(source: self, requested: requested, bases: bases).measure(requested)
  }

  public func bases(of names: [ObjectName]) throws -> [Digest] {
    guard depot.index.hasBasedFrame(in: Set(try depot.listing().packs.keys)) else { return [] }
    let (selections, present) = try self.selections(Set(names.filter { $0.kind == .chunk }))
    var seen: Set<Digest> = []
    var chunks: [Digest] = []
    for frame in selections.keys.filter({ $0.depth > 0 }).sorted() {
      for chunk in try present.base(of: frame)?.chunks ?? [] where seen.insert(chunk.id).inserted {
        chunks.append(chunk.id)
      }
    }
    return chunks
  }

  /// The frames to fetch, each with its requested objects.
  typealias Selections = [FrameLocation: [ObjectName: ObjectLocation]]

  /// Selects the frames to fetch for some objects.
  func selections(_ names: Set<ObjectName>) throws -> (Selections, PresentCopies) {
    let blobs = names.filter { $0.kind == .recipe }.map(\.id)
    var recipes: [Digest: ObjectLocation] = [:]
    for (blob, resolution) in zip(blobs, try resolve(blobs)) {
      if case .recipe(let recipe) = resolution { recipes[blob] = recipe.position }
    }
    var listing = try depot.listing()
    var present = PresentCopies(depot, listing)
    var isStable = false
    func position(_ name: ObjectName) throws -> ObjectLocation? {
      if let recipe = name.kind == .recipe ? recipes[name.id] : nil { return recipe }
      for _ in 0...DepotReader.maxAttempts {
        if let position = try present.copy(of: name) { return position }
        guard !isStable, let new = try depot.changedListing(since: listing) else { break }
        listing = new
        present = PresentCopies(depot, listing)
      }
      isStable = true
      return nil
    }
    var selections: Selections = [:]
    for name in names {
      guard let position = try position(name) else {
        throw try DepotReader(depot).missing(name, present, [:])
      }
      selections[position.frame, default: [:]][name] = position
    }
    return (selections, present)
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
