// The seam's real implementation: one system call per operation, through CLinux. Related operations
// are in `KernelFileSystem+….swift`.

import CLinux
import Glibc

/// The file system that the kernel shows this process.
public final class KernelFileSystem: FileSystem {
  /// The file system with modes as callers give them.
  public static let shared = KernelFileSystem()
  /// Makes files and directories readable by their group, whatever the umask.
  private static let sharing = KernelFileSystem(sharesWithGroup: true)

  let sharesWithGroup: Bool
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
    if flags.contains(.handle) { bits |= clinux_o_path }
    if flags.contains(.direct) { bits |= clinux_o_direct }
    if flags.contains(.append) { bits |= O_APPEND }
    let file = try SystemCall.value(
      clinux_openat(directory, path, path.count, bits, UInt32(mode)), "open", path)
    let isCreated = flags.contains(.create) || flags.contains(.nameless)
    if sharesWithGroup, isCreated, mode & 0o400 != 0 {
      // Fails for another user's file, whose mode is that user's decision.
      try? setMode(file, mode | 0o040)
    }
    return file
  }

  public func close(_ file: Int32) { _ = clinux_close(file) }

  public func read(
    _ file: Int32, into: UnsafeMutableRawBufferPointer
  ) throws(SystemError) -> Int {
    try SystemCall.count(clinux_read(file, into.baseAddress, into.count), "read", [])
  }

  public func read(
    _ file: Int32, at offset: UInt64, into: UnsafeMutableRawBufferPointer
  ) throws(SystemError) -> Int {
    try SystemCall.count(
      clinux_pread(file, into.baseAddress, into.count, Int64(clamping: offset)), "read", [])
  }

  public func write(_ file: Int32, _ bytes: UnsafeRawBufferPointer) throws(SystemError) {
    var done = 0
    while done < bytes.count {
      done += try SystemCall.count(
        clinux_write(file, bytes.baseAddress.map { $0 + done }, bytes.count - done), "write", [])
    }
  }

  public func write(
    _ file: Int32, at offset: UInt64, _ bytes: UnsafeRawBufferPointer
  ) throws(SystemError) {
    var done = 0
    while done < bytes.count {
      done += try SystemCall.count(
        clinux_pwrite(
          file, bytes.baseAddress.map { $0 + done }, bytes.count - done,
          Int64(clamping: offset + UInt64(done))), "write", [])
    }
  }

  public func sync(_ file: Int32) throws(SystemError) {
    try SystemCall.check(clinux_fsync(file), "sync", [])
  }

  public func syncFileSystem(of file: Int32) throws(SystemError) {
    try SystemCall.check(clinux_syncfs(file), "sync", [])
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
    try SystemCall.check(clinux_ftruncate(file, Int64(clamping: sizeBytes)), "truncate", [])
  }

  public func nextData(_ file: Int32, from offset: UInt64) throws(SystemError) -> UInt64? {
    let r = clinux_seek_data(file, Int64(clamping: offset))
    if r == -Int64(ENXIO) { return nil }
    return UInt64(try SystemCall.count(r, "seek", []))
  }

  public func nextHole(_ file: Int32, from offset: UInt64) throws(SystemError) -> UInt64 {
    UInt64(try SystemCall.count(clinux_seek_hole(file, Int64(clamping: offset)), "seek", []))
  }

  public func lock(_ file: Int32, exclusive: Bool, wait: Bool) throws(SystemError) -> Bool {
    let r = clinux_flock(file, exclusive ? 1 : 0, wait ? 1 : 0)
    if r == -EWOULDBLOCK { return false }
    try SystemCall.check(r, "lock", [])
    return true
  }

  public func lock(
    _ file: Int32, byte: UInt64, exclusive: Bool, wait: Bool
  ) throws(SystemError) -> Bool {
    let r = clinux_lock_byte(file, Int64(clamping: byte), exclusive ? 1 : 0, wait ? 1 : 0)
    if r == -EAGAIN || r == -EACCES { return false }
    try SystemCall.check(r, "lock", [])
    return true
  }

  public func unlock(_ file: Int32) { clinux_unlock(file) }
}

/// The results of system calls: a negative one is an errno value.
enum SystemCall {
  /// Throws if a call failed.
  static func check(_ r: Int32, _ operation: String, _ path: [UInt8]) throws(SystemError) {
    if r < 0 { throw SystemError(code: .init(rawValue: -r), operation, path) }
  }

  /// Returns the result of a call that returns a descriptor or flags.
  static func value(
    _ r: Int32, _ operation: String, _ path: [UInt8]
  ) throws(SystemError) -> Int32 {
    try check(r, operation, path)
    return r
  }

  /// Returns the result of a call that returns a count or an offset.
  static func count(
    _ r: Int64, _ operation: String, _ path: [UInt8]
  ) throws(SystemError) -> Int {
    if r < 0 { throw SystemError(code: .init(rawValue: Int32(-r)), operation, path) }
    return Int(r)
  }
}
