// The directory quarantine/, which receives damaged, misnamed and unexpected files of the store.
//
// 1. A file moves there by one exclusive rename. imgstore never overwrites or deletes a file in it, except
//    that `repair` moves intact files back.
// 2. A file's name there says where it was: "packs-<sha256>", "refs-<image>-<number>". A second file of
//    that name gets the suffix ".2".
// 3. The directory is created when it is first needed.

import Platform

extension Layout {
  static let quarantineName = Array("quarantine".utf8)
  private static let maxLabelBytes = 200

  /// Opens quarantine/; nil if it does not exist.
  func openQuarantine() throws(SystemError) -> Descriptor? {
    do throws(SystemError) {
      return try fileSystem.openDirectory(at: root.raw, Layout.quarantineName)
    } catch {
      if error.code == .notFound { return nil }
      guard error.code == .notDirectory || error.code == .loop, !isReadOnly else { throw error }
      // Another kind of file has the directory's name, so it is renamed.
      try fileSystem.rename(
        at: root.raw, Layout.quarantineName, to: root.raw,
        Layout.quarantineName + Array("-\(randomName())".utf8), exclusively: true)
      return nil
    }
  }

  /// Moves a file or directory of the store to quarantine/.
  /// - Parameter label: its name there, without a suffix.
  /// - Returns: the new path for messages, such as "quarantine/packs-3fa9…".
  @discardableResult
  func quarantine(
    _ directory: Descriptor, _ name: [UInt8], as label: String
  ) throws(SystemError) -> String {
    let isNew = try openQuarantine() == nil
    try fileSystem.makeDirectoryIfAbsent(at: root.raw, Layout.quarantineName, .private)
    let target = try fileSystem.openDirectory(at: root.raw, Layout.quarantineName)
    if isNew { try fileSystem.sync(root.raw) }
    let base = Array(label.utf8.prefix(Layout.maxLabelBytes))
    var copy = 1
    while true {
      let newName = copy == 1 ? base : base + Array(".\(copy)".utf8)
      do throws(SystemError) {
        try moveExclusively(directory, name, to: target, newName)
        try fileSystem.sync(target.raw)
        try fileSystem.sync(directory.raw)
        return "quarantine/\(printable(newName))"
      } catch {
        guard error.code == .exists, copy < 100_000 else { throw error }
        copy += 1
      }
    }
  }

  /// Renames without replacing anything, even on file systems without RENAME_NOREPLACE (NFS).
  func moveExclusively(
    _ from: Descriptor, _ name: [UInt8], to directory: Descriptor, _ target: [UInt8]
  ) throws(SystemError) {
    do {
      try fileSystem.rename(
        at: from.raw, name, to: directory.raw, target, exclusively: true)
    } catch {
      guard error.code == .invalid || error.code == .notSupported else { throw error }
      if try fileSystem.statIfPresent(at: directory.raw, target) != nil {
        throw SystemError(code: .exists, "rename", target)
      }
      try fileSystem.rename(
        at: from.raw, name, to: directory.raw, target, exclusively: false)
    }
  }
}
