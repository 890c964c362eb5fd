// Giving packs their names. A name is the SHA-256 of the file, so whatever else stands under it is wrong,
// and may be the only copy of something.
//
// 1. A pack is published by a rename that replaces nothing. Where the name is taken, the file is read:
//    if it is that pack, ours is dropped; if not, it moves to quarantine/ and ours takes the name.
// 2. A whole pack that stood under another pack's name gets its own name back, if that is free or
//    wrongly taken as well (two packs whose names were swapped).
// 3. Moves between packs/ and doomed/ replace nothing either, except a copy that is not better.
// 4. A name in doomed/ is shadowed by the same name in packs/. So what has it there wrongly is moved before
//    the name is given in packs/, and before a collection removes it.
// 5. Other content under a name means other rows: the index is rebuilt.

import Codec
import Platform

extension Index {
  /// Publishes a complete, synced pack; the caller syncs packs/ after it.
  func publish(
    _ temporary: TemporaryFile, as name: Digest, sizeBytes: UInt64
  ) throws(StoreError) {
    let bytes = Array(name.hex.utf8)
    func publish() throws(StoreError) -> Bool {
      do throws(SystemError) {
        try temporary.publish(in: layout.packs, as: bytes, exclusively: true)
        return true
      } catch {
        guard error.code == .exists else { throw .system(error, "pack \(name.shortHex)") }
        return false
      }
    }
    if try isPresent(name, in: layout.doomed), try !isSound(name, in: layout.doomed) {
      try replacePacks { () throws(StoreError) in try clearDoomedName(name) }
    }
    if try publish() { return }
    if try isSound(name, in: layout.packs) { return temporary.discard() }
    try replacePacks { () throws(StoreError) in
      try clearName(name)
      if try publish() { return }
      guard try isSound(name, in: layout.packs) else {
        throw StoreError(
          .refused, "pack \(name.shortHex)",
          "cannot be published: its name is taken again and again",
          advice: "Find out what writes into the store's folder packs/, and run the command again")
      }
      temporary.discard()
    }
  }

  /// Moves what wrongly has a pack's name to quarantine/, or to its own name. The exclusive lock is
  /// held.
  func clearName(_ name: Digest) throws(StoreError) {
    var next: Digest? = name
    // Packs in quarantine/ that wait for their own names.
    var waiting: [Digest: [UInt8]] = [:]
    // Each round gives one name back to its owner, or ends.
    while let wrong = next {
      next = nil
      let found = try content(of: wrong, in: layout.packs)
      if found == .pack(wrong) || found == .absent { return }
      try explaining("pack \(wrong.shortHex)") { () throws(SystemError) in
        let place = try layout.quarantine(
          layout.packs, Array(wrong.hex.utf8), as: "packs-\(wrong.hex)")
        let file = Array(place.utf8.dropFirst(Layout.quarantineName.count + 1))
        if let own = waiting.removeValue(forKey: wrong), try giveOwnName(own, wrong) {
          report("pack \(wrong.shortHex) has its own name again")
        }
        guard case .pack(let own) = found else {
          report("pack \(wrong.shortHex) was not what its name says: moved to \(place)")
          return
        }
        guard try isWhole(file, own) else {
          report("pack \(wrong.shortHex) was damaged: moved to \(place)")
          return
        }
        if try giveOwnName(file, own) {
          report("pack \(own.shortHex) had the name of pack \(wrong.shortHex): renamed")
        } else if (try? content(of: own, in: layout.packs)) == .pack(own) {
          report(
            "pack \(own.shortHex) had the name of pack \(wrong.shortHex) as well: one moved to \(place)"
          )
        } else {
          // Its own name is wrongly taken as well: that is cleared next.
          waiting[own] = file
          next = own
        }
      }
    }
  }

  /// Moves what wrongly has a pack's name in doomed/ to its own name in packs/, or to quarantine/. The
  /// exclusive lock is held.
  func clearDoomedName(_ wrong: Digest) throws(StoreError) {
    let found = try content(of: wrong, in: layout.doomed)
    if found == .pack(wrong) || found == .absent { return }
    if case .pack(let own) = found { try clearName(own) }
    try explaining("pack \(wrong.shortHex)") { () throws(SystemError) in
      let place = try layout.quarantine(
        layout.doomed, Array(wrong.hex.utf8), as: "packs-\(wrong.hex)")
      let file = Array(place.utf8.dropFirst(Layout.quarantineName.count + 1))
      if case .pack(let own) = found, try isWhole(file, own), try giveOwnName(file, own) {
        report("pack \(own.shortHex) had the name of pack \(wrong.shortHex): renamed")
      } else {
        report("pack \(wrong.shortHex) was not what its name says: moved to \(place)")
      }
    }
  }

