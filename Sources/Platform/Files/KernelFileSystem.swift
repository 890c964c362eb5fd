// The seam's real implementation: one system call each, through CLinux.

import CLinux
import Glibc

/// The file system that the kernel shows this process.
public final class KernelFileSystem: FileSystem {
  public static let shared = KernelFileSystem()
  /// Makes files and directories that their group can read, whatever the umask.
  private static let sharing = KernelFileSystem(sharesWithGroup: true)

  private let sharesWithGroup: Bool
  private init(sharesWithGroup: Bool = false) { self.sharesWithGroup = sharesWithGroup }

  public func sharingWithGroup() -> any FileSystem { KernelFileSystem.sharing }

  public func open(
    at directory: Int32, _ path: [UInt8], _ flags: OpenFlags, mode: UInt16
  ) throws(SystemError) -> Int32 {
    var bits: Int32 =
      flags.contains(.readWrite) ? O_RDWR : flags.contains(.write) ? O_WRONLY : O_RDONLY
    if flags.contains(.create) { bits |= O_CREAT }
    if flags.contains(.exclusive) { bits |= O_EXCL }
    if flags.contains(.truncate) { bits |= O_TRUNC }
    if flags.contains(.directory) { bits |= O_DIRECTORY }
    if flags.contains(.noFollow) { bits |= O_NOFOLLOW }
    if flags.contains(.nonBlocking) { bits |= O_NONBLOCK | O_NOCTTY }
    if flags.contains(.nameless) { bits |= clinux_o_tmpfile }
    if flags.contains(.direct) { bits |= clinux_o_direct }
    let file = try value(
      clinux_openat(directory, path, path.count, bits, UInt32(mode)), "open", path)
    let isMade = flags.contains(.create) || flags.contains(.nameless)
    if sharesWithGroup, isMade, mode & 0o400 != 0 {
      // Of another user's file it fails, and he has decided about it.
      try? setMode(file, mode | 0o040)
    }
    return file
  }

  public func close(_ file: Int32) { _ = clinux_close(file) }

  public func read(
    _ file: Int32, into: UnsafeMutableRawBufferPointer
  ) throws(SystemError) -> Int {
    try count(clinux_read(file, into.baseAddress, into.count), "read", [])
  }

  public func read(
    _ file: Int32, at offset: UInt64, into: UnsafeMutableRawBufferPointer
  ) throws(SystemError) -> Int {
    try count(
      clinux_pread(file, into.baseAddress, into.count, Int64(clamping: offset)), "read", [])
  }

  public func write(_ file: Int32, _ bytes: UnsafeRawBufferPointer) throws(SystemError) {
    var done = 0
    while done < bytes.count {
      done += try count(
        clinux_write(file, bytes.baseAddress.map { $0 + done }, bytes.count - done), "write", [])
    }
  }

  public func write(
    _ file: Int32, at offset: UInt64, _ bytes: UnsafeRawBufferPointer
  ) throws(SystemError) {
    var done = 0
    while done < bytes.count {
      done += try count(
        clinux_pwrite(
          file, bytes.baseAddress.map { $0 + done }, bytes.count - done,
          Int64(clamping: offset + UInt64(done))), "write", [])
    }
  }

  public func sync(_ file: Int32) throws(SystemError) { try check(clinux_fsync(file), "sync", []) }

  public func syncFileSystem(of file: Int32) throws(SystemError) {
    try check(clinux_syncfs(file), "sync", [])
  }

  public func setDirect(_ file: Int32, _ isDirect: Bool) -> Bool {
    clinux_set_direct(file, isDirect ? 1 : 0) >= 0
  }

  public func startSync(_ file: Int32, offset: UInt64, count: UInt64) {
    _ = clinux_sync_start(file, Int64(clamping: offset), Int64(clamping: count))
  }

  public func writeBack(_ file: Int32, offset: UInt64, count: UInt64) {
    _ = clinux_write_back(file, Int64(clamping: offset), Int64(clamping: count))
  }

  public func truncate(_ file: Int32, to sizeBytes: UInt64) throws(SystemError) {
    try check(clinux_ftruncate(file, Int64(clamping: sizeBytes)), "truncate", [])
  }

  public func nextData(_ file: Int32, from offset: UInt64) throws(SystemError) -> UInt64? {
    let r = clinux_seek_data(file, Int64(clamping: offset))
    if r == -Int64(ENXIO) { return nil }
    return UInt64(try count(r, "seek", []))
  }

