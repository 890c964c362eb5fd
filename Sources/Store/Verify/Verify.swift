// Is everything there, and is it what it was?
//
// 1. Plain verify reads the refs and all trees, and asks the index for every chunk.
// 2. Deep verify also reads every byte: each pack against its name, each object against its id,
//    each blob of several chunks against its own. What recipes make is made, and compared likewise.
// 3. It changes nothing but its own record (VerifyPacks.swift), and goes on after damage: every finding is
//    listed with the snapshots and paths that it reaches.
// 4. The index is compared with its own sums first: what is said of packs is never said because of it.

import Codec
import Platform

/// What a verification found.
public struct VerifyReport: Sendable {
  public struct Problem: Sendable {
    /// "chunk 3fa9…", "ref compute@3".
    public let object: String
    public let finding: String
    /// Snapshots that cannot be had whole because of it, with the first path in each.
    public var affected: [(snapshot: String, path: [UInt8])] = []

    public init(object: String, finding: String) {
      self.object = object
      self.finding = finding
    }
  }
  public var snapshots = 0
  public var packs = 0
  public var objects = 0
  public var checkedBytes: UInt64 = 0
  public var problems: [Problem] = []
  /// Snapshots that were incomplete when they were taken.
  public var incomplete: [String] = []
  /// Of the whole store; nil where no packs were read.
  public var coverage: VerifyCoverage?

  public var isClean: Bool { problems.isEmpty }
}

extension ObjectStore {
  /// Checks the store; see the rules above.
  public func verify(deep: Bool, progress: Progress) throws -> VerifyReport {
    try verify(VerifyRequest(deep: deep), progress: progress)
  }

  /// Checks the store, or the packs of it that were not read for the longest time.
  public func verify(_ request: VerifyRequest, progress: Progress) throws -> VerifyReport {
    let run = VerifyRun(self, progress)
    try index.refresh()
    _ = try index.checkedIDs()
    if request.readsPacks {
      try run.checkPacks(request)
      try run.dropHealedObjects()
    }
    try run.checkSnapshots()
    try run.checkMarks()
    try run.checkSignatureFiles()
    if request.deep { try run.checkBlobs() }
    return run.report
  }
}

/// One verification under way.
final class VerifyRun: @unchecked Sendable {  // threads touch only the monitors
  let store: ObjectStore
  let progress: Progress
  let found = Monitor(VerifyReport())
  /// Frames in which something is wrong.
  let badFrames = Monitor<Set<FrameAddress>>([])
  /// Objects whose bytes are not what their id says.
  let damaged = Monitor<[ObjectName: String]>([:])
  /// Trees seen whole already, by (tree, times).
  private var goodTrees: Set<Tree.IDs> = []
  private var goodObjects: Set<ObjectName> = []
  private var madeDepth = 0
  private var largeBlobs: [Digest: (sizeBytes: UInt64, snapshot: String, path: [UInt8])] = [:]
  private var problemIndex: [String: Int] = [:]

  init(_ store: ObjectStore, _ progress: Progress) {
    self.store = store
    self.progress = progress
  }

  var report: VerifyReport { found.withLock { $0 } }

  // MARK: Snapshots

  func checkSnapshots() throws {
    progress.begin("checking snapshots")
    for image in try store.refs.everyImage() {
      for committed in try checkHistory(image) {
        if !committed.snapshot.isComplete {
          found.withLock { $0.incomplete.append(committed.name) }
        }
        for piece in committed.snapshot.pieces {
          _ = check(piece.entry, committed.name, piece.path)
        }
      }
    }
  }

  /// Checks an entry and all below it; false where something is wrong.
  private func check(_ entry: Entry, _ snapshot: String, _ path: [UInt8]) -> Bool {
    progress.add(items: 1)
    var ok = true
    if let id = entry.xattrs {
      ok = check(.xattrs, id, snapshot, path) {
        _ = try XattrSet.decode(try self.store.object(.xattrs, id))
      }
    }
    if let id = entry.holes {
      let isGood = check(.holes, id, snapshot, path) {
        _ = try HoleMap.decode(try self.store.object(.holes, id))
      }
      ok = ok && isGood
    }
    switch entry.content {
    case .file(let blob, let size): return checkBlob(blob, size, snapshot, path) && ok
    case .directory: return checkTree(entry, snapshot, path) && ok
    default: return ok
    }
  }

