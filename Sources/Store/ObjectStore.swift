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
  let maker: (any StreamMaker)?
  let openPlans = Monitor<[OpenPlan]>([])
  private let rebuilt = Monitor(false)

  /// Opens the store at `path` and brings its index up to date.
  /// - Parameters:
  ///   - create: whether a missing or empty folder becomes a new store.
  ///   - maker: makes blobs again that recipes describe; without one they cannot be read.
  ///   - report: told, in one line, what had to be done to the index.
  /// - Throws: `StoreError`: `incompatible`, `missing`, `system`.
  public init(
    _ fileSystem: any FileSystem, path: [UInt8], create: Bool,
    maker: (any StreamMaker)? = nil, report: @escaping @Sendable (String) -> Void
  ) throws(StoreError) {
    self.maker = maker
    layout = try Layout.open(fileSystem, path: path, create: create)
    // The lease comes before the first look at what is there: what is seen under it stays.
    leases = Monitor(try Lease.take(layout))
    packs = PackReader(layout)
    index = try Index(layout, packs, report: report)
  }

  public var refs: RefLog { RefLog(layout: layout) }

  /// Begins a session that adds objects.
  public func beginSession(_ tuning: StoreTuning = StoreTuning()) throws(StoreError) -> WriteSession
  {
    try WriteSession(layout, index, lease, tuning: tuning)
  }

  /// What shows collectors that this store is in use.
  var lease: Lease { leases.withLock { $0 } }

  /// For the collector itself: from here on this store relies on what is there now.
  func renewLease() throws(StoreError) {
    let new = try Lease.take(layout)
    leases.withLock { $0 = new }
  }

  /// Makes the index anew.
  public func reindex() throws(StoreError) { try index.rebuild() }

  public func totals() throws(StoreError) -> (packs: Int, objects: Int, storedBytes: UInt64) {
    try index.totals()
  }

  /// A lock that belongs to one image: whoever changes the image or its history holds it.
  public func lockImage(
    _ image: ImageName, onWait: () -> Void
  ) throws(StoreError) -> FileLock {
    try explaining("the lock of \(image)") { () throws(SystemError) in
      try FileLock.acquire(
        layout.fileSystem, at: layout.locks.raw, Array("image-".utf8) + image.bytes,
        exclusive: true, onWait: onWait)
    }
  }

  // MARK: Objects

  /// Runs `body`, which reads many small objects, faster; others that add to the store have their turn.
  public func lookingUp<R>(_ body: () throws -> R) rethrows -> R { try index.lookingUp(body) }

  /// Where an object is. An index that cannot tell is made anew, once, before "missing" is said.
  func place(_ kind: ObjectKind, _ id: Digest) throws(StoreError) -> ObjectPlace {
    do throws(StoreError) {
      if let place = try index.place(kind, id) { return place }
    } catch {
      guard error.kind == .index else { throw error }
    }
    try rebuildOnce()
    if let place = try index.place(kind, id) { return place }
    throw .missing("\(kind.noun) \(id.hex)", "no pack holds it")
  }

  /// Makes the index anew, unless that was done before; other threads wait for it and try again.
  private func rebuildOnce() throws(StoreError) {
    try rebuilt.withLock { isDone throws(StoreError) in
      if isDone { return }
      try index.rebuild(remark: "index: made anew, in search of an object that is missing")
      isDone = true
    }
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
      guard error.kind == .index || error.kind == .damaged else { throw error }
      try rebuildOnce()
      return try frameAsIndexed(kind, id)
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
