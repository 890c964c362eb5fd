// Copying what is needed of some packs into new ones.
//
// 1. Nothing is copied unseen: a frame is decoded, and each object held against its id, before it
//    goes into a new pack. (A recipe's id is its blob's: its frame's checksum stands for it.)
// 2. A new frame is decoded again and compared before it is written, as in any session.
// 3. New packs are durable and in the index when `rewrite` returns. The old ones are as they were.
// 4. Ids do not change, and nothing but the order and the compression of objects does.

import Codec
import Platform

/// A pack cannot be copied because something in it is not what it was.
struct DamagedPackError: Error {
  let name: Digest
  let finding: String
  var error: StoreError { .damaged("pack \(name.hex)", finding) }
}

/// Rewrites packs.
struct PackRewriter: Sendable {
  enum Encoding: Sendable {
    /// Frames that are needed whole are copied as they are.
    case sparing
    /// Everything is compressed anew at this zstd level.
    case all(level: Int32)
  }

  let store: ObjectStore
  let encoding: Encoding
  /// Where an object stands in a walk of the newest snapshots, by `prefixKey`.
  let order: PrefixMap?
  let isNeeded: @Sendable (ObjectKind, Digest) -> Bool
  /// The object may have several copies: then the index is asked which one counts.
  let isDoubled: @Sendable (ObjectKind, Digest) -> Bool
  let progress: Progress

  /// An object to be copied, and where it is.
  private struct Item: Sendable {
    let kind: ObjectKind
    let id: Digest
    let frame: Int
    let start: Int
    let length: Int
    let order: UInt32
  }

  private struct Source: Sendable {
    let address: FrameAddress
    let frameBytes: Int
    var objectCount = 0
    var items: [Int] = []
  }

  private enum Job: Sendable {
    case copy(Source)
    case encode([Item])
  }

  /// - Returns: the new packs. One of them may be one of the old ones, if that is what comes out.
  /// - Throws: `DamagedPackError`; `StoreError`, among them a full disk. Nothing that was there is
  ///   changed then.
  func rewrite(_ packs: Set<Digest>) throws -> [FinishedPack] {
    let work = try prepare(packs)
    if work.jobs.isEmpty { return [] }
    let saysLevel = work.tuning.hashLog == nil
    let writer = PackWriter(
      store.layout, store.index, level: saysLevel ? UInt32(work.tuning.level) : 0)
    do {
      try run(work) { front, payload, raw, objects throws(StoreError) in
        try writer.append(front, payload, raw: raw, objects: objects)
      }
      try writer.finishLast()
    } catch {
      writer.abandon()
      throw error
    }
    let finished = writer.packs
    try explaining("the folder packs/") { () throws(SystemError) in
      try store.layout.fileSystem.sync(store.layout.packs.raw)
    }
    try store.index.insert(finished)
    return finished
  }

  /// The bytes that the new packs would have. Nothing is written.
  func measure(_ packs: Set<Digest>) throws -> UInt64 {
    var work = try prepare(packs)
    if work.jobs.isEmpty { return 0 }
    var bytes: UInt64 = 0
    work.jobs.removeAll { job in
      guard case .copy(let source) = job else { return false }
      bytes += UInt64(source.frameBytes)
      return true
    }
    let encoded = Monitor<UInt64>(0)
    try run(work) { front, payload, _, _ in
      encoded.withLock { $0 += UInt64(front.count + payload.count) }
    }
    bytes += encoded.withLock { $0 }
    let packs = bytes / PackFormat.targetBytes + 1
    return bytes + packs * UInt64(PackFormat.headerBytes)
  }

  private struct Work: Sendable {
    var jobs: [Job]
    let sources: [Source]
    let tuning: StoreTuning
  }

  private func prepare(_ packs: Set<Digest>) throws -> Work {
    let (sources, items) = try collect(packs)
    var jobs: [Job] = []
    var loose: [Item] = []
    for source in sources where !source.items.isEmpty {
      if case .sparing = encoding, source.items.count == source.objectCount {
        jobs.append(.copy(source))
      } else {
        loose += source.items.map { items[$0] }
      }
    }
    sort(&loose)
    jobs += group(loose).map(Job.encode)
    return Work(jobs: jobs, sources: sources, tuning: try tuning(packs))
  }

  /// The level of the new frames, and what the new packs may say of theirs.
  private func tuning(_ packs: Set<Digest>) throws(StoreError) -> StoreTuning {
    var tuning = StoreTuning()
    switch encoding {
    case .all(let level):
      tuning.level = level
      tuning.hashLog = nil
    case .sparing:
      var least = UInt32.max
      for pack in packs { least = min(least, try store.packs.level(of: pack)) }
      if least > 0, least <= 22 {
        tuning.level = Int32(least)
        tuning.hashLog = nil
      }
    }
    return tuning
  }

  // MARK: What is copied

  /// The packs' own directories tell what they hold.
  private func collect(_ packs: Set<Digest>) throws -> ([Source], [Item]) {
    var sources: [Source] = []
    var items: [Item] = []
    for pack in packs.sorted() {
      let contents = try reading(pack) { () throws(StoreError) in try store.packs.scan(pack) }
      for frame in contents.frames {
        var source = Source(
          address: FrameAddress(pack: pack, offset: frame.offset), frameBytes: frame.frameBytes)
        source.objectCount = frame.objects.count
        var start = 0
        for (kind, id, length) in frame.objects {
          if isNeeded(kind, id), try counts(kind, id, source.address, start) {
            source.items.append(items.count)
            items.append(
              Item(
                kind: kind, id: id, frame: sources.count, start: start, length: length,
                order: order?[prefixKey(kind, id)] ?? .max))
          }
          start += length
        }
        sources.append(source)
      }
    }
    return (sources, items)
  }

