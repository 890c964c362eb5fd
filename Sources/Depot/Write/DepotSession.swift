// A writer's session: it registers, learns which packs it may count on, uploads packs, and creates refs
// (invariants 3, 4 and 7 of `Depot`).

import Codec
import ObjectStorage
import Platform
import Store
import Transfer

/// A depot as a position to write to.
public struct DepotSink: TransferSink {
  public let depot: Depot
  public var name: String { depot.name }

  /// Creates a sink.
  public init(_ depot: Depot) { self.depot = depot }

  public func images() throws -> [ImageName] { try DepotSource(depot).images() }
  public func history(of image: ImageName) throws -> RemoteHistory {
    try DepotSource(depot).history(of: image)
  }
  public func snapshot(_ image: ImageName, _ number: Int) throws -> TransferredSnapshot {
    try DepotSource(depot).snapshot(image, number)
  }
  public func begin() throws -> any TransferSession { try DepotSession(depot) }
}

/// A session of a writer. One thread calls its methods.
public final class DepotSession: TransferSession {
  let depot: Depot
  /// The id under which the writer is registered.
  public let id: WriterID
  private let uploads: PackUploads
  private let packs: SessionPacks
  private var isEnded = false

  /// Registers a writer. The order of the requests is invariant 3.
  /// - Throws: `StorageError`; `remoteDamaged`.
  public init(_ depot: Depot) throws {
    self.depot = depot
    let writers = depot.writers
    id = try writers.register()
    do {
      // A push that was killed here must not make collections elsewhere wait for ever.
      _ = try writers.removeDead(among: try writers.ids().subtracting([id]))
      let listing = try depot.refreshListing()
      uploads = try PackUploads(depot)
      packs = try SessionPacks(depot, id: id, listing, uploads: uploads)
    } catch {
      try? writers.remove(id)
      throw error
    }
  }

  deinit { packs.close() }

  /// The bytes of the packs that were uploaded.
  public var uploadedBytes: UInt64 { uploads.uploadedBytes }

  // MARK: What the depot has

  /// Returns true if the session may count on a pack.
  func isUsable(_ pack: DepotPack) -> Bool { packs.isUsable(pack) }

  /// Returns the copies that the session may count on, with the packs that they are read from.
  func usableCopies() -> PresentCopies { packs.usableCopies() }

  private func holds(_ name: ObjectName) throws -> Bool {
    try packs.isPending(name) || usableCopies().contains(name)
  }

  func resolver() -> BlobResolver {
    var reader = DepotReader(depot)
    reader.isAllowed = packs.isUsable
    return BlobResolver(reader, holds: holds, own: packs.recipe)
  }

  public func missing(_ names: [ObjectName]) throws -> [ObjectName] {
    try packs.wait()
    var missing = try names.filter { try $0.kind != .recipe && !holds($0) }
    let blobs = names.filter { $0.kind == .recipe && packs.recipe(of: $0.id) == nil }.map(\.id)
    if !blobs.isEmpty {
      // A blob that is a chunk as well may lack a recipe: only the recipe was asked for.
      let resolver = resolver()
      for (blob, resolution) in zip(blobs, try resolver.resolve(blobs)) {
        if case .recipe = resolution { continue }
        missing.append(ObjectName(kind: .recipe, id: blob))
      }
      let order = Set(missing)
      missing = names.filter { order.contains($0) }
    }
    return missing
  }

  public func missingBlobs(_ blobs: [Digest]) throws -> [Digest] {
    try packs.wait()
    return zip(blobs, try resolver().resolve(blobs)).filter { $0.1 == nil }.map(\.0)
  }

  /// Returns those of the snapshots, given by their ids, whose objects all stay while the session runs.
  /// Others are no bases: a collection may delete what only they protect.
  public func usableBases(_ ids: [Digest]) throws -> [Digest] {
    ids.filter { depot.completeness.packs(of: $0)?.allSatisfy(isUsable) ?? false }
  }

  // MARK: Frames

  /// Frames may have bases that the depot has.
  public var acceptsBases: Bool { true }

  /// Adds a frame after comparing its objects with their ids, which may happen later on another thread.
  public func append(_ frame: RawFrame) throws {
    if let base = frame.header.base, depot.options.localStore == nil {
      // The base is read from the depot.
      try packs.wait()
      let isPending = base.chunks.contains { packs.isPending(ObjectName(kind: .chunk, id: $0.id)) }
      if isPending { try flush() }
    }
    try packs.append(frame)
  }

  /// Uploads everything that was appended.
  public func flush() throws { try packs.flush() }

  // MARK: Snapshots

  public func commit(_ snapshot: TransferredSnapshot, bases: [Digest]) throws -> Int {
    let image = try ImageName(snapshot.snapshot.image)
    try flush()
    try requireComplete(snapshot, image, bases)
    // The check that decides comes after the ref. This one makes a ref that is taken back unlikely.
    try requireRegistered()
    let (number, isNew) = try addRef(snapshot, image)
    do {
      try requireRegistered()
    } catch {
      if isNew { try depot.marks.rollBack(image, number) }
      throw error
    }
    try DepotSignatures(storage: depot.storage).write(snapshot.signatures, image, number)
    return number
  }

  private func addRef(
    _ snapshot: TransferredSnapshot, _ image: ImageName
  ) throws -> (number: Int, isNew: Bool) {
    let numbers = try depot.refs.numbers(of: image).existing
    let ids = try depot.snapshotIDs(of: image, numbers)
    for (number, id) in zip(numbers, ids).reversed() where id == snapshot.id {
      if try depot.marks.adopt(image, number) { return (number, false) }
    }
    return (try depot.refs.append(snapshot.bytes, snapshot.id, to: image), true)
  }

  private func requireRegistered() throws {
    guard try depot.writers.isRegistered(id) else {
      throw DepotError(
        .remoteUnavailable, "the push to \(depot.name)",
        "was evicted: an administrator removed the registration of this writer",
        hint: "Repeat the command. Evict writers only after they have ended")
    }
  }

  public func tag(_ tag: String, of image: ImageName, _ number: Int) throws -> Int {
    try depot.marks.tag(tag, of: image, number)
  }

  public func pin(_ image: ImageName, _ number: Int, reason: String) throws {
    try depot.marks.pin(image, number, reason: reason)
  }

  /// Uploads what was appended, so that it need not be sent again, and removes the registration.
  public func end() {
    if isEnded { return }
    isEnded = true
    try? flush()
    packs.close()
    try? depot.writers.remove(id)
  }
}
