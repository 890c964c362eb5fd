// Flags that forbid the kernel to change an entry (`chattr +i`, `+a`). They are cleared just before a change
// that requires it. Entries that remain get them back, either with their attributes or through this type.

import Platform

/// The flags that were cleared on one inode.
struct ProtectingFlags: Sendable {
  private let fileSystem: any FileSystem
  private let file: Descriptor
  private let flags: InodeFlags

  /// Clears the protecting flags of a file or directory.
  /// - Parameter now: a current stat of the entry.
  /// - Returns: the cleared flags; nil if it has none.
  /// - Throws: `SystemError`; EPERM without CAP_LINUX_IMMUTABLE.
  static func clear(
    _ fileSystem: any FileSystem, at directory: Int32, _ name: [UInt8], _ now: FileStat
  ) throws(SystemError) -> ProtectingFlags? {
    guard !now.flags.isDisjoint(with: .protecting), now.kind == .file || now.kind == .directory
    else { return nil }
    let file = try fileSystem.openFile(at: directory, name, [.read, .noFollow, .nonBlocking])
    let pinned = try fileSystem.stat(file.raw)
    guard pinned.inode == now.inode, pinned.device == now.device else {
      throw SystemError(code: .busy, "change flags of", name)
    }
    return try clear(fileSystem, file)
  }

  /// Clears the protecting flags of an open file or directory.
  static func clear(
    _ fileSystem: any FileSystem, _ file: Descriptor
  ) throws(SystemError) -> ProtectingFlags? {
    let flags = try fileSystem.inodeFlags(file.raw)
    guard !flags.isDisjoint(with: .protecting) else { return nil }
    try fileSystem.setInodeFlags(file.raw, flags.subtracting(.protecting))
    return ProtectingFlags(fileSystem: fileSystem, file: file, flags: flags)
  }

  /// Sets the flags again, even if the inode has no name.
  func restore() { try? fileSystem.setInodeFlags(file.raw, flags) }

  /// Sets the flags again if the inode still has a name.
  func restoreIfInUse() {
    guard let stat = try? fileSystem.stat(file.raw), stat.links > 0 else { return }
    restore()
  }
}
