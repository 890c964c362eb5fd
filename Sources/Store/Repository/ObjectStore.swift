// An open store: the entry point of this module.

import Codec
import Platform

/// An open store. All methods may be called from any thread.
public final class ObjectStore: Sendable {
  /// The open directories of the store.
  public let layout: Layout
  let packs: PackReader
  let index: Index
  private let leases: Monitor<Lease>
  /// Rebuilds blobs from plans; nil if the caller provided no such module.
  let reconstructor: (any BlobReconstructor)?
  /// What a remote has, while its snapshots are read in place.
  let promised = PromisedObjects()
  let openPlans = Monitor<[(recipe: Reconstruction, blob: any ReconstructedBlob)]>([])

  /// Opens the store at `path` and brings its index up to date.
  /// - Parameters:
  ///   - create: whether a missing or empty directory becomes a new store.
  ///   - odd: what to do if a directory of the store is another kind of file.
  ///   - owner: who may own the store.
  ///   - reconstructor: rebuilds blobs from plans; nil makes such blobs unreadable.
  ///   - report: receives a line for each repair of the index.
  /// - Throws: `StoreError`: `incompatible`, `notFound`, `refused`, `damaged`, `missing`, `system`, `index`.
  public init(
    _ fileSystem: any FileSystem, path: [UInt8], create: Bool,
    odd: OddLayoutPolicy = .refuse, owner: StoreOwnerPolicy = .trusted,
    reconstructor: (any BlobReconstructor)? = nil,
    report: @escaping @Sendable (String) -> Void
  ) throws(StoreError) {
    self.reconstructor = reconstructor
    layout = try Layout.open(fileSystem, path: path, create: create, odd: odd, owner: owner)
    // Take the lease before reading anything: gc keeps everything that the store sees under its lease.
    leases = Monitor(try Lease.take(layout))
    packs = PackReader(layout)
    index = try Index(layout, packs, report: report)
  }

  /// Returns the refs of the store.
  public var refs: RefLog { RefLog(layout: layout) }

  /// Starts a session that adds objects.
  /// - Throws: `refused` if the store is read-only; `system`.
  public func beginSession(_ tuning: StoreTuning = StoreTuning()) throws(StoreError) -> WriteSession
  {
    try layout.requireWritable("the store")
    return try WriteSession(layout, index, lease, tuning: tuning)
  }

  /// Returns the lease that protects the objects of this store from gc.
  var lease: Lease { leases.withLock { $0 } }

  /// Gives up the lease until `renewLease`, before waiting for a collection, which waits for all leases.
  func releaseLease() { leases.withLock { $0 = Lease.none } }

  /// Takes a new lease. Used by gc itself: from now on this store relies only on objects that exist now.
  func renewLease() throws(StoreError) {
    let new = try Lease.take(layout)
    leases.withLock { $0 = new }
  }

  /// Runs `body`, which changes who may read the store's files, but none of their bytes.
  public func changingAccess(_ body: () throws -> Void) throws { try index.keepingStamp(body) }

  /// Rebuilds the index from the packs.
  /// - Throws: `refused` if the store is read-only, because a rebuilt index could not be kept.
  public func reindex() throws(StoreError) {
    try layout.requireWritable("the index")
    try index.rebuild()
  }

  /// Returns the numbers of packs and objects and the bytes of all packs, as the index lists them.
  public func totals() throws(StoreError) -> (packs: Int, objects: Int, storedBytes: UInt64) {
    try index.totals()
  }

