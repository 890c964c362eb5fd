// Publication of packs. A pack's name is the SHA-256 of the file. Another file under that name is
// misplaced, and may be the only copy of its content.
//
// 1. A pack is published by a rename that replaces nothing. If the name exists, that file is read. If it is
//    the same pack, the new file is deleted; otherwise the old file moves to quarantine/ and the new one
//    takes the name.
// 2. An intact pack under another pack's name gets its own name, if that is free or misused as well (two
//    packs with swapped names).
// 3. Moves between packs/ and doomed/ replace nothing either, except a copy that is not better.
// 4. A name in packs/ hides the same name in doomed/. So a misplaced file in doomed/ is moved away before
//    its name is published in packs/, and before gc deletes it.
// 5. Other content under a name has other rows, so the index is rebuilt.

import Codec
import Platform

extension Index {
  /// The names of the packs in their directories.
  var packNames: PackNames { PackNames(layout: layout, reader: reader, report: report) }

  /// Publishes a complete, synced pack. The caller syncs packs/ afterwards.
  /// - Throws: `refused` if another program keeps creating the name; `system`; `index`.
  func publish(
    _ temporary: TemporaryFile, as name: Digest, sizeBytes: UInt64
  ) throws(StoreError) {
    let bytes = Array(name.hex.utf8)
    let names = packNames
    func publish() throws(StoreError) -> Bool {
      do throws(SystemError) {
        try temporary.publish(in: layout.packs, as: bytes, exclusively: true)
        return true
      } catch {
        guard error.code == .exists else { throw .system(error, "pack \(name.shortHex)") }
        return false
      }
    }
    if try names.isPresent(name, in: layout.doomed), try !names.isSound(name, in: layout.doomed) {
      try replacePacks { () throws(StoreError) in try names.clearDoomedName(name) }
    }
    if try publish() { return }
    if try names.isSound(name, in: layout.packs) { return temporary.discard() }
    try replacePacks { () throws(StoreError) in
      try names.clearName(name)
      if try publish() { return }
      guard try names.isSound(name, in: layout.packs) else {
        throw StoreError(
          .refused, "pack \(name.shortHex)",
          "cannot be published: another program keeps creating a file with its name",
          hint:
            "Find the program that writes to the store's directory packs/, and run the command again"
        )
      }
      temporary.discard()
    }
  }
}

/// The names of the files in packs/ and doomed/.
struct PackNames {
  let layout: Layout
  let reader: PackReader
  let report: @Sendable (String) -> Void

  /// Moves a misplaced file under a pack's name to quarantine/, or to its own name. The caller holds the
  /// exclusive lock.
  func clearName(_ name: Digest) throws(StoreError) {
    var next: Digest? = name
    // Packs in quarantine/ whose own names are not free yet.
    var waiting: [Digest: [UInt8]] = [:]
    // Each round gives one pack its name back, or ends.
    while let wrong = next {
      next = nil
      let actual = try content(of: wrong, in: layout.packs)
      if actual == .pack(wrong) || actual == .absent { return }
      try mapSystemErrors("pack \(wrong.shortHex)") { () throws(SystemError) in
        let newPath = try layout.quarantine(
          layout.packs, Array(wrong.hex.utf8), as: "packs-\(wrong.hex)")
        let file = Array(newPath.utf8.dropFirst(Layout.quarantineName.count + 1))
        if let own = waiting.removeValue(forKey: wrong), try restoreName(own, wrong) {
          report("pack \(wrong.shortHex) has its name again")
        }
        guard case .pack(let own) = actual else {
          report("pack \(wrong.shortHex) did not match its name: moved to \(newPath)")
          return
        }
        guard try isWhole(file, own) else {
          report("pack \(wrong.shortHex) was damaged: moved to \(newPath)")
          return
        }
        if try restoreName(file, own) {
          report("pack \(own.shortHex) had the name of pack \(wrong.shortHex): renamed")
        } else if (try? content(of: own, in: layout.packs)) == .pack(own) {
          report(
            "pack \(own.shortHex) had the name of pack \(wrong.shortHex) too: moved a copy to \(newPath)"
          )
        } else {
          // Its own name is misused as well, so that name is cleared next.
          waiting[own] = file
          next = own
        }
      }
    }
  }

