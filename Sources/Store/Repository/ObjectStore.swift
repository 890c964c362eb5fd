// A store, open: the way to everything in this room.

import Codec
import Platform

/// An open store. Any thread may call it.
public final class ObjectStore: Sendable {
  public let layout: Layout
  let packs: PackReader
  let index: Index
  private let leases: Monitor<Lease>
  /// Makes deflate streams again; nil where nobody said how.
  let maker: (any StreamReencoder)?
  let openPlans = Monitor<[CachedPlan]>([])

  /// Opens the store at `path` and brings its index up to date.
  /// - Parameters:
  ///   - create: whether a missing or empty folder becomes a new store.
  ///   - odd: what is done where something else has the name of one of its folders.
  ///   - owner: whose store it may be.
  ///   - maker: makes blobs again that recipes describe; without one they cannot be read.
  ///   - report: told, in one line, what had to be done to the index.
  /// - Throws: `StoreError`: `incompatible`, `missing`, `system`.
  public init(
    _ fileSystem: any FileSystem, path: [UInt8], create: Bool,
    odd: OddLayoutPolicy = .refuse, owner: StoreOwnerPolicy = .trusted,
    maker: (any StreamReencoder)? = nil,
    report: @escaping @Sendable (String) -> Void
  ) throws(StoreError) {
    self.maker = maker
    layout = try Layout.open(fileSystem, path: path, create: create, odd: odd, owner: owner)
    // The lease comes before the first look at what is there: what is seen under it stays.
    leases = Monitor(try Lease.take(layout))
    packs = PackReader(layout)
    index = try Index(layout, packs, report: report)
  }

  public var refs: RefLog { RefLog(layout: layout) }

  /// Begins a session that adds objects.
  public func beginSession(_ tuning: StoreTuning = StoreTuning()) throws(StoreError) -> WriteSession
  {
    try layout.requireWritable("the store")
    return try WriteSession(layout, index, lease, tuning: tuning)
  }

  /// What shows collectors that this store is in use.
  var lease: Lease { leases.withLock { $0 } }

  /// Relies on nothing until `renewLease`: for who waits for a collector, which would wait for the lease.
  func releaseLease() { leases.withLock { $0 = Lease.none } }

  /// For the collector itself: from here on this store relies on what is there now.
  func renewLease() throws(StoreError) {
    let new = try Lease.take(layout)
    leases.withLock { $0 = new }
  }

  /// Runs `body`, which changes who may read the store's files and none of their bytes.
  public func changingAccess(_ body: () throws -> Void) throws { try index.keepingStamp(body) }

  /// Rebuilds the index.
  public func reindex() throws(StoreError) { try index.rebuild() }

  public func totals() throws(StoreError) -> (packs: Int, objects: Int, storedBytes: UInt64) {
    try index.totals()
  }

  /// A lock that belongs to one image: whoever changes the image or its history holds it.
  /// - Parameter onWait: is told who has it, once, before waiting.
  /// - Throws: `busy` where another process still has it after the time.
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
      if error.code == .busy { throw layout.busy("image \(image)", name) }
      throw .system(error, "the lock of \(image)")
    }
  }

  // MARK: Objects

  /// Runs `body`, which reads many small objects, faster; others that add to the store have their turn.
  public func withReadTransaction<R>(_ body: () throws -> R) rethrows -> R {
    try index.withReadTransaction(body)
  }

  /// Where an object is. The index is rebuilt, once a process, before "missing" is said.
  func place(_ kind: ObjectKind, _ id: Digest) throws(StoreError) -> ObjectPlace {
    if let place = try index.place(kind, id) { return place }
    try index.rebuildOnce("index: rebuilt in search of an object that is missing")
    if let place = try index.place(kind, id) { return place }
    throw .missing("\(kind.noun) \(id.hex)", "no pack holds it")
  }

  func holds(_ kind: ObjectKind, _ id: Digest) throws(StoreError) -> Bool {
    try index.place(kind, id) != nil
  }

  /// The decoded frame that holds an object, and the object's place in it.
  func frame(
    _ kind: ObjectKind, _ id: Digest
  ) throws(StoreError) -> (DecodedFrame, ObjectPlace) {
    do throws(StoreError) {
      return try frameAsIndexed(kind, id)
    } catch {
      // A wrong row and a damaged pack look alike; a new index tells them apart.
      guard error.kind == .index || error.kind == .damaged || error.kind == .missing else {
        throw error
      }
      try index.rebuildOnce("index: rebuilt, for it may have led to a wrong place")
    }
    do throws(StoreError) {
      return try frameAsIndexed(kind, id)
    } catch {
      guard error.kind == .damaged || error.kind == .missing else { throw error }
      // One copy is damaged: another may be sound.
      for place in try index.places(kind, id) {
        guard let frame = try? packs.frame(place.address, frameBytes: place.frameBytes),
          frame.header.holds(kind, id, start: place.start, length: place.length)
        else { continue }
        return (frame, place)
      }
      throw error
    }
  }

  private func frameAsIndexed(
    _ kind: ObjectKind, _ id: Digest
  ) throws(StoreError) -> (DecodedFrame, ObjectPlace) {
    let place = try place(kind, id)
    let frame =
      try kind == .chunk
      ? packs.frame(ofChunk: id, at: place)
      : packs.frame(place.address, frameBytes: place.frameBytes)
    guard frame.header.holds(kind, id, start: place.start, length: place.length) else {
      throw StoreError(
        .index, "\(kind.noun) \(id.shortHex)", "the index points to a place that holds another",
        advice: "Run 'imgstore reindex'")
    }
    return (frame, place)
  }
}

extension ObjectStore: ObjectSource {
  public func object(_ kind: ObjectKind, _ id: Digest) throws -> [UInt8] {
    let (frame, place) = try frame(kind, id)
    return frame.withBytes(start: place.start, length: place.length) { [UInt8]($0) }
  }
}