  /// Locks an image. Commands that change an image or its history hold this lock.
  /// - Parameters:
  ///   - waiting: how long to wait for another process.
  ///   - onWait: called once before waiting, with the processes that hold the lock.
  /// - Throws: `busy` if another process still holds the lock after the wait; `refused`; `system`.
  public func lockImage(
    _ image: ImageName, waiting: LockWait = .forever, onWait: (_ holders: [String]) -> Void
  ) throws(StoreError) -> FileLock {
    try layout.requireWritable("image \(image)")
    let name = Array("image-".utf8) + image.bytes
    do throws(SystemError) {
      let lock = try layout.lock(name, exclusive: true, waiting: waiting) {
        onWait(FileLock.holders(layout.fileSystem, at: layout.locks.raw, name))
      }
      guard let lock else { throw SystemError(code: .readOnly, "lock", name) }
      return lock
    } catch {
      if error.code == .busy { throw layout.busy("image \(image)", name, .imageLocked) }
      throw .system(error, "the lock of \(image)")
    }
  }

  // MARK: Objects

  /// Runs `body`, which reads many small objects, in one read transaction. Writers are admitted between
  /// reads.
  public func withReadTransaction<R>(_ body: () throws -> R) rethrows -> R {
    try index.withReadTransaction(body)
  }

  /// Returns the location of an object. Before it reports a missing object, it rebuilds the index once a
  /// process.
  func location(_ kind: ObjectKind, _ id: Digest) throws(StoreError) -> ObjectLocation {
    if let location = try index.location(kind, id) { return location }
    try index.rebuildOnce("index: rebuilt to look for a missing object")
    if let location = try index.location(kind, id) { return location }
    throw .missing("\(kind.noun) \(id.hex)", "no pack contains it")
  }

  /// Returns true if the index lists the object, or a remote that is read in place has it.
  func holds(_ kind: ObjectKind, _ id: Digest) throws(StoreError) -> Bool {
    if try index.location(kind, id) != nil { return true }
    return try promised.promisor?.holds(kind, id) ?? false
  }

  /// Returns the decoded frame that contains an object, and the object's location.
  func frame(
    _ kind: ObjectKind, _ id: Digest
  ) throws(StoreError) -> (DecodedFrame, ObjectLocation) {
    do throws(StoreError) {
      return try frameAsIndexed(kind, id)
    } catch {
      // A wrong index row and a damaged pack look the same. A rebuilt index distinguishes them.
      guard error.kind == .index || error.kind == .damaged || error.kind == .missing else {
        throw error
      }
      try index.rebuildOnce("index: rebuilt because it may have listed a wrong location")
    }
    do throws(StoreError) {
      return try frameAsIndexed(kind, id)
    } catch {
      guard error.kind == .damaged || error.kind == .missing else { throw error }
      // If one copy is damaged, another may be intact.
      for location in try index.locations(kind, id) {
        guard let frame = try? packs.frame(location.address, frameBytes: location.frameBytes),
          frame.header.holds(kind, id, start: location.start, length: location.length)
        else { continue }
        return (frame, location)
      }
      throw error
    }
  }

  /// Returns the frame at the location that the index lists, without a rebuild.
  private func frameAsIndexed(
    _ kind: ObjectKind, _ id: Digest
  ) throws(StoreError) -> (DecodedFrame, ObjectLocation) {
    let location = try location(kind, id)
    let frame =
      try kind == .chunk
      ? packs.frame(ofChunk: id, at: location)
      : packs.frame(location.address, frameBytes: location.frameBytes)
    guard frame.header.holds(kind, id, start: location.start, length: location.length) else {
      throw StoreError(
        .index, "\(kind.noun) \(id.shortHex)",
        "is not at the location that the index lists",
        hint: "Run 'imgstore reindex'")
    }
    return (frame, location)
  }
}

extension ObjectStore: ObjectSource {
  /// Returns the bytes of an object.
  /// - Throws: `missing`, `damaged`, `index`, `system`.
  public func object(_ kind: ObjectKind, _ id: Digest) throws -> [UInt8] {
    if let bytes = try promisedObject(kind, id) { return bytes }
    let (frame, location) = try frame(kind, id)
    return frame.withBytes(start: location.start, length: location.length) { [UInt8]($0) }
  }
}
