// The files in packs/ and doomed/, each read on its own. The SHA-256 of a file says which pack it is, never
// its name or directory.
//
// 1. Both directories may contain the same name with different content. Each file is read.
// 2. An intact pack under a wrong name gets its own name in packs/ before any other file is judged or
//    moved. If another file has that name, the two are exchanged, so both names exist throughout.
// 3. A file is identified by its inode: a newer file of the same name is not touched.

import Codec
import Platform

/// A file in packs/ or doomed/, with the result of reading it.
struct PackFile {
  var directory: Descriptor
  var name: [UInt8]
  let inode: UInt64
  let check: PackCheck

  /// The pack that the name stands for; nil if it is not a pack's name.
  var namedPack: Digest? { Layout.packName(name) }
  /// The pack that the content is; nil if it is not an intact pack.
  var ownPack: Digest? { check.isWhole ? check.digest : nil }
  var isSound: Bool { check.isSound && namedPack != nil }
  var isMisnamed: Bool { ownPack != nil && ownPack != namedPack }
  var label: String { namedPack?.shortHex ?? printable(name) }
}

extension Layout {
  /// Returns the pack that a name stands for. Names of packs are in lower case.
  static func packName(_ name: [UInt8]) -> Digest? {
    if name.contains(where: { $0 > 0x39 && $0 < 0x60 }) { return nil }
    return Digest(hexDigits: name)
  }
}

extension PackRepair {
  /// Reads every file that has the name of a pack, or is an intact pack under any name.
  /// - Returns: the files of packs/ first, in the order of their names.
  func readPackFiles() throws -> [PackFile] {
    var names: [(directory: Descriptor, name: [UInt8])] = []
    try mapSystemErrors("the directories packs/ and doomed/") { () throws(SystemError) in
      for directory in [layout.packs, layout.doomed] {
        names += try layout.fileSystem.names(of: directory.raw).sorted(by: precedes).map {
          (directory, $0)
        }
      }
    }
    let all = names
    let sizes = try store.index.packSizes()
    progress.begin("reading packs", totalBytes: sizes.values.reduce(0) { $0 &+ $1 })
    let results = Monitor<[Int: PackFile]>([:])
    try parallelForEach(all.count) { [store, progress] i in
      let file = try store.readPackFile(all[i].directory, all[i].name, progress: progress)
      results.withLock { $0[i] = file }
    }
    let files = results.withLock { $0 }
    return all.indices.compactMap { files[$0] }.filter { $0.namedPack != nil || $0.isMisnamed }
  }

  /// Runs `body` with the file open under its alias, `check.name`; nil if the file no longer exists.
  func withPackFile<R>(_ file: PackFile, _ body: () throws -> R) throws -> R? {
    guard
      case .file(let descriptor, let stat)? = try? layout.openRegular(file.directory, file.name),
      stat.inode == file.inode
    else { return nil }
    return try store.packs.withFile(descriptor, as: file.check.name, body)
  }

  // MARK: Own names

  /// Renames every intact pack to its own name in packs/. The caller holds the index's lock exclusively,
  /// and rebuilds the index afterwards.
  /// - Parameter files: all files; updated with their new directories and names.
  func restoreNames(_ files: inout [PackFile]) throws(StoreError) {
    for i in files.indices where files[i].isMisnamed {
      guard let own = files[i].ownPack else { continue }
      let isTwin = files.indices.contains {
        $0 != i && files[$0].ownPack == own && files[$0].directory.raw == layout.packs.raw
          && files[$0].namedPack == own
      }
      try mapSystemErrors("pack \(own.shortHex)") { () throws(SystemError) in
        guard try isPresent(files[i]) else { return }
        if isTwin {
          let newPath = try layout.quarantine(
            files[i].directory, files[i].name, as: "packs-\(own.hex)")
          outcome.quarantined.append(newPath)
          return
        }
        try rename(i, to: own, &files)
      }
    }
  }

