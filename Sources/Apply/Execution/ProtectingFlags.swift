// Flags that forbid the kernel to change an entry (`chattr +i`, `+a`). They are cleared just before a
// change that needs it. What stays gets them back: as part of its attributes, or from here.

import Platform

/// The flags that were taken off one inode.
struct ProtectingFlags: Sendable {
  private let fileSystem: any FileSystem
  private let file: Descriptor
  private let flags: InodeFlags

  /// Clears the protecting flags of a file or directory.
  /// - Parameter now: what a stat of the entry has just said.
  /// - Returns: nil where it has none.
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

  /// Sets them again, whatever became of the names.
  func restore() { try? fileSystem.setInodeFlags(file.raw, flags) }

  /// Sets them again where the inode has a name.
  func restoreIfInUse() {
    guard let stat = try? fileSystem.stat(file.raw), stat.links > 0 else { return }
    restore()
  }
}
