// The files in packs/ and doomed/, each read for itself: which pack it is follows from its SHA-256, never from
// its name or its folder.
//
// 1. The same name may stand in both folders for different content. Each file is read.
// 2. A whole pack under a wrong name gets its own in packs/ before anything else is judged or moved. Where
//    that name is taken by another file, the two change places: no name is without its file in between.
// 3. A file is found again by its inode: a file of that name that came later is not touched.

import Codec
import Platform

/// A file in packs/ or doomed/, and what was found in it.
struct PackFile {
  var folder: Descriptor
  var name: [UInt8]
  let inode: UInt64
  let check: PackCheck

  /// The pack that the name says; nil where it is no pack's name.
  var namedPack: Digest? { Layout.packName(name) }
  /// The pack that the content is; nil where it is not a whole one.
  var ownPack: Digest? { check.isWhole ? check.digest : nil }
  var isSound: Bool { check.isSound && namedPack != nil }
  var isMisnamed: Bool { ownPack != nil && ownPack != namedPack }
  var label: String { namedPack?.shortHex ?? printable(name) }
}

extension Layout {
  /// The pack that a name stands for. Names of packs are in lower case.
  static func packName(_ name: [UInt8]) -> Digest? {
    if name.contains(where: { $0 > 0x39 && $0 < 0x60 }) { return nil }
    return Digest(hexDigits: name)
  }
}

extension StoreRepair {
  /// Reads every file that has the name of a pack, or is a whole pack under whatever name.
  /// - Returns: those of packs/ first, in order of their names.
  func readPackFiles() throws -> [PackFile] {
    var names: [(folder: Descriptor, name: [UInt8])] = []
    try explaining("the folders packs/ and doomed/") { () throws(SystemError) in
      for folder in [layout.packs, layout.doomed] {
        names += try layout.fileSystem.names(of: folder.raw).sorted(by: precedes).map {
          (folder, $0)
        }
      }
    }
    let all = names
    let sizes = try store.index.packSizes()
    progress.begin("reading packs", totalBytes: sizes.values.reduce(0) { $0 &+ $1 })
    let next = Monitor(0)
    let found = Monitor<[Int: PackFile]>([:])
    try runThreads(max(1, min(processorCount, all.count))) { [store, progress] _ in
      while true {
        let i = next.withLock { i in
          defer { i += 1 }
          return i
        }
        guard i < all.count else { return }
        let file = try store.readPackFile(
          all[i].folder, all[i].name, progress: progress)
        found.withLock { $0[i] = file }
      }
    }
    let files = found.withLock { $0 }
    return all.indices.compactMap { files[$0] }.filter { $0.namedPack != nil || $0.isMisnamed }
  }

  /// Runs `body` with the file open under its alias, `check.name`; nil where the file is gone.
  func withPackFile<R>(_ file: PackFile, _ body: () throws -> R) throws -> R? {
    guard case .file(let descriptor, let stat)? = try? layout.openRegular(file.folder, file.name),
      stat.inode == file.inode
    else { return nil }
    return try store.packs.withFile(descriptor, as: file.check.name, body)
  }

  // MARK: Own names

  /// Gives every whole pack its own name in packs/. The index's lock is held exclusively, and the index is
  /// rebuilt after it.
  /// - Parameter files: all files; where they are afterwards is noted in them.
  func giveOwnNames(_ files: inout [PackFile]) throws(StoreError) {
    for i in files.indices where files[i].isMisnamed {
      guard let own = files[i].ownPack else { continue }
      let isTwin = files.indices.contains {
        $0 != i && files[$0].ownPack == own && files[$0].folder.raw == layout.packs.raw
          && files[$0].namedPack == own
      }
      try explaining("pack \(own.shortHex)") { () throws(SystemError) in
        guard try isPresent(files[i]) else { return }
        if isTwin {
          let place = try layout.quarantine(
            files[i].folder, files[i].name, as: "packs-\(own.hex)")
          outcome.quarantined.append(place)
          return
        }
        try give(own, to: i, &files)
      }
    }
  }

