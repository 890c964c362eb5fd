// The packs of a store that is being repaired.
//
// 1. Every file in packs/ and doomed/ is read to its last byte (PackFiles.swift). An intact pack under a
//    wrong name gets its own name first.
// 2. The intact frames of a damaged pack are copied unchanged into a new pack, and the intact objects of
//    partly damaged frames, too. The damaged file moves to quarantine/ after the copies are durable and in
//    the index. If the new pack has the damaged one's name, that file moves first.
// 3. Packs in quarantine/ are a source: intact objects that the store has lost are restored from there.

import Codec
import Platform

struct PackRepair: RepairPart {
  let context: RepairContext

  func repairPacks() throws {
    var files = try readPackFiles()
    let unsound = files.filter { !$0.isSound }
    if unsound.isEmpty { return }
    for file in unsound { describe(file) }
    if isDryRun {
      context.damagedPacks = unsound
      // An index from before the damage would lead to damaged frames.
      try store.index.rebuild()
      return
    }
    if files.contains(where: \.isMisnamed) {
      try store.index.replacePacks { () throws(StoreError) in try restoreNames(&files) }
    }
    let soundPacks = Set(files.compactMap(\.ownPack))
    let damaged = files.filter { $0.ownPack == nil }
    let salvaged = try salvage(
      damaged.filter { file in file.namedPack.map { !soundPacks.contains($0) } ?? true })
    if salvaged > 0 {
      note("\(salvaged) objects", "from damaged packs were copied into a new pack")
    }
    if damaged.isEmpty { return }
    try store.index.replacePacks { () throws(StoreError) in
      for file in damaged { try quarantine(file) }
    }
  }

  private func describe(_ file: PackFile) {
    let problem = file.check.problems.first.map { "\($0.object): \($0.reason)" } ?? ""
    let verb = isDryRun ? "would be" : "was"
    note(
      "pack \(file.label)",
      file.isMisnamed
        ? "has the name of another pack: \(verb) renamed"
        : "is damaged (\(problem)): \(file.check.goodFrames.count) intact frames, \(verb) moved to "
          + "quarantine/")
  }

  /// Copies the intact objects into new packs, which are durable and in the index when this returns.
  /// - Returns: the number of copied objects.
  private func salvage(_ damaged: [PackFile]) throws -> Int {
    let writer = PackWriter(layout, store.index)
    let encoder = FrameEncoder(StoreTuning())
    var copied = 0
    do {
      for file in damaged {
        copied += try withPackFile(file) { try copySound(of: file.check, writer, encoder) } ?? 0
      }
      try writer.finishLast()
    } catch {
      writer.abandon()
      throw error
    }
    if writer.packs.isEmpty { return 0 }
    try mapSystemError("the directory packs/", try layout.fileSystem.sync(layout.packs.raw))
    try store.index.insert(writer.packs)
    return copied
  }

  /// Copies the intact frames of one pack, and the intact objects of its other frames.
  private func copySound(
    of check: PackCheck, _ writer: PackWriter, _ encoder: FrameEncoder
  ) throws -> Int {
    var copied = 0
    for frame in check.goodFrames {
      let address = FrameAddress(pack: check.name, offset: frame.offset)
      let (bytes, decoded) = try store.packs.wholeFrame(address, frameBytes: frame.frameBytes)
      let front = FrameHeader.byteCount + decoded.header.directoryBytes
      try bytes.withUnsafeBytes { buffer in
        try writer.append(
          Array(buffer[..<front]), UnsafeRawBufferPointer(rebasing: buffer[front...]),
          raw: decoded.header.rawBytes, depth: frame.depth, objects: frame.objects)
      }
      copied += frame.objects.count
    }
    for frame in check.unresolvedFrames {
      // Their content cannot be checked before their bases are restored. Their checksums will decide then.
      let address = FrameAddress(pack: check.name, offset: frame.offset)
      let raw = try store.packs.rawFrame(address, frameBytes: frame.frameBytes)
      let front = FrameHeader.byteCount + raw.header.directoryBytes
      try raw.withPayload { (payload) throws(StoreError) in
        try writer.append(
          Array(raw.bytes[..<front]), payload, raw: raw.header.rawBytes, depth: frame.depth,
          objects: frame.objects)
      }
    }
    for frame in check.badFrames { copied += try salvage(frame, of: check, writer, encoder) }
    return copied
  }

  /// Copies the intact objects of a frame that decodes but has damaged objects as well.
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
      if !builder.hasCapacity(for: object.length) {
        guard builder.isEmpty else { continue }
        builder.grow(for: object.length)
      }
      decoded.withBytes(start: object.start, length: object.length) {
        builder.add(object.kind, object.id, $0)
      }
    }
    if builder.isEmpty { return 0 }
    try encoder.encode(builder) { (header, payload, depth) throws(StoreError) in
      try writer.append(
        header, payload, raw: builder.count, depth: depth, objects: builder.objects)
    }
    return builder.objects.count
  }

  /// Returns the packs in quarantine/ as a source of lost objects.
  var quarantineSource: RepairSource {
    .content(name: "quarantine/") { [store, progress] session in
      guard let directory = try store.layout.openQuarantine() else { return }
      let prefix = Array("packs-".utf8)
      for name in try store.layout.fileSystem.names(of: directory.raw).sorted(by: precedes)
      where name.starts(with: prefix) {
        guard case .file(let file, _) = try store.layout.openRegular(directory, name) else {
          continue
        }
        // The alias is a name that no pack has: the SHA-256 of its name in quarantine/.
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
