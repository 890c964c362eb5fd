// Whole file systems: their limits, free space, and what hides or protects their entries.

import CLinux
import Glibc

extension KernelFileSystem {
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
    return try SystemCall.value(file, "open_tree", [])
  }

  public func freeBytes(_ file: Int32) throws(SystemError) -> UInt64 {
    UInt64(try SystemCall.count(clinux_free_bytes(file), "statvfs", []))
  }

  public func freeNodes(_ file: Int32) throws(SystemError) -> UInt64 {
    UInt64(try SystemCall.count(clinux_free_nodes(file), "statvfs", []))
  }

  public func volume(of file: Int32) throws(SystemError) -> Volume {
    var v = clinux_volume()
    try SystemCall.check(clinux_statfs(file, &v), "statfs", [])
    return Volume(
      isReadOnly: v.is_read_only != 0, blockBytes: v.block_bytes, isSized: v.is_sized != 0,
      maxNameBytes: Int(clamping: v.max_name_bytes), type: v.type)
  }
}
