// Verification: whether all data exists and is unchanged.
//
// 1. A plain verify reads the refs and all trees, and looks every chunk up in the index. Most look-ups use a
//    table of the index's rows, whose sums were checked; only what it lacks is asked for one by one.
// 2. A deep verify also reads every byte. It compares each pack with its name, each object with its id, and
//    each blob of several chunks with its id. Reconstructed blobs are rebuilt and compared as well.
// 3. It changes nothing except its own record (VerifyPacks.swift), and continues after damage. Every
//    problem is listed with the snapshots and paths that it affects.
// 4. The index is compared with its own sums first, so damage of the index is never reported as damage of a
//    pack.

import Codec
import Platform

/// The result of a verification.
public struct VerifyReport: Sendable {
  /// A problem, and the snapshots that it affects.
  public struct Problem: Sendable {
    /// The subject, such as "chunk 3fa9…" or "ref compute@3".
    public let object: String
    public let reason: String
    /// The snapshots that cannot be restored completely because of it, with the first path in each.
    public var affected: [(snapshot: String, path: [UInt8])] = []

    /// Creates a problem that affects no snapshot yet.
    public init(object: String, reason: String) {
      self.object = object
      self.reason = reason
    }
  }
  public var snapshots = 0
  public var packs = 0
  public var objects = 0
  public var checkedBytes: UInt64 = 0
  public var problems: [Problem] = []
  /// Snapshots that were incomplete when they were taken.
  public var incomplete: [String] = []
  /// Snapshots whose refs do not exist, although no record says that they were removed.
  public var lost: [SnapshotName] = []
  /// The coverage of the whole store; nil if no packs were read.
  public var coverage: VerifyCoverage?

  /// Returns true if nothing is damaged or missing.
  public var isClean: Bool { problems.isEmpty }
}

extension ObjectStore {
  /// Verifies the store.
  /// - Parameter deep: whether to read every byte (see the top of this file).
  /// - Throws: `StoreError` if the store cannot be read at all. Damage is part of the report.
  public func verify(deep: Bool, progress: Progress) throws -> VerifyReport {
    try verify(VerifyRequest(deep: deep), progress: progress)
  }

  /// Verifies the store, or the packs of it that have not been read for the longest time.
  /// - Throws: `StoreError` if the store cannot be read at all. Damage is part of the report.
  public func verify(_ request: VerifyRequest, progress: Progress) throws -> VerifyReport {
    let run = VerifyRun(self, progress)
    try index.refresh()
    var chunks = try index.checkedChunks()
    if request.readsPacks {
      try run.checkPacks(request)
      try run.dropHealedObjects()
      // The index may have been rebuilt without the damaged packs.
      chunks = run.hasDamage ? ChunkTable() : try index.checkedChunks()
    }
    try run.checkBases()
    for chunk in run.chunksWithoutBase.keys { chunks.exclude(chunk) }
    try withReadTransaction { try run.checkSnapshots(chunks) }
    try run.checkMarks()
    try run.checkSignatureFiles()
    if request.deep { try run.checkBlobs() }
    return run.report
  }
}

/// A running verification.
final class VerifyRun: @unchecked Sendable {  // threads touch only the monitors
  let store: ObjectStore
  let progress: Progress
  let reportState = Monitor(VerifyReport())
  /// The frames that contain damage.
  let badFrames = Monitor<Set<FrameAddress>>([])
  /// The objects whose bytes do not match their ids, with the frames that hold them.
  let damaged = Monitor<[ObjectName: String]>([:])
  /// The trees that were found complete, by (tree, times).
  private var goodTrees = Digest128Set()
  /// The chunks that are known to exist; none if an object is damaged.
  private var chunks = ChunkTable()
  private var goodObjects: Set<ObjectName> = []
  /// The chunks whose read copies lack their bases, with the reasons.
  var chunksWithoutBase: [Digest: String] = [:]
  /// Whether the bases were looked for in a rebuilt index.
  var hasRepeatedBases = false
  private var reconstructionDepth = 0
  private var largeBlobs: [Digest: (sizeBytes: UInt64, snapshot: String, path: [UInt8])] = [:]
  private var problemIndex: [String: Int] = [:]

