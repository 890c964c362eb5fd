// The packs of a store that is being repaired.
//
// 1. Every pack is read to its last byte. A whole pack under a wrong name gets its own name.
// 2. Of a damaged one the sound frames are copied, as they are, into a new pack, and of a frame that is
//    sound in part the sound objects; only when that is durable and in the index, the damaged file moves
//    to quarantine/.
// 3. Packs in quarantine/ are a source: sound objects that the store has lost come back from there.

import Codec
import Platform

extension StoreRepair {
  func repairPacks() throws {
    let listing = try store.index.packs()
    let packs = listing.kept + listing.doomed
    let sizes = try store.index.packSizes()
    progress.begin("reading packs", totalBytes: sizes.values.reduce(0) { $0 &+ $1 })
    let next = Monitor(0)
    let found = Monitor<[PackCheck]>([])
    try runThreads(max(1, min(processorCount, packs.count))) { [store, progress] _ in
      while true {
        let i = next.withLock { i in
          defer { i += 1 }
          return i
        }
        guard i < packs.count else { return }
        let check = try PackCheck.run(packs[i], store.packs, progress: progress)
        if !check.isSound { found.withLock { $0.append(check) } }
      }
    }
    let damaged = found.withLock { $0 }.sorted { $0.name < $1.name }
    if damaged.isEmpty { return }
    for check in damaged { describe(check) }
    if isDryRun {
      damagedPacks = damaged
      // An index from before the damage would lead into it.
      try store.index.rebuild()
      return
    }
    let salvaged = try salvage(damaged.filter { !$0.isWhole })
    if salvaged > 0 { note("\(salvaged) objects", "of damaged packs were copied into a new pack") }
    try store.index.replacePacks { () throws(StoreError) in
      for check in damaged {
        if check.isWhole, try store.index.content(of: check.name, in: layout.packs) != .absent {
          try store.index.clearName(check.name)
          continue
        }
        try quarantine(check.name)
      }
    }
  }

  private func describe(_ check: PackCheck) {
    let problem = check.problems.first.map { "\($0.object): \($0.finding)" } ?? ""
    let verb = isDryRun ? "would be" : "was"
    note(
      "pack \(check.name.shortHex)",
      check.isWhole
        ? "has another pack's name: \(verb) renamed"
        : "is damaged (\(problem)): \(check.goodFrames.count) sound frames, \(verb) moved to "
          + "quarantine/")
  }

  private func quarantine(_ pack: Digest) throws(StoreError) {
    let name = Array(pack.hex.utf8)
    try explaining("pack \(pack.shortHex)") { () throws(SystemError) in
      for folder in [layout.packs, layout.doomed]
      where try layout.fileSystem.statIfPresent(at: folder.raw, name) != nil {
        outcome.quarantined.append(
          try layout.quarantine(folder, name, as: "packs-\(pack.hex)"))
        return
      }
    }
  }

  /// Copies what is sound into new packs, which are durable and in the index at the end.
  /// - Returns: how many objects were copied.
  private func salvage(_ damaged: [PackCheck]) throws -> Int {
    let writer = PackWriter(layout, store.index)
    let encoder = FrameEncoder(StoreTuning())
    var copied = 0
    do {
      for check in damaged {
        for frame in check.goodFrames {
          let address = FrameAddress(pack: check.name, offset: frame.offset)
          let (bytes, decoded) = try store.packs.wholeFrame(
            address, frameBytes: frame.frameBytes)
          let front = FrameHeader.byteCount + decoded.header.directoryBytes
          try bytes.withUnsafeBytes { buffer in
            try writer.append(
              Array(buffer[..<front]), UnsafeRawBufferPointer(rebasing: buffer[front...]),
              raw: decoded.header.rawBytes, objects: frame.objects)
          }
          copied += frame.objects.count
        }
        for frame in check.badFrames {
          copied += try salvage(frame, of: check, writer, encoder)
        }
      }
      try writer.finishLast()
    } catch {
      writer.abandon()
      throw error
    }
    if writer.packs.isEmpty { return 0 }
    try explaining("the folder packs/") { () throws(SystemError) in
      try layout.fileSystem.sync(layout.packs.raw)
    }
    try store.index.insert(writer.packs)
    return copied
  }

  /// Copies the sound objects of a frame that decodes and has wrong ones as well.
  private func salvage(
    _ frame: PackedFrame, of check: PackCheck, _ writer: PackWriter, _ encoder: FrameEncoder
  ) throws -> Int {
    let address = FrameAddress(pack: check.name, offset: frame.offset)
    guard
      let (_, decoded) = try? store.packs.wholeFrame(address, frameBytes: frame.frameBytes)
    else { return 0 }
    let builder = FrameBuilder()
    for object in decoded.header.objects
    where object.kind != .recipe
      && check.badObjects[ObjectName(kind: object.kind, id: object.id)] == nil
    {
      if !builder.hasRoom(for: object.length) {
        guard builder.isEmpty else { continue }
        builder.grow(for: object.length)
      }
      decoded.withBytes(start: object.start, length: object.length) {
        builder.add(object.kind, object.id, $0)
      }
    }
    if builder.isEmpty { return 0 }
    try encoder.encode(builder) { (header, payload) throws(StoreError) in
      try writer.append(header, payload, raw: builder.count, objects: builder.objects)
    }
    return builder.objects.count
  }

  /// The packs in quarantine/, as a source of what is lost.
  var quarantineSource: RepairSource {
    .content(name: "quarantine/") { [store, progress] session in
      guard let folder = try store.layout.openQuarantine() else { return }
      let prefix = Array("packs-".utf8)
      for name in try store.layout.fileSystem.names(of: folder.raw).sorted(by: precedes)
      where name.starts(with: prefix) {
        guard case .file(let file, _) = try store.layout.openRegular(folder, name) else { continue }
        // Read under a name that no pack has: the SHA-256 of its name in quarantine/.
        let alias = SHA256.digest(of: Array("quarantine/".utf8) + name)
        try store.packs.withFile(file, as: alias) {
          let check = try PackCheck.run(alias, store.packs, progress: progress)
          try session.withWorker { worker in
            for frame in check.goodFrames {
              let (_, decoded) = try store.packs.wholeFrame(
                FrameAddress(pack: alias, offset: frame.offset), frameBytes: frame.frameBytes)
              for object in decoded.header.objects {
                try decoded.withBytes(start: object.start, length: object.length) { bytes in
                  try worker.add(object.kind, object.id, bytes)
                }
              }
            }
          }
        }
      }
    }
  }
}