  private func checkTree(_ entry: Entry, _ snapshot: String, _ path: [UInt8]) -> Bool {
    guard let ids = entry.ids else { return true }
    if goodTrees.contains(ids) { return true }
    var children: [Entry] = []
    guard
      check(.tree, ids.tree, snapshot, path, { children = try Tree.entries(ids, from: self.store) })
    else { return false }
    var ok = damaged.withLock { $0[ObjectName(kind: .times, id: ids.times)] == nil }
    for child in children {
      let isGood = check(child, snapshot, path + [0x2f] + child.name)
      ok = ok && isGood
    }
    if ok { goodTrees.insert(ids) }
    return ok
  }

  private func checkBlob(
    _ blob: Digest, _ sizeBytes: UInt64, _ snapshot: String, _ path: [UInt8]
  ) -> Bool {
    if sizeBytes == 0 { return blob == emptyBlob }
    let name = ObjectName(kind: .recipe, id: blob)
    if goodObjects.contains(name) { return true }
    var parts = 0
    var made: ReconstructedBlob?
    let hasParts = check(.recipe, blob, snapshot, path) {
      let all = try self.store.parts(of: blob, sizeBytes: sizeBytes)
      made = all.made
      if made != nil { return }
      for part in all {
        guard case .chunk(let id) = part.source else { continue }
        parts += 1
        let chunk = ObjectName(kind: .chunk, id: id)
        if self.goodObjects.contains(chunk) { continue }
        let place = try self.store.place(.chunk, id)
        guard place.length == part.lengthBytes else {
          throw StoreError.damaged("chunk \(id)", "has another length than its recipe says")
        }
        if let frame = self.damaged.withLock({ $0[chunk] }) {
          throw StoreError.damaged("chunk \(id)", "is damaged in \(frame)")
        }
        self.goodObjects.insert(chunk)
      }
    }
    guard hasParts else { return false }
    if let made, !checkMade(made, snapshot, path) { return false }
    if parts > 1 || made != nil { largeBlobs[blob] = (sizeBytes, snapshot, path) }
    goodObjects.insert(name)
    return true
  }

  /// Checks what a recipe is over, and who would have to make it.
  private func checkMade(_ made: ReconstructedBlob, _ snapshot: String, _ path: [UInt8]) -> Bool {
    madeDepth += 1
    defer { madeDepth -= 1 }
    guard madeDepth <= ReconstructedBlob.maxDepth else {
      add("blob \(made.id.hex)", "is made of made blobs, too many deep", (snapshot, path))
      return false
    }
    if let encoderMismatch = made.encoderMismatch(store.maker) {
      add("blob \(made.id.hex)", encoderMismatch, (snapshot, path))
      return false
    }
    var ok = true
    let isRead = check(.recipe, made.id, snapshot, path) {
      for (blob, size) in try self.store.references(of: made.id, sizeBytes: made.sizeBytes).blobs {
        let isGood = self.checkBlob(blob, size, snapshot, path)
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
      add(error.object, error.finding, (snapshot, path))
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
    let next = Monitor(0)
    try runThreads(max(1, min(processorCount, blobs.count))) { _ in
      while true {
        let i = next.withLock { i in
          defer { i += 1 }
          return i
        }
        guard i < blobs.count else { return }
        let (blob, facts) = blobs[i]
        do {
          let digest = try self.store.computeID(of: blob, sizeBytes: facts.sizeBytes) {
            self.progress.add(bytes: $0)
          }
          if digest != blob {
            self.add(
              "blob \(blob.hex)", "its chunks hash to \(digest.hex)", (facts.snapshot, facts.path))
          }
        } catch let error as StoreError {
          self.add(error.object, error.finding, (facts.snapshot, facts.path))
        }
      }
    }
  }

  // MARK: Findings

  func add(
    _ object: String, _ finding: String, _ affected: (snapshot: String, path: [UInt8])? = nil
  ) {
    found.withLock { report in
      let index: Int
      if let known = problemIndex[object] {
        index = known
      } else {
        index = report.problems.count
        problemIndex[object] = index
        report.problems.append(.init(object: object, finding: finding))
      }
      guard let affected else { return }
      if !report.problems[index].affected.contains(where: { $0.snapshot == affected.snapshot }) {
        report.problems[index].affected.append(affected)
      }
    }
  }
}