  init(_ store: ObjectStore, _ progress: Progress) {
    self.store = store
    self.progress = progress
  }

  var report: VerifyReport { reportState.withLock { $0 } }

  // MARK: Snapshots

  /// Whether the bytes of an object do not match its id.
  var hasDamage: Bool { damaged.withLock { !$0.isEmpty } }

  /// Checks all snapshots.
  /// - Parameter chunks: intact chunks that the index lists.
  func checkSnapshots(_ chunks: ChunkTable) throws {
    progress.begin("checking snapshots")
    self.chunks = chunks
    for image in try store.refs.everyImage() {
      for committed in try checkHistory(image) {
        if !committed.snapshot.isComplete {
          reportState.withLock { $0.incomplete.append(committed.name) }
        }
        for component in committed.snapshot.components {
          _ = check(component.entry, committed.name, component.path)
        }
      }
    }
  }

  /// Checks an entry and everything below it; false if something is damaged or missing.
  private func check(_ entry: Entry, _ snapshot: String, _ path: @autoclosure () -> [UInt8]) -> Bool
  {
    progress.add(items: 1)
    // Most entries are files of one chunk. No path is made for them.
    if entry.xattrs == nil, entry.holes == nil {
      switch entry.content {
      case .file(let blob, let size):
        if isStoredChunk(blob, size) { return true }
      case .directory: break
      default: return true
      }
    }
    let path = path()
    var ok = true
    if let id = entry.xattrs { ok = checkAttributes(.xattrs, id, snapshot, path) }
    if let id = entry.holes, !checkAttributes(.holes, id, snapshot, path) { ok = false }
    switch entry.content {
    case .file(let blob, let size): return checkBlob(blob, size, snapshot, path) && ok
    case .directory: return checkTree(entry, snapshot, path) && ok
    default: return ok
    }
  }

  /// Returns true if a blob is a chunk that the index lists with this length, as `parts` would find it.
  private func isStoredChunk(_ blob: Digest, _ sizeBytes: UInt64) -> Bool {
    sizeBytes > 0 && sizeBytes <= UInt64(Chunker.maxBytes)
      && chunks.contains(blob, lengthBytes: sizeBytes)
  }

  /// Checks an attribute set or a hole map, which many entries may share.
  private func checkAttributes(
    _ kind: ObjectKind, _ id: Digest, _ snapshot: String, _ path: [UInt8]
  ) -> Bool {
    let name = ObjectName(kind: kind, id: id)
    if goodObjects.contains(name) { return true }
    let isGood = check(kind, id, snapshot, path) {
      let bytes = try self.store.object(kind, id)
      if kind == .xattrs { _ = try XattrSet.decode(bytes) } else { _ = try HoleMap.decode(bytes) }
    }
    if isGood { goodObjects.insert(name) }
    return isGood
  }

  private func checkTree(_ entry: Entry, _ snapshot: String, _ path: [UInt8]) -> Bool {
    guard let ids = entry.ids else { return true }
    let key = Digest128(ids)
    if goodTrees.contains(key) { return true }
    var children: [Entry] = []
    guard
      check(.tree, ids.tree, snapshot, path, { children = try Tree.entries(ids, from: self.store) })
    else { return false }
    var ok = damaged.withLock { $0[ObjectName(kind: .times, id: ids.times)] == nil }
    for child in children {
      let isGood = check(child, snapshot, path + [0x2f] + child.name)
      ok = ok && isGood
    }
    if ok { goodTrees.insert(key) }
    return ok
  }