  /// Moves a misplaced file under a pack's name in doomed/ to its own name in packs/, or to quarantine/.
  /// The caller holds the exclusive lock.
  func clearDoomedName(_ wrong: Digest) throws(StoreError) {
    let actual = try content(of: wrong, in: layout.doomed)
    if actual == .pack(wrong) || actual == .absent { return }
    if case .pack(let own) = actual { try clearName(own) }
    try mapSystemErrors("pack \(wrong.shortHex)") { () throws(SystemError) in
      let newPath = try layout.quarantine(
        layout.doomed, Array(wrong.hex.utf8), as: "packs-\(wrong.hex)")
      let file = Array(newPath.utf8.dropFirst(Layout.quarantineName.count + 1))
      if case .pack(let own) = actual, try isWhole(file, own), try restoreName(file, own) {
        report("pack \(own.shortHex) had the name of pack \(wrong.shortHex): renamed")
      } else {
        report("pack \(wrong.shortHex) did not match its name: moved to \(newPath)")
      }
    }
  }

  /// Returns true if the directory has a file under the pack's name.
  func isPresent(_ name: Digest, in directory: Descriptor) throws(StoreError) -> Bool {
    try mapSystemErrors("pack \(name.shortHex)") { () throws(SystemError) in
      try layout.fileSystem.statIfPresent(at: directory.raw, Array(name.hex.utf8)) != nil
    }
  }

  /// Returns true if every frame of a file in quarantine/ is intact, so that it is a pack under any name.
  private func isWhole(_ file: [UInt8], _ own: Digest) throws(SystemError) -> Bool {
    guard let quarantine = try layout.openQuarantine(),
      case .file(let descriptor, _) = try layout.openRegular(quarantine, file)
    else { return false }
    let check = reader.withFile(descriptor, as: own) {
      try? PackCheck.run(own, reader, progress: Progress())
    }
    return check?.isSound ?? false
  }

  /// Moves a pack from quarantine/ to its name in packs/; false if the name exists.
  private func restoreName(_ file: [UInt8], _ own: Digest) throws(SystemError) -> Bool {
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

  /// Moves a pack between packs/ and doomed/. The caller holds the exclusive lock.
  ///
  /// A gc that was killed may have left the pack in both. The moved copy replaces the other one, unless
  /// only the other one is intact.
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

  /// The result of reading a file under a pack's name.
  enum PackContent: Equatable {
    case absent
    /// The file starts with a pack header and has this SHA-256.
    case pack(Digest)
    case other(String)
  }

  /// Returns true if the file under that name is the pack of that name. It is durable then.
  func isSound(_ name: Digest, in directory: Descriptor) throws(StoreError) -> Bool {
    try content(of: name, in: directory) == .pack(name)
  }

  /// Reads a file under a pack's name to its end and computes its SHA-256.
  func content(of name: Digest, in directory: Descriptor) throws(StoreError) -> PackContent {
    try mapSystemErrors("pack \(name.shortHex)") { () throws(SystemError) in
      let opened: Layout.OpenedFile
      do throws(SystemError) {
        opened = try layout.openRegular(directory, Array(name.hex.utf8))
      } catch {
        if error.code == .notFound { return .absent }
        throw error
      }
      let file: Descriptor
      switch opened {
      case .unexpected(let reason): return .other(reason)
      case .file(let descriptor, let stat):
        file = descriptor
        if stat.size > PackFormat.maxPackBytes {
          return .other("has \(stat.size) bytes, more than the limit of a pack")
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
      if !isPack { return .other("does not start with a pack header") }
      if !layout.isReadOnly { try layout.fileSystem.sync(file.raw) }
      return .pack(hash.finish())
    }
  }
}