  public func nextHole(_ file: Int32, from offset: UInt64) throws(SystemError) -> UInt64 {
    UInt64(try count(clinux_seek_hole(file, Int64(clamping: offset)), "seek", []))
  }

  public func names(of directory: Int32) throws(SystemError) -> [[UInt8]] {
    var names: [[UInt8]] = []
    try forEachName(of: directory) { name, _ in names.append([UInt8](name)) }
    return names
  }

  public func kinds(of directory: Int32) throws(SystemError) -> [[UInt8]: FileKind] {
    var kinds: [[UInt8]: FileKind] = [:]
    try forEachName(of: directory) { name, type in
      // DT_REG and the like are the type bits of `st_mode`, shifted; DT_UNKNOWN is 0.
      kinds[[UInt8](name)] = FileKind(modeBits: UInt32(type) << 12)
    }
    return kinds
  }

  private func forEachName(
    of directory: Int32, _ body: (_ name: UnsafeRawBufferPointer, _ type: UInt8) -> Void
  ) throws(SystemError) {
    _ = try count(clinux_seek_start(directory), "seek", [])
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 32 << 10, alignment: 8)
    defer { buffer.deallocate() }
    while true {
      let n = try count(
        clinux_getdents(directory, buffer.baseAddress, buffer.count), "read directory", [])
      if n == 0 { return }
      // struct linux_dirent64: d_ino 8, d_off 8, d_reclen 2, d_type 1, d_name NUL-terminated.
      var at = 0
      while at + 19 < n {
        let length = Int(buffer.loadUnaligned(fromByteOffset: at + 16, as: UInt16.self))
        guard length > 19, at + length <= n else { break }
        let room = UnsafeRawBufferPointer(rebasing: buffer[(at + 19)..<(at + length)])
        let name = UnsafeRawBufferPointer(rebasing: room[..<(room.firstIndex(of: 0) ?? room.count)])
        let type = buffer[at + 18]
        at += length
        // "." and ".."
        if name.count <= 2, name.allSatisfy({ $0 == 0x2e }) { continue }
        body(name, type)
      }
    }
  }

  public func fileSystemType(_ file: Int32) -> UInt64 { clinux_file_system_type(file) }

  public func isReadOnlySnapshot(_ directory: Int32) -> Bool {
    clinux_is_read_only_snapshot(directory) != 0
  }

  public func isInReadOnlySubvolume(_ file: Int32) -> Bool {
    clinux_is_read_only_subvolume(file) != 0
  }

  public func uncovered(_ directory: Int32) throws(SystemError) -> Int32? {
    let file = clinux_open_uncovered(directory)
    if [-EPERM, -EINVAL, -ENOSYS].contains(file) { return nil }
    return try value(file, "open_tree", [])
  }

  public func stat(
    at directory: Int32, _ path: [UInt8], followLink: Bool
  ) throws(SystemError) -> FileStat {
    var s = clinux_stat()
    try check(clinux_statx(directory, path, path.count, followLink ? 1 : 0, &s), "stat", path)
    return try FileStat(s, path)
  }

  public func stat(_ file: Int32) throws(SystemError) -> FileStat {
    var s = clinux_stat()
    try check(clinux_fstat(file, &s), "stat", [])
    return try FileStat(s, [])
  }

  public func rename(
    at fromDirectory: Int32, _ from: [UInt8], to toDirectory: Int32, _ to: [UInt8],
    exclusively: Bool
  ) throws(SystemError) {
    let flags = exclusively ? UInt32(clinux_rename_exclusive_flag()) : 0
    try check(
      clinux_renameat(fromDirectory, from, from.count, toDirectory, to, to.count, flags),
      "rename", to)
  }

  public func exchange(
    at directory: Int32, _ name: [UInt8], with otherDirectory: Int32, _ other: [UInt8]
  ) throws(SystemError) {
    try check(
      clinux_renameat(
        directory, name, name.count, otherDirectory, other, other.count,
        UInt32(clinux_rename_exchange_flag())), "exchange", name)
  }

  public func clone(_ from: Int32, into file: Int32) throws(SystemError) {
    try check(clinux_clone(from, file), "clone", [])
  }

  public func canClone(in directory: Int32) -> Bool { clinux_can_clone(directory) != 0 }

  public func link(
    at fromDirectory: Int32, _ from: [UInt8], to toDirectory: Int32, _ to: [UInt8]
  ) throws(SystemError) {
    try check(
      clinux_linkat(fromDirectory, from, from.count, toDirectory, to, to.count), "link", to)
  }

  public func link(
    open file: Int32, to directory: Int32, _ name: [UInt8]
  ) throws(SystemError) {
    try check(clinux_link_open(file, directory, name, name.count), "link", name)
  }

  public func remove(at directory: Int32, _ path: [UInt8], isDirectory: Bool) throws(SystemError) {
    try check(clinux_unlinkat(directory, path, path.count, isDirectory ? 1 : 0), "remove", path)
  }

  public func makeDirectory(
    at directory: Int32, _ path: [UInt8], mode: UInt16
  ) throws(SystemError) {
    try check(
      clinux_mkdirat(directory, path, path.count, UInt32(mode)), "make directory", path)
    // The parent's setgid bit is inherited, and must not be lost.
    if sharesWithGroup { try setMode(at: directory, path, mode | 0o2050) }
  }

  public func makeSymlink(
    at directory: Int32, _ path: [UInt8], target: [UInt8]
  ) throws(SystemError) {
    try check(
      clinux_symlinkat(target, target.count, directory, path, path.count), "make link", path)
  }

  public func readLink(at directory: Int32, _ path: [UInt8]) throws(SystemError) -> [UInt8] {
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 1)
    defer { room.deallocate() }
    let n = try count(
      clinux_readlinkat(directory, path, path.count, room.baseAddress, room.count), "read link",
      path)
    return [UInt8](room[..<n])
  }

  public func makeNode(
    at directory: Int32, _ path: [UInt8], kind: FileKind, mode: UInt16, device: DeviceNumber
  ) throws(SystemError) {
    try check(
      clinux_mknodat(
        directory, path, path.count, kind.modeBits | UInt32(mode), device.major, device.minor),
      "make node", path)
  }

  public func setOwner(
    at directory: Int32, _ path: [UInt8], uid: UInt32, gid: UInt32
  ) throws(SystemError) {
    try check(clinux_fchownat(directory, path, path.count, uid, gid), "change owner of", path)
  }

  public func setOwner(_ file: Int32, uid: UInt32, gid: UInt32) throws(SystemError) {
    try check(clinux_fchown(file, uid, gid), "change owner", [])
  }

  public func setMode(at directory: Int32, _ path: [UInt8], _ mode: UInt16) throws(SystemError) {
    try check(clinux_fchmodat(directory, path, path.count, UInt32(mode)), "change mode of", path)
  }

  public func setMode(_ file: Int32, _ mode: UInt16) throws(SystemError) {
    try check(clinux_fchmod(file, UInt32(mode)), "change mode", [])
  }

  public func setModified(
    at directory: Int32, _ path: [UInt8], _ time: Timestamp
  ) throws(SystemError) {
    try check(
      clinux_set_mtime_at(directory, path, path.count, time.seconds, time.nanoseconds),
      "change time of", path)
  }

  public func setModified(_ file: Int32, _ time: Timestamp) throws(SystemError) {
    try check(clinux_set_mtime(file, time.seconds, time.nanoseconds), "change time", [])
  }

  public func inodeFlags(_ file: Int32) throws(SystemError) -> InodeFlags {
    let flags = try value(clinux_inode_flags(file), "read flags", [])
    return InodeFlags(rawValue: UInt8(truncatingIfNeeded: flags))
  }

  public func setInodeFlags(_ file: Int32, _ flags: InodeFlags) throws(SystemError) {
    try check(clinux_set_inode_flags(file, UInt32(flags.rawValue)), "set flags", [])
  }

  public func lock(_ file: Int32, exclusive: Bool, wait: Bool) throws(SystemError) -> Bool {
    let r = clinux_flock(file, exclusive ? 1 : 0, wait ? 1 : 0)
    if r == -EWOULDBLOCK { return false }
    try check(r, "lock", [])
    return true
  }

  public func lock(
    _ file: Int32, byte: UInt64, exclusive: Bool, wait: Bool
  ) throws(SystemError) -> Bool {
    let r = clinux_lock_byte(file, Int64(clamping: byte), exclusive ? 1 : 0, wait ? 1 : 0)
    if r == -EAGAIN || r == -EACCES { return false }
    try check(r, "lock", [])
    return true
  }

  public func freeBytes(_ file: Int32) throws(SystemError) -> UInt64 {
    UInt64(try count(clinux_free_bytes(file), "statvfs", []))
  }

  public func freeNodes(_ file: Int32) throws(SystemError) -> UInt64 {
    UInt64(try count(clinux_free_nodes(file), "statvfs", []))
  }

  public func volume(of file: Int32) throws(SystemError) -> Volume {
    var v = clinux_volume()
    try check(clinux_statfs(file, &v), "statfs", [])
    return Volume(
      isReadOnly: v.is_read_only != 0, blockBytes: v.block_bytes, isSized: v.is_sized != 0,
      maxNameBytes: Int(clamping: v.max_name_bytes), type: v.type)
  }
}

