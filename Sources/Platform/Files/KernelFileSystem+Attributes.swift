// The attributes of entries: mode, owner, times, inode flags and extended attributes.

import CLinux
import Glibc

extension KernelFileSystem {
  public func stat(
    at directory: Int32, _ path: [UInt8], followLink: Bool
  ) throws(SystemError) -> FileStat {
    var s = clinux_stat()
    try SystemCall.check(
      clinux_statx(directory, path, path.count, followLink ? 1 : 0, &s), "stat", path)
    return try FileStat(s, path)
  }

  public func stat(_ file: Int32) throws(SystemError) -> FileStat {
    var s = clinux_stat()
    try SystemCall.check(clinux_fstat(file, &s), "stat", [])
    return try FileStat(s, [])
  }

  public func setOwner(
    at directory: Int32, _ path: [UInt8], uid: UInt32, gid: UInt32
  ) throws(SystemError) {
    try SystemCall.check(
      clinux_fchownat(directory, path, path.count, uid, gid), "change owner of", path)
  }

  public func setOwner(_ file: Int32, uid: UInt32, gid: UInt32) throws(SystemError) {
    try SystemCall.check(clinux_fchown(file, uid, gid), "change owner", [])
  }

  public func setMode(at directory: Int32, _ path: [UInt8], _ mode: UInt16) throws(SystemError) {
    try SystemCall.check(
      clinux_fchmodat(directory, path, path.count, UInt32(mode)), "change mode of", path)
  }

  public func setMode(_ file: Int32, _ mode: UInt16) throws(SystemError) {
    try SystemCall.check(clinux_fchmod(file, UInt32(mode)), "change mode", [])
  }

  public func setModified(
    at directory: Int32, _ path: [UInt8], _ time: Timestamp
  ) throws(SystemError) {
    try SystemCall.check(
      clinux_set_mtime_at(directory, path, path.count, time.seconds, time.nanoseconds),
      "change time of", path)
  }

  public func setModified(_ file: Int32, _ time: Timestamp) throws(SystemError) {
    try SystemCall.check(clinux_set_mtime(file, time.seconds, time.nanoseconds), "change time", [])
  }

  public func inodeFlags(_ file: Int32) throws(SystemError) -> InodeFlags {
    let flags = try SystemCall.value(clinux_inode_flags(file), "read flags", [])
    return InodeFlags(rawValue: UInt8(truncatingIfNeeded: flags))
  }

  public func setInodeFlags(_ file: Int32, _ flags: InodeFlags) throws(SystemError) {
    try SystemCall.check(clinux_set_inode_flags(file, UInt32(flags.rawValue)), "set flags", [])
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
      let n = try SystemCall.count(r, "list attributes of", path)
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
    value.removeSubrange(try SystemCall.count(r, "read attribute of", path)...)
    return value
  }

  public func setXattr(
    at directory: Int32, _ path: [UInt8], name: [UInt8], value: [UInt8]
  ) throws(SystemError) {
    let cName = name.map(CChar.init(bitPattern:)) + [0]
    try SystemCall.check(
      clinux_setxattr(directory, path, path.count, cName, value, value.count),
      "set attribute \(printable(name)) of", path)
  }

  public func removeXattr(
    at directory: Int32, _ path: [UInt8], name: [UInt8]
  ) throws(SystemError) {
    let cName = name.map(CChar.init(bitPattern:)) + [0]
    try SystemCall.check(
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
