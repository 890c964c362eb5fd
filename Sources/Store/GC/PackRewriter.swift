// Copies the needed objects of some packs into new packs.
//
// 1. Nothing is copied unverified: a frame is decoded, and each object compared with its id, before it goes
//    into a new pack. (A recipe has the id of its blob, so its frame's checksum verifies it.)
// 2. A new frame is decoded again and compared before it is written, as in any session.
// 3. New packs are durable and in the index when `rewrite` returns. The old ones are unchanged.
// 4. The objects of a frame with a base go into a frame with the same base, or into one without. No object
//    moves to a deeper frame (FrameBase.swift, invariant 2).
// 5. Ids do not change; only the order and the compression of objects do.

import Codec
import Platform

/// The error for a pack that cannot be copied because an object or frame in it is damaged.
struct DamagedPackError: Error {
  let name: Digest
  let reason: String
  var error: StoreError { .damaged("pack \(name.hex)", reason) }
}

/// Rewrites packs.
struct PackRewriter: Sendable {
  enum Encoding: Sendable {
    /// Frames whose objects are all needed are copied unchanged.
    case sparing
    /// Everything is recompressed at this zstd level.
    case all(level: Int32)
  }

  let store: ObjectStore
  let encoding: Encoding
  /// The position of an object in a walk of the newest snapshots, by `prefixKey`; nil keeps the present
  /// order.
  let order: PrefixMap?
  let isNeeded: @Sendable (ObjectKind, Digest) -> Bool
  /// Returns true if the object may have several copies, so that the index must decide which one is read.
  let hasCopies: @Sendable (ObjectKind, Digest) -> Bool
  let progress: Progress
  /// Returns true for an object of a frame with a base that shall be stored without one.
  var releasesBase: @Sendable (FrameAddress, Digest) -> Bool = { _, _ in false }

  /// An object to copy, with its location.
  private struct Item: Sendable {
    let kind: ObjectKind
    let id: Digest
    let frame: Int
    let start: Int
    let length: Int
    let order: UInt32
    let hasBase: Bool
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

  /// Copies the needed objects of the packs into new packs.
  /// - Returns: the new packs. A new pack may be identical to an old one.
  /// - Throws: `DamagedPackError`; `StoreError`, including a full disk. Existing packs are unchanged then.
  func rewrite(_ packs: Set<Digest>) throws -> [FinishedPack] {
    let work = try prepare(packs)
    if work.jobs.isEmpty { return [] }
    let hasKnownLevel = work.tuning.hashLog == nil
    let writer = PackWriter(
      store.layout, store.index, level: hasKnownLevel ? UInt32(work.tuning.level) : 0)
    do {
      try run(work) { frame, payload throws(StoreError) in
        try writer.append(
          frame.front, payload, raw: frame.rawBytes, depth: frame.depth, objects: frame.objects)
      }
      try writer.finishLast()
    } catch {
      writer.abandon()
      throw error
    }
    let finished = writer.packs
    try mapSystemError(
      "the directory packs/", try store.layout.fileSystem.sync(store.layout.packs.raw))
    try store.index.insert(finished)
    return finished
  }

  /// Returns the size of the new packs in bytes without writing them.
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
    try run(work) { frame, payload in
      encoded.withLock { $0 += UInt64(frame.front.count + payload.count) }
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
    var partialItems: [Item] = []
    for source in sources where !source.items.isEmpty {
      if case .sparing = encoding, source.items.count == source.objectCount {
        jobs.append(.copy(source))
      } else {
        partialItems += source.items.map { items[$0] }
      }
    }
    sort(&partialItems)
    jobs += group(partialItems).map(Job.encode)
    return Work(jobs: jobs, sources: sources, tuning: try tuning(packs))
  }

  /// Returns the level of the new frames. A known level also goes into the new packs' headers.
  private func tuning(_ packs: Set<Digest>) throws(StoreError) -> StoreTuning {
    var tuning = StoreTuning()
    switch encoding {
    case .all(let level):
      tuning.level = level
      tuning.hashLog = nil
    case .sparing:
      var minLevel = UInt32.max
      for pack in packs { minLevel = min(minLevel, try store.packs.level(of: pack)) }
      if minLevel > 0, minLevel <= 22 {
        tuning.level = Int32(minLevel)
        tuning.hashLog = nil
      }
    }
    return tuning
  }

  // MARK: Selection