  private func give(
    _ own: Digest, to i: Int, _ files: inout [PackFile]
  ) throws(SystemError) {
    let target = Array(own.hex.utf8)
    let old = (folder: files[i].folder, name: files[i].name)
    let occupant = files.indices.first {
      $0 != i && files[$0].folder.raw == layout.packs.raw && files[$0].name == target
    }
    do throws(SystemError) {
      try layout.moveExclusively(old.folder, old.name, to: layout.packs, target)
    } catch {
      guard error.code == .exists else { throw error }
      do throws(SystemError) {
        try layout.fileSystem.exchange(
          at: old.folder.raw, old.name, with: layout.packs.raw, target)
        if let occupant { (files[occupant].folder, files[occupant].name) = old }
      } catch {
        guard error.code == .invalid || error.code == .notSupported else { throw error }
        // The file system cannot exchange (NFS): the other waits in quarantine/, where the next
        // repair looks as well.
        let place = try layout.quarantine(layout.packs, target, as: "packs-\(own.hex)")
        if let occupant, let quarantine = try layout.openQuarantine() {
          files[occupant].folder = quarantine
          files[occupant].name = Array(place.utf8.dropFirst(Layout.quarantineName.count + 1))
        }
        try layout.moveExclusively(old.folder, old.name, to: layout.packs, target)
      }
    }
    (files[i].folder, files[i].name) = (layout.packs, target)
    try layout.fileSystem.sync(layout.packs.raw)
    try layout.fileSystem.sync(old.folder.raw)
  }

  private func isPresent(_ file: PackFile) throws(SystemError) -> Bool {
    try layout.fileSystem.statIfPresent(at: file.folder.raw, file.name)?.inode == file.inode
  }

  /// Moves a damaged file to quarantine/, unless it is there, or elsewhere, already.
  func quarantine(_ file: PackFile) throws(StoreError) {
    let isThere = file.folder.raw == layout.packs.raw || file.folder.raw == layout.doomed.raw
    if !isThere { return }
    try explaining("pack \(file.label)") { () throws(SystemError) in
      let label = "packs-\(printable(file.name))"
      if try isPresent(file) {
        outcome.quarantined.append(try layout.quarantine(file.folder, file.name, as: label))
      } else if let quarantine = try layout.openQuarantine() {
        // It moved when the pack with its name was published.
        for name in try layout.fileSystem.names(of: quarantine.raw)
        where name.starts(with: Array(label.utf8)) {
          let stat = try layout.fileSystem.statIfPresent(at: quarantine.raw, name)
          if stat?.inode != file.inode { continue }
          outcome.quarantined.append("quarantine/\(printable(name))")
        }
      }
    }
  }
}

extension ObjectStore {
  /// Reads one file; nil where it is gone.
  fileprivate func readPackFile(
    _ folder: Descriptor, _ name: [UInt8], progress: Progress
  ) throws -> PackFile? {
    let expected = Layout.packName(name)
    let label = expected?.shortHex ?? printable(name)
    let alias = alias(folder, name)
    let stat = try explaining("pack \(label)") { () throws(SystemError) in
      try layout.fileSystem.statIfPresent(at: folder.raw, name)
    }
    // A collector's removal or another process's move: the file is looked for under its new name.
    guard let stat else { return nil }
    func odd(_ reason: String) -> PackFile {
      PackFile(
        folder: folder, name: name, inode: stat.inode,
        check: .odd(alias, label: label, reason))
    }
    let opened: Layout.OpenedFile
    do throws(SystemError) { opened = try layout.openRegular(folder, name) } catch {
      if error.code == .notFound { return nil }
      throw StoreError.system(error, "pack \(label)")
    }
    switch opened {
    case .odd(let reason): return odd(reason)
    case .file(let file, let stat):
      let check = try packs.withFile(file, as: alias) {
        try PackCheck.run(
          alias, packs, label: label, expected: expected, progress: progress)
      }
      return PackFile(folder: folder, name: name, inode: stat.inode, check: check)
    }
  }

  /// A name that no pack has, for reading a file that another may shadow.
  private func alias(_ folder: Descriptor, _ name: [UInt8]) -> Digest {
    SHA256.digest(of: Array((folder.raw == layout.packs.raw ? "packs/" : "doomed/").utf8) + name)
  }
}
