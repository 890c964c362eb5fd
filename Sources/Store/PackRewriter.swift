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
struct DamagedPack: Error {
  let name: Digest
  let finding: String
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

  /// - Returns: the bytes of the new packs.
  /// - Throws: `DamagedPack`; `StoreError`, among them a full disk. Nothing that was there is
  ///   changed then.
  func rewrite(_ packs: Set<Digest>) throws -> UInt64 {
    var (sources, items) = try collect(packs)
    let level = try levels(packs)
    var jobs: [Job] = []
    var loose: [Item] = []
    for (i, source) in sources.enumerated() where !source.items.isEmpty {
      if case .sparing = encoding, source.items.count == source.objectCount {
        jobs.append(.copy(source))
      } else {
        loose += source.items.map { items[$0] }
      }
      sources[i].items = []
    }
    items = []
    sort(&loose)
    jobs += group(loose).map(Job.encode)
    if jobs.isEmpty { return 0 }
    return try run(jobs, sources, level)
  }

  /// The level of the new frames, and what the new packs may say of theirs.
  private func levels(_ packs: Set<Digest>) throws(StoreError) -> StoreTuning {
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

  private func collect(_ packs: Set<Digest>) throws(StoreError) -> ([Source], [Item]) {
    var names: [PackRow] = []
    var isChosen: [Bool] = []
    var sources: [Source] = []
    var places: [FrameAddress: Int] = [:]
    var items: [Item] = []
    try store.index.survey { rows in
      names = rows
      isChosen = rows.map { packs.contains($0.name) }
    } frame: { row in
      guard isChosen[row.pack] else { return }
      let address = FrameAddress(pack: names[row.pack].name, offset: row.offset)
      places[address] = sources.count
      sources.append(Source(address: address, frameBytes: row.frameBytes))
    } object: { copies in
      for (i, row) in copies.enumerated() where isChosen[row.pack] {
        let address = FrameAddress(pack: names[row.pack].name, offset: row.frame)
        guard let frame = places[address] else { continue }
        sources[frame].objectCount += 1
        guard i == 0, isNeeded(row.kind, row.id) else { continue }
        sources[frame].items.append(items.count)
        items.append(
          Item(
            kind: row.kind, id: row.id, frame: frame, start: row.start, length: row.length,
            order: order?[prefixKey(row.kind, row.id)] ?? .max))
      }
    }
    return (sources, items)
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

  private func run(
    _ jobs: [Job], _ sources: [Source], _ tuning: StoreTuning
  ) throws -> UInt64 {
    let saysLevel = tuning.hashLog == nil
    let writer = PackWriter(store.layout, level: saysLevel ? UInt32(tuning.level) : 0)
    let next = Monitor(0)
    do {
      try runThreads(max(1, min(tuning.workers, jobs.count))) { _ in
        let encoder = FrameEncoder(tuning)
        let builder = FrameBuilder()
        while true {
          let i = next.update { i in
            defer { i += 1 }
            return i
          }
          guard i < jobs.count else { return }
          do {
            switch jobs[i] {
            case .copy(let source):
              try copy(source, into: writer)
              progress.add(bytes: UInt64(source.frameBytes))
            case .encode(let items):
              try encode(items, sources, builder, encoder, into: writer)
              progress.add(bytes: items.reduce(0) { $0 + UInt64($1.length) })
            }
          } catch {
            next.update { $0 = jobs.count }
            throw error
          }
        }
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
    return finished.reduce(0) { $0 + $1.sizeBytes }
  }

  private func copy(_ source: Source, into writer: PackWriter) throws {
    let pack = source.address.pack
    let (bytes, frame) = try reading(pack) { () throws(StoreError) in
      try store.packs.wholeFrame(source.address, frameBytes: source.frameBytes)
    }
    let objects = frame.header.objects
    for object in objects {
      try check(
        object.kind, object.id, frame.bytes(start: object.start, length: object.length), in: pack)
    }
    let front = FrameHeader.byteCount + frame.header.directoryBytes
    try bytes.withUnsafeBytes { buffer in
      try writer.append(
        Array(buffer[..<front]), UnsafeRawBufferPointer(rebasing: buffer[front...]),
        raw: frame.header.rawBytes, objects: objects.map { ($0.kind, $0.id, $0.length) })
    }
  }

  private func encode(
    _ items: [Item], _ sources: [Source], _ builder: FrameBuilder, _ encoder: FrameEncoder,
    into writer: PackWriter
  ) throws {
    builder.clear()
    for item in items {
      let source = sources[item.frame]
      let pack = source.address.pack
      let frame = try reading(pack) { () throws(StoreError) in
        try store.packs.frame(source.address, frameBytes: source.frameBytes)
      }
      guard frame.header.holds(item.kind, item.id, start: item.start, length: item.length) else {
        throw DamagedPack(
          name: pack, finding: "\(item.kind.noun) \(item.id.hex) is not in its place")
      }
      let bytes = frame.bytes(start: item.start, length: item.length)
      try check(item.kind, item.id, bytes, in: pack)
      if !builder.hasRoom(for: item.length) { builder.grow(for: item.length) }
      builder.add(item.kind, item.id, bytes)
    }
    try encoder.encode(builder) { (header, payload) throws(StoreError) in
      try writer.append(header, payload, raw: builder.count, objects: builder.objects)
    }
  }
}

func check(
  _ kind: ObjectKind, _ id: Digest, _ bytes: UnsafeRawBufferPointer, in pack: Digest
) throws(DamagedPack) {
  if kind == .recipe { return }
  var hash = SHA256()
  guard hash.digest(of: bytes) == id else {
    throw DamagedPack(name: pack, finding: "\(kind.noun) \(id.hex) is not what its id says")
  }
}

/// Damage of a pack is told apart from all else that may fail.
func reading<R>(_ pack: Digest, _ body: () throws(StoreError) -> R) throws -> R {
  do throws(StoreError) { return try body() } catch {
    guard error.kind == .damaged || error.kind == .missing else { throw error }
    throw DamagedPack(name: pack, finding: "\(error.object): \(error.finding)")
  }
}