  private func checkBlob(
    _ blob: Digest, _ sizeBytes: UInt64, _ snapshot: String, _ path: [UInt8]
  ) -> Bool {
    if sizeBytes == 0 { return blob == emptyBlob }
    if isStoredChunk(blob, sizeBytes) { return true }
    let name = ObjectName(kind: .recipe, id: blob)
    if goodObjects.contains(name) { return true }
    var parts = 0
    var reconstruction: (any ReconstructedBlob)?
    let hasParts = check(.recipe, blob, snapshot, path) {
      let all = try self.store.parts(of: blob, sizeBytes: sizeBytes)
      reconstruction = all.reconstruction
      if reconstruction != nil { return }
      for part in all {
        guard case .chunk(let id) = part.source else { continue }
        parts += 1
        if self.chunks.contains(id, lengthBytes: UInt64(part.lengthBytes)) { continue }
        let chunk = ObjectName(kind: .chunk, id: id)
        if self.goodObjects.contains(chunk) { continue }
        let location = try self.store.location(.chunk, id)
        guard location.length == part.lengthBytes else {
          throw StoreError.damaged("chunk \(id)", "does not have the length that its recipe says")
        }
        if let frame = self.damaged.withLock({ $0[chunk] }) {
          throw StoreError.damaged("chunk \(id)", "is damaged in \(frame)")
        }
        if let reason = try self.missingBase(of: id) {
          throw StoreError.missing("chunk \(id)", reason)
        }
        self.goodObjects.insert(chunk)
      }
    }
    guard hasParts else { return false }
    if let reconstruction, !checkReconstruction(reconstruction, snapshot, path) { return false }
    if parts > 1 || reconstruction != nil { largeBlobs[blob] = (sizeBytes, snapshot, path) }
    goodObjects.insert(name)
    return true
  }

  /// Checks the dependencies of a reconstruction, and whether its encoder is available.
  private func checkReconstruction(
    _ blob: any ReconstructedBlob, _ snapshot: String, _ path: [UInt8]
  ) -> Bool {
    reconstructionDepth += 1
    defer { reconstructionDepth -= 1 }
    guard reconstructionDepth <= ObjectStore.maxReconstructionDepth else {
      add("blob \(blob.id.hex)", "has too many nested reconstructions", (snapshot, path))
      return false
    }
    if let encoderMismatch = blob.encoderMismatch {
      add("blob \(blob.id.hex)", encoderMismatch, (snapshot, path))
      return false
    }
    var ok = true
    let isRead = check(.recipe, blob.id, snapshot, path) {
      for (dependency, size) in try self.store.references(of: blob.id, sizeBytes: blob.sizeBytes)
        .blobs
      {
        let isGood = self.checkBlob(dependency, size, snapshot, path)
        ok = ok && isGood
      }
    }
    return ok && isRead
  }

  private func check(
    _ kind: ObjectKind, _ id: Digest, _ snapshot: String, _ path: [UInt8],
    _ body: () throws -> Void
  ) -> Bool {
    if let frame = damaged.withLock({ $0[ObjectName(kind: kind, id: id)] }) {
      add("\(kind.noun) \(id.hex)", "is damaged in \(frame)", (snapshot, path))
      return false
    }
    do {
      try body()
      return true
    } catch let error as StoreError {
      add(error.subject, error.reason, (snapshot, path))
    } catch {
      add("\(kind.noun) \(id.hex)", "\(error)", (snapshot, path))
    }
    return false
  }

  // MARK: Blobs of several chunks

  func checkBlobs() throws {
    let blobs = largeBlobs.sorted { $0.value.path.lexicographicallyPrecedes($1.value.path) }
    progress.begin(
      "checking large files", totalBytes: blobs.reduce(0) { $0 + $1.value.sizeBytes })
    try parallelForEach(blobs.count) { i in
      let (blob, facts) = blobs[i]
      do {
        let digest = try self.store.computeID(of: blob, sizeBytes: facts.sizeBytes) {
          self.progress.add(bytes: $0)
        }
        if digest != blob {
          self.add(
            "blob \(blob.hex)", "its chunks have the SHA-256 \(digest.hex)",
            (facts.snapshot, facts.path))
        }
      } catch let error as StoreError {
        self.add(error.subject, error.reason, (facts.snapshot, facts.path))
      }
    }
  }

  // MARK: Findings

  func add(
    _ object: String, _ reason: String, _ affected: (snapshot: String, path: [UInt8])? = nil
  ) {
    reportState.withLock { report in
      let index: Int
      if let known = problemIndex[object] {
        index = known
      } else {
        index = report.problems.count
        problemIndex[object] = index
        report.problems.append(.init(object: object, reason: reason))
      }
      guard let affected else { return }
      if !report.problems[index].affected.contains(where: { $0.snapshot == affected.snapshot }) {
        report.problems[index].affected.append(affected)
      }
    }
  }
}