  private func rename(
    _ i: Int, to own: Digest, _ files: inout [PackFile]
  ) throws(SystemError) {
    let target = Array(own.hex.utf8)
    let old = (directory: files[i].directory, name: files[i].name)
    let occupant = files.indices.first {
      $0 != i && files[$0].directory.raw == layout.packs.raw && files[$0].name == target
    }
    do throws(SystemError) {
      try layout.moveExclusively(old.directory, old.name, to: layout.packs, target)
    } catch {
      guard error.code == .exists else { throw error }
      do throws(SystemError) {
        try layout.fileSystem.exchange(
          at: old.directory.raw, old.name, with: layout.packs.raw, target)
        if let occupant { (files[occupant].directory, files[occupant].name) = old }
      } catch {
        guard error.code == .invalid || error.code == .notSupported else { throw error }
        // The file system cannot exchange names (NFS). The other file waits in quarantine/, where the next
        // repair looks, too.
        let newPath = try layout.quarantine(layout.packs, target, as: "packs-\(own.hex)")
        if let occupant, let quarantine = try layout.openQuarantine() {
          files[occupant].directory = quarantine
          files[occupant].name = Array(newPath.utf8.dropFirst(Layout.quarantineName.count + 1))
        }
        try layout.moveExclusively(old.directory, old.name, to: layout.packs, target)
      }
    }
    (files[i].directory, files[i].name) = (layout.packs, target)
    try layout.fileSystem.sync(layout.packs.raw)
    try layout.fileSystem.sync(old.directory.raw)
  }

  private func isPresent(_ file: PackFile) throws(SystemError) -> Bool {
    try layout.fileSystem.statIfPresent(at: file.directory.raw, file.name)?.inode == file.inode
  }

  /// Moves a damaged file to quarantine/, unless it has moved already.
  func quarantine(_ file: PackFile) throws(StoreError) {
    let isInPackDirectory =
      file.directory.raw == layout.packs.raw || file.directory.raw == layout.doomed.raw
    if !isInPackDirectory { return }
    try mapSystemErrors("pack \(file.label)") { () throws(SystemError) in
      let label = "packs-\(printable(file.name))"
      if try isPresent(file) {
        outcome.quarantined.append(try layout.quarantine(file.directory, file.name, as: label))
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
  /// Reads one file; nil if it no longer exists.
  fileprivate func readPackFile(
    _ directory: Descriptor, _ name: [UInt8], progress: Progress
  ) throws -> PackFile? {
    let expected = Layout.packName(name)
    let label = expected?.shortHex ?? printable(name)
    let alias = alias(directory, name)
    let stat = try mapSystemError(
      "pack \(label)", try layout.fileSystem.statIfPresent(at: directory.raw, name))
    // gc or another process has moved the file. It is found under its new name.
    guard let stat else { return nil }
    func unexpected(_ reason: String) -> PackFile {
      PackFile(
        directory: directory, name: name, inode: stat.inode,
        check: .unexpected(alias, label: label, reason))
    }
    let opened: Layout.OpenedFile
    do throws(SystemError) { opened = try layout.openRegular(directory, name) } catch {
      if error.code == .notFound { return nil }
      throw StoreError.system(error, "pack \(label)")
    }
    switch opened {
    case .unexpected(let reason): return unexpected(reason)
    case .file(let file, let stat):
      let check = try packs.withFile(file, as: alias) {
        try PackCheck.run(
          alias, packs, label: label, expected: expected, progress: progress)
      }
      return PackFile(directory: directory, name: name, inode: stat.inode, check: check)
    }
  }

  /// Returns a name that no pack has, for reading a file that another one may hide.
  private func alias(_ directory: Descriptor, _ name: [UInt8]) -> Digest {
    SHA256.digest(of: Array((directory.raw == layout.packs.raw ? "packs/" : "doomed/").utf8) + name)
  }
}
