// Is everything there, and is it what it was?
//
// 1. Plain verify reads the refs and all trees, and asks the index for every chunk.
// 2. Deep verify also reads every byte: each pack against its name, each object against its id,
//    each blob of several chunks against its own. What recipes make is made, and compared likewise.
// 3. It changes nothing, and goes on after damage: every finding is listed with the snapshots and
//    paths that it reaches.

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
  }
  public var snapshots = 0
  public var packs = 0
  public var objects = 0
  public var checkedBytes: UInt64 = 0
  public var problems: [Problem] = []
  /// Snapshots that were incomplete when they were taken.
  public var incomplete: [String] = []

  public var isClean: Bool { problems.isEmpty }
}

extension ObjectStore {
  /// Checks the store; see the rules above.
  public func verify(deep: Bool, progress: Progress) throws -> VerifyReport {
    let run = VerifyRun(self, progress)
    if deep { try run.checkPacks() }
    try run.checkSnapshots()
    if deep { try run.checkBlobs() }
    return run.report
  }
}

/// One verification under way.
private final class VerifyRun: @unchecked Sendable {  // threads touch only the monitors
  private let store: ObjectStore
  private let progress: Progress
  private let found = Monitor(VerifyReport())
  /// Objects whose bytes are not what their id says.
  private let damaged = Monitor<[ObjectName: String]>([:])
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

  // MARK: Packs

  func checkPacks() throws {
    let listing = try store.index.packs()
    // A collector may remove what it has doomed before we began.
    let mayGo = Set(listing.doomed)
    let packs = listing.kept + listing.doomed
    let total = try store.totals()
    progress.begin("reading packs", totalBytes: total.storedBytes)
    let next = Monitor(0)
    try runThreads(max(1, min(processorCount, packs.count))) { _ in
      while true {
        let i = next.withLock { i in
          defer { i += 1 }
          return i
        }
        guard i < packs.count else { return }
        do throws(StoreError) { try self.checkPack(packs[i]) } catch {
          if error.kind == .missing, mayGo.contains(packs[i]) { continue }
          self.add(error.object, error.finding)
        }
      }
    }
    found.withLock { $0.packs = packs.count }
  }

  private func checkPack(_ name: Digest) throws(StoreError) {
    let file = try store.packs.open(name)
    var whole = SHA256()
    var hash = SHA256()
    var offset: UInt64 = 0
    var objects = 0
    let object = "pack \(name.shortHex)"
    let front = try read(file, object, at: 0, count: PackFormat.headerBytes)
    whole.update(front)
    offset += UInt64(front.count)
    if PackFormat.level(of: front) == nil { add(object, "its header is not that of a pack") }
    while let header = try frameHeader(file, name, at: offset) {
      let bytes = try read(file, object, at: offset, count: header.frameBytes)
      whole.update(bytes)
      objects += header.objects.count
      check(header, bytes, "\(object) at \(offset)", &hash)
      offset += UInt64(bytes.count)
      progress.add(bytes: UInt64(bytes.count))
      if bytes.count < header.frameBytes { break }
    }
    // What follows the last readable frame belongs to the name as well.
    while true {
      let rest = try read(file, object, at: offset, count: 1 << 20)
      if rest.isEmpty { break }
      whole.update(rest)
      offset += UInt64(rest.count)
    }
    let digest = whole.finish()
    if digest != name {
      add(object, "its SHA-256 is \(digest.hex), not its name: the file was changed or damaged")
    }
    found.withLock { [offset, objects] in
      $0.objects += objects
      $0.checkedBytes += offset
    }
  }

  private func frameHeader(
    _ file: Descriptor, _ name: Digest, at offset: UInt64
  ) throws(StoreError) -> FrameHeader? {
    do throws(StoreError) {
      return try store.packs.header(file, name, at: offset)
    } catch {
      guard error.kind == .damaged else { throw error }
      add(error.object, error.finding)
      return nil
    }
  }

  private func check(
    _ header: FrameHeader, _ bytes: [UInt8], _ name: String, _ hash: inout SHA256
  ) {
    var decoded: DecodedFrame?
    var why = "the frame is cut off"
    if bytes.count == header.frameBytes {
      bytes.withUnsafeBytes { buffer in
        do throws(CodecError) { decoded = try store.packs.decode(header, buffer) } catch {
          why = "\(error)"
        }
      }
    }
    guard let frame = decoded else {
      add(name, why)
      damaged.withLock { damaged in
        for object in header.objects {
          damaged[ObjectName(kind: object.kind, id: object.id)] = name
        }
      }
      return
    }
    for object in header.objects where object.kind != .recipe {
      let digest = frame.withBytes(start: object.start, length: object.length) {
        hash.digest(of: $0)
      }
      if digest != object.id {
        add("\(object.kind.noun) \(object.id.hex)", "its bytes hash to \(digest.hex)")
        damaged.withLock { $0[ObjectName(kind: object.kind, id: object.id)] = name }
      }
    }
  }

  private func read(
    _ file: Descriptor, _ object: String, at offset: UInt64, count: Int
  ) throws(StoreError) -> [UInt8] {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, count), alignment: 64)
    defer { buffer.deallocate() }
    let n = try explaining(object) { () throws(SystemError) in
      try store.layout.fileSystem.readFully(
        file.raw, at: offset, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]))
    }
    return [UInt8](buffer[..<n])
  }

  // MARK: Snapshots

  func checkSnapshots() throws {
    progress.begin("checking snapshots")
    for image in try store.refs.images() {
      for number in try store.refs.numbers(of: image) {
        do throws(StoreError) {
          guard let committed = try store.refs.readIfPresent(image, number) else { continue }
          found.withLock { $0.snapshots += 1 }
          if !committed.snapshot.isComplete {
            found.withLock { $0.incomplete.append(committed.name) }
          }
          for piece in committed.snapshot.pieces {
            _ = check(piece.entry, committed.name, piece.path)
          }
        } catch {
          found.withLock { $0.snapshots += 1 }
          add(error.object, error.finding, ("\(image)@\(number)", []))
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
    var made: MadeBlob?
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
          throw StoreError(.damaged, "chunk \(id)", "has another length than its recipe says")
        }
        if let frame = self.damaged.withLock({ $0[chunk] }) {
          throw StoreError(.damaged, "chunk \(id)", "is damaged in \(frame)")
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
  private func checkMade(_ made: MadeBlob, _ snapshot: String, _ path: [UInt8]) -> Bool {
    madeDepth += 1
    defer { madeDepth -= 1 }
    guard madeDepth <= MadeBlob.mostDepth else {
      add("blob \(made.id.hex)", "is made of made blobs, too many deep", (snapshot, path))
      return false
    }
    if let strangeness = made.strangeness(store.maker) {
      add("blob \(made.id.hex)", strangeness, (snapshot, path))
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

  private func add(
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
