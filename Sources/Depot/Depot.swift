// An open depot: the content of stores in a bucket, for several writers and collectors at once, without locks
// and without clocks (docs/decisions/0074-depot.md).
//
// Invariants of the protocol. The object store is linearizable for single keys. A listing has every key that
// existed during the whole listing, and no key that never existed in that time. In brackets: the edits of
// scripts/depot-mutations.py that break the invariant, which DepotModelTests finds.
//
// 1. The name of a pack is new with every upload, so a deleted pack never comes back.
//    [same-name-for-same-pack]
// 2. A mark in `doomed/` is final: the pack will be deleted, and nothing counts on it any more. Its needed
//    objects are copied first. [writers-ignore-marks, rely-on-marked-packs]
// 3. A writer registers in `writers/`, then lists `doomed/`, then lists `packs/`, in this order. It counts
//    only on packs that were listed and not marked, until its registration is gone. [list-before-registering,
//    packs-before-marks]
// 4. A writer creates a ref after everything that the ref needs is in such packs or in its own. It reports
//    success only if its registration still existed after that. [any-base, no-check-after-ref]
// 5. A collector puts marks, then lists `writers/`, waits until all of them are gone, then reads all refs,
//    then lists `doomed/`, then `packs/`. It deletes a pack that was marked before it listed `writers/`,
//    after every needed object of the pack is in one that the last listing had and that was not marked, or in
//    one that the collector uploaded after it. [no-wait-for-writers, no-second-look-at-refs,
//    delete-all-marked, only-best-recipe-needed]
// 6. A mark is deleted after its pack. [marks-deleted-first]
// 7. Only a registration that is gone lets a collector pass. Its own host removes it when the process is
//    dead, or an administrator does (`evict`): then 4 makes the writer fail, and it takes its ref back,
//    unless another writer has verified and adopted the snapshot. [adopt-without-looking, take-back-adopted]
// 8. An object in a frame with a base is in a pack only if each chunk of the base is in one that counts as
//    well, in a frame of less depth. Who relies on the object relies on these chunks, and what needs the
//    object needs them. A collector copies the copy of least depth of an object unless one that is not deeper
//    stays, and it is registered as a writer while it copies frames with bases. [bases-not-needed,
//    base-not-required, any-depth-stays, base-anywhere, bases-not-recorded, collector-not-registered,
//    no-check-after-copies]
//
// Why no reported snapshot loses an object: let a writer count on a pack P for a ref R. A mark on P that
// existed when the writer listed `doomed/` was seen, or P was gone before it listed `packs/` (3, 6). So every
// mark on P is later than the registration. Each collector that deletes P waited for the writer (5), so it
// read R and copied what R needs, or relied on another pack Q. If a collector deletes Q, it listed `doomed/`
// after it marked Q, so it saw the mark on P and did not rely on P in turn. So of all packs that had an
// object, the one whose collector listed last could rely on none that is deleted. The depths of these copies
// never grow (8), so a frame with a base always finds copies of less depth
// (docs/decisions/0091-deltas-in-depots.md).

import Codec
import ObjectStorage
import Platform
import Store

/// An open depot. Any thread may call its methods.
public final class Depot: Sendable {
  let storage: any ObjectStorage
  package let options: DepotOptions
  /// The id of the depot.
  public let id: WriterID
  let index: LocationIndex
  private let knownDirectories: KnownDirectories
  let refCache: RefCache
  let completeness: CompletenessRecords
  let decoder = FrameDecoder()
  /// The frames with a base that were decoded last, and the frames that their bases came from.
  let frames = DecodedFrames()
  private let current = Monitor<PackListing?>(nil)
  private let hasVersionWithBases = Monitor(false)

  /// The depot's URL for messages.
  public var name: String { storage.name }

