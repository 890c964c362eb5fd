// The folder quarantine/: where damaged, misnamed or odd files of the store go.
//
// 1. A file moves there by one exclusive rename; nothing in it is ever overwritten or removed by
//    this program, except by `repair`, which moves sound files back.
// 2. Its name there tells where it was: "packs-<sha256>", "refs-<image>-<number>"; a second one of
//    that name gets ".2".
// 3. The folder is made when it is first needed.

import Platform

extension Layout {
  static let quarantineName = Array("quarantine".utf8)
  private static let maxLabelBytes = 200

  /// The folder quarantine/; nil where there is none.
  func openQuarantine() throws(SystemError) -> Descriptor? {
    do throws(SystemError) {
      return try fileSystem.openDirectory(at: root.raw, Layout.quarantineName)
    } catch {
      if error.code == .notFound { return nil }
      guard error.code == .notDirectory || error.code == .loop, !isReadOnly else { throw error }
      // Something else has the folder's name: it steps aside.
      try fileSystem.rename(
        at: root.raw, Layout.quarantineName, to: root.raw,
        Layout.quarantineName + Array("-\(randomName())".utf8), exclusively: true)
      return nil
    }
  }

  /// Moves a file or a folder of the store to quarantine/.
  /// - Parameter label: its name there, without what tells copies apart.
  /// - Returns: where it is now, for people: "quarantine/packs-3fa9…".
  @discardableResult
  func quarantine(
    _ folder: Descriptor, _ name: [UInt8], as label: String
  ) throws(SystemError) -> String {
    let isNew = try openQuarantine() == nil
    try makeDirectoryIfAbsent(fileSystem, root, Layout.quarantineName)
    let target = try fileSystem.openDirectory(at: root.raw, Layout.quarantineName)
    if isNew { try fileSystem.sync(root.raw) }
    let base = Array(label.utf8.prefix(Layout.maxLabelBytes))
    var copy = 1
    while true {
      let place = copy == 1 ? base : base + Array(".\(copy)".utf8)
      do throws(SystemError) {
        try moveExclusively(folder, name, to: target, place)
        try fileSystem.sync(target.raw)
        try fileSystem.sync(folder.raw)
        return "quarantine/\(printable(place))"
      } catch {
        guard error.code == .exists, copy < 100_000 else { throw error }
        copy += 1
      }
    }
  }

  /// Renames without replacing anything, also where the file system has no RENAME_NOREPLACE (NFS).
  func moveExclusively(
    _ from: Descriptor, _ name: [UInt8], to folder: Descriptor, _ target: [UInt8]
  ) throws(SystemError) {
    do {
      try fileSystem.rename(
        at: from.raw, name, to: folder.raw, target, exclusively: true)
    } catch {
      guard error.code == .invalid || error.code == .notSupported else { throw error }
      if try fileSystem.statIfPresent(at: folder.raw, target) != nil {
        throw SystemError(code: .exists, "rename", target)
      }
      try fileSystem.rename(
        at: from.raw, name, to: folder.raw, target, exclusively: false)
    }
  }
}