// MARK: - Extended attributes

extension KernelFileSystem {
  public func xattrNames(at directory: Int32, _ path: [UInt8]) throws(SystemError) -> [[UInt8]] {
    var size = 0
    while true {
      var list = [CChar](repeating: 0, count: size)
      let r = clinux_listxattr(directory, path, path.count, &list, list.count)
      if r == -Int64(ENOTSUP) || r == 0 { return [] }
      if r == -Int64(ERANGE) {
        size = 0
        continue
      }
      let n = try count(r, "list attributes of", path)
      if size == 0 {
        size = n
        continue
      }
      return list[..<n].split(separator: 0).map { $0.map(UInt8.init(bitPattern:)) }
    }
  }

  public func xattr(
    at directory: Int32, _ path: [UInt8], name: [UInt8]
  ) throws(SystemError) -> [UInt8]? {
    let cName = name.map(CChar.init(bitPattern:)) + [0]
    var value = [UInt8](repeating: 0, count: 1024)
    var r = clinux_getxattr(directory, path, path.count, cName, &value, value.count)
    if r == -Int64(ERANGE) {
      value = [UInt8](repeating: 0, count: 64 << 10)
      r = clinux_getxattr(directory, path, path.count, cName, &value, value.count)
    }
    if r == -Int64(ENODATA) { return nil }
    value.removeSubrange(try count(r, "read attribute of", path)...)
    return value
  }

