// The names of directories: listing, creating, renaming, linking and removing entries.

import CLinux
import Glibc

extension KernelFileSystem {
  public func names(of directory: Int32) throws(SystemError) -> [[UInt8]] {
    var names: [[UInt8]] = []
    try forEachName(of: directory) { name, _ in names.append([UInt8](name)) }
    return names
  }

  public func kinds(of directory: Int32) throws(SystemError) -> [[UInt8]: FileKind] {
    var kinds: [[UInt8]: FileKind] = [:]
    try forEachName(of: directory) { name, type in
      // DT_REG and the others are the type bits of `st_mode`, shifted; DT_UNKNOWN is 0.
      kinds[[UInt8](name)] = FileKind(modeBits: UInt32(type) << 12)
    }
    return kinds
  }

  private func forEachName(
    of directory: Int32, _ body: (_ name: UnsafeRawBufferPointer, _ type: UInt8) -> Void
  ) throws(SystemError) {
    _ = try SystemCall.count(clinux_seek_start(directory), "seek", [])
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 32 << 10, alignment: 8)
    defer { buffer.deallocate() }
    while true {
      let n = try SystemCall.count(
        clinux_getdents(directory, buffer.baseAddress, buffer.count), "read directory", [])
      if n == 0 { return }
      // struct linux_dirent64: d_ino 8, d_off 8, d_reclen 2, d_type 1, d_name NUL-terminated.
      var at = 0
      while at + 19 < n {
        let length = Int(buffer.loadUnaligned(fromByteOffset: at + 16, as: UInt16.self))
        guard length > 19, at + length <= n else { break }
        let record = UnsafeRawBufferPointer(rebasing: buffer[(at + 19)..<(at + length)])
        let name = UnsafeRawBufferPointer(
          rebasing: record[..<(record.firstIndex(of: 0) ?? record.count)])
        let type = buffer[at + 18]
        at += length
        // "." and ".."
        if name.count <= 2, name.allSatisfy({ $0 == 0x2e }) { continue }
        body(name, type)
      }
    }
  }

  public func rename(
    at fromDirectory: Int32, _ from: [UInt8], to toDirectory: Int32, _ to: [UInt8],
    exclusively: Bool
  ) throws(SystemError) {
    let flags = exclusively ? UInt32(clinux_rename_exclusive_flag()) : 0
    try SystemCall.check(
      clinux_renameat(fromDirectory, from, from.count, toDirectory, to, to.count, flags),
      "rename", to)
  }

  public func exchange(
    at directory: Int32, _ name: [UInt8], with otherDirectory: Int32, _ other: [UInt8]
  ) throws(SystemError) {
    try SystemCall.check(
      clinux_renameat(
        directory, name, name.count, otherDirectory, other, other.count,
        UInt32(clinux_rename_exchange_flag())), "exchange", name)
  }

  public func clone(_ from: Int32, into file: Int32) throws(SystemError) {
    try SystemCall.check(clinux_clone(from, file), "clone", [])
  }

  public func canClone(in directory: Int32) -> Bool { clinux_can_clone(directory) != 0 }

  public func exclusiveBytes(_ file: Int32) -> UInt64? {
    UInt64(exactly: clinux_exclusive_bytes(file))
  }

  public func link(
    at fromDirectory: Int32, _ from: [UInt8], to toDirectory: Int32, _ to: [UInt8]
  ) throws(SystemError) {
    try SystemCall.check(
      clinux_linkat(fromDirectory, from, from.count, toDirectory, to, to.count), "link", to)
  }

  public func link(
    open file: Int32, to directory: Int32, _ name: [UInt8]
  ) throws(SystemError) {
    try SystemCall.check(clinux_link_open(file, directory, name, name.count), "link", name)
  }

  public func remove(at directory: Int32, _ path: [UInt8], isDirectory: Bool) throws(SystemError) {
    try SystemCall.check(
      clinux_unlinkat(directory, path, path.count, isDirectory ? 1 : 0), "remove", path)
  }

  public func makeDirectory(
    at directory: Int32, _ path: [UInt8], mode: UInt16
  ) throws(SystemError) {
    try SystemCall.check(
      clinux_mkdirat(directory, path, path.count, UInt32(mode)), "make directory", path)
    // The new directory has inherited the parent's setgid bit, which must stay.
    if sharesWithGroup { try setMode(at: directory, path, mode | 0o2050) }
  }

  public func makeSymlink(
    at directory: Int32, _ path: [UInt8], target: [UInt8]
  ) throws(SystemError) {
    try SystemCall.check(
      clinux_symlinkat(target, target.count, directory, path, path.count), "make link", path)
  }

  public func readLink(at directory: Int32, _ path: [UInt8]) throws(SystemError) -> [UInt8] {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 1)
    defer { buffer.deallocate() }
    let n = try SystemCall.count(
      clinux_readlinkat(directory, path, path.count, buffer.baseAddress, buffer.count), "read link",
      path)
    return [UInt8](buffer[..<n])
  }

  public func makeNode(
    at directory: Int32, _ path: [UInt8], kind: FileKind, mode: UInt16, device: DeviceNumber
  ) throws(SystemError) {
    try SystemCall.check(
      clinux_mknodat(
        directory, path, path.count, kind.modeBits | UInt32(mode), device.major, device.minor),
      "make node", path)
  }
}