  /// Lists the needed objects of the packs from the packs' own directories.
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
          if isNeeded(kind, id), try isReadCopy(kind, id, source.address, start) {
            source.items.append(items.count)
            items.append(
              Item(
                kind: kind, id: id, frame: sources.count, start: start, length: length,
                order: order?[prefixKey(kind, id)] ?? .max,
                hasBase: frame.depth > 0 && !releasesBase(source.address, id)))
          }
          start += length
        }
        sources.append(source)
      }
    }
    return (sources, items)
  }

  /// Returns true if this copy of the object is the one that is read.
  private func isReadCopy(
    _ kind: ObjectKind, _ id: Digest, _ address: FrameAddress, _ start: Int
  ) throws(StoreError) -> Bool {
    guard hasCopies(kind, id) else { return true }
    guard let location = try store.index.keptLocation(kind, id) else { return true }
    return location.address == address && location.start == start
  }

  /// Sorts trees and other metadata before contents; then in the order of a walk, or as they were. The chunks
  /// of a frame with a base come last and stay together.
  private func sort(_ items: inout [Item]) {
    items.sort { a, b in
      if a.hasBase != b.hasBase { return b.hasBase }
      if a.hasBase { return (a.frame, a.start) < (b.frame, b.start) }
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
      let isOther =
        group.last.map {
          ($0.kind == .chunk) != (item.kind == .chunk) || $0.hasBase != item.hasBase
            || item.hasBase && $0.frame != item.frame
        } ?? false
      let targetBytes = item.hasBase ? FrameBuilder.deltaTargetBytes : FrameBuilder.targetBytes
      if !group.isEmpty,
        isOther || bytes >= targetBytes || group.count >= FrameBuilder.maxObjects
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

  /// A new frame without its payload.
  private struct Front {
    let front: [UInt8]
    let rawBytes: Int
    let depth: UInt8
    let objects: [(kind: ObjectKind, id: Digest, length: Int)]
  }

  private typealias Output =
    @Sendable (_ frame: Front, _ payload: UnsafeRawBufferPointer) throws(StoreError) -> Void

  private func run(_ work: Work, _ output: @escaping Output) throws {
    if work.jobs.isEmpty { return }
    try parallelForEach(
      work.jobs.count, threads: work.tuning.workers,
      makeWorker: { (encoder: FrameEncoder(work.tuning), builder: FrameBuilder()) },
      { worker, i in
        switch work.jobs[i] {
        case .copy(let source):
          try copy(source, output)
          progress.add(bytes: UInt64(source.frameBytes))
        case .encode(let items):
          try encode(items, work.sources, worker.builder, worker.encoder, output)
          progress.add(bytes: items.reduce(0) { $0 + UInt64($1.length) })
        }
      })
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
        Front(
          front: Array(buffer[..<front]), rawBytes: frame.header.rawBytes,
          depth: frame.header.base?.depth ?? 0, objects: objects.map { ($0.kind, $0.id, $0.length) }
        ), UnsafeRawBufferPointer(rebasing: buffer[front...]))
    }
  }

  private func encode(
    _ items: [Item], _ sources: [Source], _ builder: FrameBuilder, _ encoder: FrameEncoder,
    _ output: Output
  ) throws {
    builder.clear()
    if let first = items.first, first.hasBase { try addBase(of: sources[first.frame], to: builder) }
    for item in items {
      let source = sources[item.frame]
      let pack = source.address.pack
      let frame = try reading(pack) { () throws(StoreError) in
        try store.packs.frame(source.address, frameBytes: source.frameBytes)
      }
      guard frame.header.holds(item.kind, item.id, start: item.start, length: item.length) else {
        throw DamagedPackError(
          name: pack, reason: "\(item.kind.noun) \(item.id.hex) is not at its location")
      }
      if !builder.hasCapacity(for: item.length) { builder.grow(for: item.length) }
      try frame.withBytes(start: item.start, length: item.length) { bytes in
        try check(item.kind, item.id, bytes, in: pack)
        builder.add(item.kind, item.id, bytes)
      }
    }
    try encoder.encode(builder) { (header, payload, depth) throws(StoreError) in
      try output(
        Front(front: header, rawBytes: builder.count, depth: depth, objects: builder.objects),
        payload)
    }
  }

  /// Gives a new frame the base of the frame that it replaces. The new frame is not deeper: gc keeps the
  /// copies of least depth.
  private func addBase(of source: Source, to builder: FrameBuilder) throws {
    try reading(source.address.pack) { () throws(StoreError) in
      guard let header = try store.index.directory(of: source.address), let base = header.base
      else { return }
      try store.packs.withBase(header) { (bytes) throws(StoreError) in
        guard let bytes else { return }
        var start = 0
        for chunk in base.chunks {
          let depth = try store.index.location(.chunk, chunk.id)?.depth ?? 0
          builder.addToBase(
            chunk.id, depth: depth,
            UnsafeRawBufferPointer(rebasing: bytes[start..<start + chunk.length]))
          start += chunk.length
        }
      }
    }
  }
}

/// Verifies an object against its id.
func check(
  _ kind: ObjectKind, _ id: Digest, _ bytes: UnsafeRawBufferPointer, in pack: Digest
) throws(DamagedPackError) {
  if kind == .recipe { return }
  var hash = SHA256()
  guard hash.digest(of: bytes) == id else {
    throw DamagedPackError(name: pack, reason: "\(kind.noun) \(id.hex) does not match its id")
  }
}

/// Runs `body` and rethrows damage of a pack as `DamagedPackError`, unlike other errors.
func reading<R>(_ pack: Digest, _ body: () throws(StoreError) -> R) throws -> R {
  do throws(StoreError) { return try body() } catch {
    guard error.kind == .damaged || error.kind == .missing else { throw error }
    throw DamagedPackError(name: pack, reason: "\(error.subject): \(error.reason)")
  }
}