  /// Opens a depot.
  /// - Throws: `notFound` if the bucket has no depot; `remoteUnsuitable`; `StorageError`.
  public convenience init(
    opening storage: any ObjectStorage, _ options: DepotOptions = DepotOptions()
  ) throws {
    guard let id = try DepotFormat.readID(storage) else {
      throw DepotError(
        .notFound, storage.name, "has no depot",
        hint: "Check the bucket and the prefix. The first push creates a depot")
    }
    self.init(storage, options, id: id)
  }

  /// Opens a depot, and creates it in an empty bucket.
  /// - Throws: `remoteUnsuitable` if the bucket has other content; `StorageError`.
  public convenience init(
    creatingIn storage: any ObjectStorage, _ options: DepotOptions = DepotOptions()
  ) throws {
    let id = try DepotFormat.create(storage, id: options.makeID())
    self.init(storage, options, id: id)
  }

  private init(_ storage: any ObjectStorage, _ options: DepotOptions, id: WriterID) {
    self.storage = storage
    self.options = options
    self.id = id
    let cachePath = options.cachePath.map { $0 + Array("/\(id)".utf8) }
    index = LocationIndex(
      options.fileSystem, path: cachePath.map { $0 + Array("/tables".utf8) })
    knownDirectories = KnownDirectories(
      options.fileSystem, path: cachePath.map { $0 + Array("/tables".utf8) })
    refCache = RefCache(options.fileSystem, path: cachePath.map { $0 + Array("/refs".utf8) })
    completeness = CompletenessRecords(
      options.fileSystem, path: cachePath.map { $0 + Array("/complete".utf8) })
  }

  /// Raises the version of the depot before the first frame with a base, so that older programs refuse it.
  /// - Throws: `StorageError`.
  func requireVersionWithBases() throws {
    if hasVersionWithBases.withLock({ $0 }) { return }
    try DepotFormat.raise(storage, id: id)
    hasVersionWithBases.withLock { $0 = true }
  }

  // MARK: The packs

  /// Returns the latest listing of packs of this program, with all of its packs indexed.
  func listing() throws -> PackListing {
    if let listing = current.withLock({ $0 }) { return listing }
    return try refreshListing()
  }

  /// Lists the packs and indexes new ones.
  package func refreshListing() throws -> PackListing {
    let listing = try PackListing(storage)
    // Most of the cache is about packs that were deleted: a new one is smaller.
    if index.packCount > 2 * listing.packs.count + 1000 { clearIndex() }
    try indexPacks(of: listing)
    current.withLock { $0 = listing }
    return listing
  }

  /// Lists the packs again, because `listing` lacks something. Two collectors may move an object between the
  /// pages of one listing, so callers go on until the packs stay the same.
  /// - Returns: nil if the packs are the same.
  func changedListing(since listing: PackListing) throws -> PackListing? {
    let new = try refreshListing()
    return new.packs == listing.packs ? nil : new
  }

  /// Adds packs that this program has uploaded to the latest listing.
  func noteUploaded(_ directories: [PackDirectory]) {
    current.withLock { listing in
      for directory in directories { listing?.add(directory.pack, directory.sizeBytes) }
    }
  }

  /// Reads the directories of packs that are not indexed yet.
  private func indexPacks(of listing: PackListing) throws {
    var unknown = Set(index.unknown(listing.packs.keys))
    if unknown.isEmpty { return }
    let fetcher = DirectoryFetcher(storage: storage, requestCount: options.requestCount)
    let objects = try fetcher.list().map(\.digest)
    var known = knownDirectories.load().intersection(objects)
    try index.add { add in
      func read(_ digests: [Digest]) throws {
        try fetcher.read(digests) { digest, directories in
          // A directory that is newer than the listing is read again with its pack.
          if directories.allSatisfy({ listing.packs[$0.pack] != nil }) { known.insert(digest) }
          // A directory with another size than the pack has cannot be that of the pack.
          for directory in directories where listing.packs[directory.pack] == directory.sizeBytes {
            if unknown.remove(directory.pack) != nil { try add(directory) }
          }
        }
      }
      let others = objects.filter { known.contains($0) }
      try read(objects.filter { !known.contains($0) })
      // A few packs have no directory yet: they are read themselves. Many were lost from the index.
      if unknown.count > others.count { try read(others) }
      for pack in unknown.sorted() {
        guard let size = listing.packs[pack] else { continue }
        if let directory = try fetcher.readPack(pack, sizeBytes: size) { try add(directory) }
      }
    }
    knownDirectories.save(known)
  }