  func isPresent(_ name: Digest, in folder: Descriptor) throws(StoreError) -> Bool {
    try explaining("pack \(name.shortHex)") { () throws(SystemError) in
      try layout.fileSystem.statIfPresent(at: folder.raw, Array(name.hex.utf8)) != nil
    }
  }

  /// Whether every frame of a file in quarantine/ is sound, so that it is a pack under whatever name.
  private func isWhole(_ file: [UInt8], _ own: Digest) throws(SystemError) -> Bool {
    guard let quarantine = try layout.openQuarantine(),
      case .file(let descriptor, _) = try layout.openRegular(quarantine, file)
    else { return false }
    let check = reader.withFile(descriptor, as: own) {
      try? PackCheck.run(own, reader, progress: Progress())
    }
    return check?.isSound ?? false
  }

  private func giveOwnName(_ file: [UInt8], _ own: Digest) throws(SystemError) -> Bool {
    guard let quarantine = try layout.openQuarantine() else { return false }
    do throws(SystemError) {
      try layout.moveExclusively(quarantine, file, to: layout.packs, Array(own.hex.utf8))
    } catch {
      if error.code == .exists { return false }
      throw error
    }
    try layout.fileSystem.sync(layout.packs.raw)
    return true
  }

  /// Moves a pack between packs/ and doomed/; the exclusive lock is held.
  ///
  /// A collector that was killed may have left it in both folders. The one that is moved replaces the
  /// other unless only the other is sound.
  func move(_ pack: Digest, from: Descriptor, to: Descriptor) throws(SystemError) {
    let name = Array(pack.hex.utf8)
    do throws(SystemError) {
      try layout.fileSystem.rename(at: from.raw, name, to: to.raw, name, exclusively: true)
      return
    } catch {
      guard error.code == .exists || error.code == .invalid || error.code == .notSupported else {
        throw error
      }
    }
    if try layout.fileSystem.statIfPresent(at: to.raw, name) != nil {
      let isSound = (try? isSound(pack, in: from)) ?? false
      if !isSound {
        try layout.quarantine(from, name, as: "packs-\(pack.hex)")
        return
      }
      if ((try? self.isSound(pack, in: to)) ?? false) == false {
        try layout.quarantine(to, name, as: "packs-\(pack.hex)")
      }
    }
    try layout.fileSystem.rename(at: from.raw, name, to: to.raw, name, exclusively: false)
  }

  /// What the bytes of a file in packs/ or doomed/ are.
  enum PackContent: Equatable {
    case absent
    /// Begins as packs do, and has this SHA-256.
    case pack(Digest)
    case other(String)
  }

  /// Whether the file of that name is the pack of that name; then it is durable as well.
  func isSound(_ name: Digest, in folder: Descriptor) throws(StoreError) -> Bool {
    try content(of: name, in: folder) == .pack(name)
  }

  /// Reads a file under a pack's name to its end.
  func content(of name: Digest, in folder: Descriptor) throws(StoreError) -> PackContent {
    try explaining("pack \(name.shortHex)") { () throws(SystemError) in
      let opened: Layout.OpenedFile
      do throws(SystemError) {
        opened = try layout.openRegular(folder, Array(name.hex.utf8))
      } catch {
        if error.code == .notFound { return .absent }
        throw error
      }
      let file: Descriptor
      switch opened {
      case .odd(let reason): return .other(reason)
      case .file(let descriptor, let stat):
        file = descriptor
        if stat.size > PackFormat.maxPackBytes {
          return .other("has \(stat.size) bytes, more than a pack can have")
        }
      }
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
      defer { buffer.deallocate() }
      var hash = SHA256()
      var offset: UInt64 = 0
      var isPack = false
      while true {
        let n = try layout.fileSystem.readFully(file.raw, at: offset, into: buffer)
        if n == 0 { break }
        if offset == 0 {
          isPack = PackFormat.level(of: [UInt8](buffer[..<min(n, PackFormat.headerBytes)])) != nil
        }
        hash.update(UnsafeRawBufferPointer(rebasing: buffer[..<n]))
        offset += UInt64(n)
      }
      if !isPack { return .other("does not begin as a pack does") }
      if !layout.isReadOnly { try layout.fileSystem.sync(file.raw) }
      return .pack(hash.finish())
    }
  }
}