  public func setXattr(
    at directory: Int32, _ path: [UInt8], name: [UInt8], value: [UInt8]
  ) throws(SystemError) {
    let cName = name.map(CChar.init(bitPattern:)) + [0]
    try check(
      clinux_setxattr(directory, path, path.count, cName, value, value.count),
      "set attribute \(printable(name)) of", path)
  }

  public func removeXattr(
    at directory: Int32, _ path: [UInt8], name: [UInt8]
  ) throws(SystemError) {
    let cName = name.map(CChar.init(bitPattern:)) + [0]
    try check(
      clinux_removexattr(directory, path, path.count, cName),
      "remove attribute \(printable(name)) of", path)
  }
}

extension FileStat {
  init(_ s: clinux_stat, _ path: [UInt8]) throws(SystemError) {
    guard let kind = FileKind(modeBits: s.mode) else {
      throw SystemError(code: .notSupported, "stat", path)
    }
    self.init(
      device: s.dev, inode: s.ino, kind: kind, mode: UInt16(s.mode & 0o7777), uid: s.uid,
      gid: s.gid, size: s.size, links: s.nlink,
      node: DeviceNumber(major: s.rdev_major, minor: s.rdev_minor),
      modified: Timestamp(seconds: s.mtime_s, nanoseconds: s.mtime_ns),
      changed: Timestamp(seconds: s.ctime_s, nanoseconds: s.ctime_ns),
      isMountRoot: s.is_mount_root != 0, mountID: s.has_mount_id != 0 ? s.mount_id : nil,
      flags: InodeFlags(rawValue: UInt8(truncatingIfNeeded: s.inode_flags)),
      reportsFlags: s.reports_flags != 0)
  }
}

// MARK: - Results

private func check(_ r: Int32, _ operation: String, _ path: [UInt8]) throws(SystemError) {
  if r < 0 { throw SystemError(code: .init(rawValue: -r), operation, path) }
}

private func value(
  _ r: Int32, _ operation: String, _ path: [UInt8]
) throws(SystemError) -> Int32 {
  try check(r, operation, path)
  return r
}

private func count(_ r: Int64, _ operation: String, _ path: [UInt8]) throws(SystemError) -> Int {
  if r < 0 { throw SystemError(code: .init(rawValue: Int32(-r)), operation, path) }
  return Int(r)
}