  /// Drops the index, which is read again.
  private func clearIndex() {
    knownDirectories.clear()
    index.clear()
  }

  /// Runs `body`, which uses the cache. If the cache is damaged, it is rebuilt once.
  func withCache<R>(_ body: () throws -> R) throws -> R {
    do {
      return try body()
    } catch is DamagedCacheError {
      clearIndex()
      try indexPacks(of: try listing())
      do {
        return try body()
      } catch is DamagedCacheError {
        throw DepotError(
          .systemError, "the cache of \(name)", "is damaged again after it was rebuilt",
          hint: "Check the disk of the cache directory")
      }
    }
  }
}

/// The packs of a depot at one time.
package struct PackListing: Sendable {
  /// The packs that will be deleted. Listed first: see the invariants of `Depot`.
  package let doomed: Set<DepotPack>
  /// All packs with their sizes, the doomed ones included.
  package private(set) var packs: [DepotPack: UInt64]

  /// The most packs of a depot.
  private static let maxPacks = 4 << 20

  /// Lists `doomed/`, then `packs/`.
  /// - Throws: `remoteDamaged` for more packs than any depot has; `StorageError`.
  package init(_ storage: any ObjectStorage) throws {
    var doomed: Set<DepotPack> = []
    try PackListing.list(storage, DepotKeys.doomed) { pack, _ in
      doomed.insert(pack)
      return doomed.count
    }
    var packs: [DepotPack: UInt64] = [:]
    try PackListing.list(storage, DepotKeys.packs) { pack, size in
      packs[pack] = size
      return packs.count
    }
    (self.doomed, self.packs) = (doomed, packs)
  }

  /// Adds a pack that was uploaded after the listing.
  mutating func add(_ pack: DepotPack, _ sizeBytes: UInt64) { packs[pack] = sizeBytes }

  private static func list(
    _ storage: any ObjectStorage, _ prefix: String,
    _ add: (DepotPack, UInt64) -> Int
  ) throws {
    try storage.list(prefix) { page in
      for object in page {
        guard let text = DepotKeys.rest(of: object.key, after: prefix),
          let pack = DepotPack(text)
        else { continue }
        guard add(pack, object.sizeBytes) <= maxPacks else {
          throw DepotError.damaged(prefix, of: storage.name, "has more objects than any depot")
        }
      }
      return true
    }
  }

  /// Returns true if new snapshots may count on the pack.
  func isUsable(_ pack: DepotPack) -> Bool { packs[pack] != nil && !doomed.contains(pack) }

  /// Returns the locations in packs that exist, the best one first.
  func ordered(_ locations: [ObjectLocation]) -> [ObjectLocation] {
    inOrder(locations.filter { packs[$0.pack] != nil })
  }

  /// Returns the locations in the order in which readers try them: those in frames of less depth first
  /// (`FrameBase`), then those in packs that stay, then the shortest, because of two recipes of a blob the
  /// shorter one is read first.
  func inOrder(_ locations: [ObjectLocation]) -> [ObjectLocation] {
    locations.sorted { a, b in
      if a.depth != b.depth { return a.depth < b.depth }
      let (aDoomed, bDoomed) = (doomed.contains(a.pack), doomed.contains(b.pack))
      if aDoomed != bDoomed { return bDoomed }
      if a.length != b.length { return a.length < b.length }
      if a.pack != b.pack { return a.pack < b.pack }
      return a.offset < b.offset
    }
  }
}