  private func counts(
    _ kind: ObjectKind, _ id: Digest, _ address: FrameAddress, _ start: Int
  ) throws(StoreError) -> Bool {
    guard isDoubled(kind, id) else { return true }
    guard let place = try store.index.keptPlace(kind, id) else { return true }
    return place.address == address && place.start == start
  }

  /// Trees and the like apart from contents; then in the order of a walk, or as they were.
  private func sort(_ items: inout [Item]) {
    items.sort { a, b in
      if (a.kind == .chunk) != (b.kind == .chunk) { return a.kind != .chunk }
      if a.order != b.order { return a.order < b.order }
      return (a.frame, a.start) < (b.frame, b.start)
    }
  }

  private func group(_ items: [Item]) -> [[Item]] {
    var groups: [[Item]] = []
    var group: [Item] = []
    var bytes = 0
    for item in items {
      let isOtherKind = group.last.map { ($0.kind == .chunk) != (item.kind == .chunk) } ?? false
      if !group.isEmpty,
        isOtherKind || bytes >= FrameBuilder.targetBytes || group.count >= FrameBuilder.maxObjects
          || bytes + item.length > FrameBuilder.capacity
      {
        groups.append(group)
        group = []
        bytes = 0
      }
      group.append(item)
      bytes += item.length
    }
    if !group.isEmpty { groups.append(group) }
    return groups
  }

  // MARK: Copying

  private typealias Output =
    @Sendable (
      _ front: [UInt8], _ payload: UnsafeRawBufferPointer, _ rawBytes: Int,
      _ objects: [(kind: ObjectKind, id: Digest, length: Int)]
    ) throws(StoreError) -> Void

  private func run(_ work: Work, _ output: @escaping Output) throws {
    if work.jobs.isEmpty { return }
    let next = Monitor(0)
    try runThreads(max(1, min(work.tuning.workers, work.jobs.count))) { _ in
      let encoder = FrameEncoder(work.tuning)
      let builder = FrameBuilder()
      while true {
        let i = next.update { i in
          defer { i += 1 }
          return i
        }
        guard i < work.jobs.count else { return }
        do {
          switch work.jobs[i] {
          case .copy(let source):
            try copy(source, output)
            progress.add(bytes: UInt64(source.frameBytes))
          case .encode(let items):
            try encode(items, work.sources, builder, encoder, output)
            progress.add(bytes: items.reduce(0) { $0 + UInt64($1.length) })
          }
        } catch {
          next.update { $0 = work.jobs.count }
          throw error
        }
      }
    }
  }

  private func copy(_ source: Source, _ output: Output) throws {
    let pack = source.address.pack
    let (bytes, frame) = try reading(pack) { () throws(StoreError) in
      try store.packs.wholeFrame(source.address, frameBytes: source.frameBytes)
    }
    let objects = frame.header.objects
    for object in objects {
      try frame.withBytes(start: object.start, length: object.length) {
        try check(object.kind, object.id, $0, in: pack)
      }
    }
    let front = FrameHeader.byteCount + frame.header.directoryBytes
    try bytes.withUnsafeBytes { buffer in
      try output(
        Array(buffer[..<front]), UnsafeRawBufferPointer(rebasing: buffer[front...]),
        frame.header.rawBytes, objects.map { ($0.kind, $0.id, $0.length) })
    }
  }

  private func encode(
    _ items: [Item], _ sources: [Source], _ builder: FrameBuilder, _ encoder: FrameEncoder,
    _ output: Output
  ) throws {
    builder.clear()
    for item in items {
      let source = sources[item.frame]
      let pack = source.address.pack
      let frame = try reading(pack) { () throws(StoreError) in
        try store.packs.frame(source.address, frameBytes: source.frameBytes)
      }
      guard frame.header.holds(item.kind, item.id, start: item.start, length: item.length) else {
        throw DamagedPackError(
          name: pack, finding: "\(item.kind.noun) \(item.id.hex) is not in its place")
      }
      if !builder.hasRoom(for: item.length) { builder.grow(for: item.length) }
      try frame.withBytes(start: item.start, length: item.length) { bytes in
        try check(item.kind, item.id, bytes, in: pack)
        builder.add(item.kind, item.id, bytes)
      }
    }
    try encoder.encode(builder) { (header, payload) throws(StoreError) in
      try output(header, payload, builder.count, builder.objects)
    }
  }
}

func check(
  _ kind: ObjectKind, _ id: Digest, _ bytes: UnsafeRawBufferPointer, in pack: Digest
) throws(DamagedPackError) {
  if kind == .recipe { return }
  var hash = SHA256()
  guard hash.digest(of: bytes) == id else {
    throw DamagedPackError(name: pack, finding: "\(kind.noun) \(id.hex) is not what its id says")
  }
}

/// Damage of a pack is told apart from all else that may fail.
func reading<R>(_ pack: Digest, _ body: () throws(StoreError) -> R) throws -> R {
  do throws(StoreError) { return try body() } catch {
    guard error.kind == .damaged || error.kind == .missing else { throw error }
    throw DamagedPackError(name: pack, finding: "\(error.object): \(error.finding)")
  }
}
