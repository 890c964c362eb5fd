// The file-system seam: every file operation of Store, Ingest, Apply and Images goes through this
// protocol. Platform is the only module that calls the operating system.
//
// Two rules hold for every implementation:
// 1. Paths are bytes, relative to an open directory (`FileSystem.workingDirectory` for absolute ones).
//    No call follows a symbolic link in its last component unless it says so.
// 2. A failure is a `SystemError` with the errno and the path. EINTR is never thrown.
//
// On the real path the seam costs one witness-table call (about 6 ns) before a system call of 300 ns or more.

/// File operations for the store and the modules above it.
public protocol FileSystem: AnyObject, Sendable {
  /// Opens `path` below `directory` (`openat`).
  func open(
    at directory: Int32, _ path: [UInt8], _ flags: OpenFlags, mode: UInt16
  ) throws(SystemError) -> Int32
  /// Closes a file; errors are ignored.
  func close(_ file: Int32)
  /// Reads at the file's position; returns 0 at its end.
  func read(_ file: Int32, into: UnsafeMutableRawBufferPointer) throws(SystemError) -> Int
  /// Reads at `offset`; returns 0 at the end of the file.
  func read(
    _ file: Int32, at offset: UInt64, into: UnsafeMutableRawBufferPointer
  ) throws(SystemError) -> Int
  /// Writes all bytes at the file's position.
  func write(_ file: Int32, _ bytes: UnsafeRawBufferPointer) throws(SystemError)
  /// Writes all bytes at `offset`.
  func write(_ file: Int32, at offset: UInt64, _ bytes: UnsafeRawBufferPointer) throws(SystemError)
  /// Makes the file's data and metadata durable (`fsync`); for a directory, its names.
  func sync(_ file: Int32) throws(SystemError)
  /// Makes everything on the file system of an open file durable (`syncfs`).
  func syncFileSystem(of file: Int32) throws(SystemError)
  /// Enables or disables writes to an open regular file that bypass the page cache (`O_DIRECT`).
  /// Writes must then consist of whole, aligned blocks.
  /// - Returns: false if the file system does not support it.
  func setDirect(_ file: Int32, _ isDirect: Bool) -> Bool
  /// Starts writing dirty pages of the range without waiting. A hint: it never fails.
  func startSync(_ file: Int32, offset: UInt64, count: UInt64)
  /// Writes the range's dirty pages to disk and drops them from memory. A hint: it never fails.
  func writeBack(_ file: Int32, offset: UInt64, count: UInt64)
  /// Sets the size of a file.
  func truncate(_ file: Int32, to sizeBytes: UInt64) throws(SystemError)
  /// Returns the next offset at or after `offset` that holds data; nil if only a hole follows.
  func nextData(_ file: Int32, from offset: UInt64) throws(SystemError) -> UInt64?
  /// Returns the next hole at or after `offset` (the end of the file counts as one).
  func nextHole(_ file: Int32, from offset: UInt64) throws(SystemError) -> UInt64
  /// Returns all names of an open directory except `.` and `..`, in no particular order.
  func names(of directory: Int32) throws(SystemError) -> [[UInt8]]
  /// Returns the kinds of a directory's entries as the directory records them, without names of
  /// unknown kind. For entries that `stat` cannot examine.
  func kinds(of directory: Int32) throws(SystemError) -> [[UInt8]: FileKind]
  /// Returns the type of the file system that an open file is on (`f_type` of statfs(2)); 0 if unknown.
  func fileSystemType(_ file: Int32) -> UInt64
  /// Returns whether an open directory is the root of a read-only btrfs subvolume that is a snapshot
  /// of another one; false if that is unknown.
  func isReadOnlySnapshot(_ directory: Int32) -> Bool
  /// Returns whether an open file lies in a read-only btrfs subvolume; false if that is unknown.
  func isInReadOnlySubvolume(_ file: Int32) -> Bool
  /// Opens a directory again, without the mounts on its entries (open_tree(2)). The result can be used
  /// as the directory of other calls while it is open.
  /// - Returns: nil if the kernel does not let this process look below mounts.
  func uncovered(_ directory: Int32) throws(SystemError) -> Int32?
  /// Returns the attributes of an entry; with an empty path, those of the open file.
  func stat(
    at directory: Int32, _ path: [UInt8], followLink: Bool
  ) throws(SystemError) -> FileStat
  /// Returns the attributes of an open file.
  func stat(_ file: Int32) throws(SystemError) -> FileStat
  /// Renames an entry; with `exclusively`, fails with EEXIST if the new name exists.
  func rename(
    at fromDirectory: Int32, _ from: [UInt8], to toDirectory: Int32, _ to: [UInt8],
    exclusively: Bool
  ) throws(SystemError)
  /// Exchanges two names in one step (RENAME_EXCHANGE): both exist before and after.
  func exchange(
    at directory: Int32, _ name: [UInt8], with otherDirectory: Int32, _ other: [UInt8]
  ) throws(SystemError)
  /// Creates a hard link.
  func link(
    at fromDirectory: Int32, _ from: [UInt8], to toDirectory: Int32, _ to: [UInt8]
  ) throws(SystemError)
  /// Gives a name to an open file, which may have none yet.
  func link(open file: Int32, to directory: Int32, _ name: [UInt8]) throws(SystemError)
  /// Makes an empty open file share the blocks of another (FICLONE).
  func clone(_ from: Int32, into file: Int32) throws(SystemError)
  /// Returns whether files in the directory can share blocks. Leaves no trace; false if that is unknown.
  func canClone(in directory: Int32) -> Bool
  /// Returns the bytes of an open file that no other file shares (FS_IOC_FIEMAP); nil if that is unknown.
  func exclusiveBytes(_ file: Int32) -> UInt64?
  /// Removes an entry; `isDirectory` selects rmdir.
  func remove(at directory: Int32, _ path: [UInt8], isDirectory: Bool) throws(SystemError)
  /// Creates a directory; the umask applies to the mode.
  func makeDirectory(at directory: Int32, _ path: [UInt8], mode: UInt16) throws(SystemError)
  /// Creates a symbolic link.
  func makeSymlink(
    at directory: Int32, _ path: [UInt8], target: [UInt8]
  ) throws(SystemError)
  /// Returns the target of a symbolic link.
  func readLink(at directory: Int32, _ path: [UInt8]) throws(SystemError) -> [UInt8]
  /// Creates a device node, a fifo or a socket.
  func makeNode(
    at directory: Int32, _ path: [UInt8], kind: FileKind, mode: UInt16, device: DeviceNumber
  ) throws(SystemError)
  /// Sets the owner and the group of an entry.
  func setOwner(at directory: Int32, _ path: [UInt8], uid: UInt32, gid: UInt32)
    throws(SystemError)
  /// Sets the owner and the group of an open file.
  func setOwner(_ file: Int32, uid: UInt32, gid: UInt32) throws(SystemError)
  /// Sets the mode of an entry.
  func setMode(at directory: Int32, _ path: [UInt8], _ mode: UInt16) throws(SystemError)
  /// Sets the mode of an open file.
  func setMode(_ file: Int32, _ mode: UInt16) throws(SystemError)
  /// Sets the modification time of an entry; the access time stays.
  func setModified(at directory: Int32, _ path: [UInt8], _ time: Timestamp) throws(SystemError)
  /// Sets the modification time of an open file; the access time stays.
  func setModified(_ file: Int32, _ time: Timestamp) throws(SystemError)
  /// Reads the inode flags of an open file or directory (FS_IOC_GETFLAGS).
  /// - Throws: `SystemError`; ENOTTY or ENOTSUP if the file system has no flags.
  func inodeFlags(_ file: Int32) throws(SystemError) -> InodeFlags
  /// Sets exactly these flags of `InodeFlags.all`; the inode's other flags stay.
  func setInodeFlags(_ file: Int32, _ flags: InodeFlags) throws(SystemError)
  /// Takes a lock that the kernel releases with the process. Returns false if another process holds it
  /// and `wait` is not set.
  func lock(_ file: Int32, exclusive: Bool, wait: Bool) throws(SystemError) -> Bool
  /// Takes a lock on one byte of a file, which need not exist, that the kernel releases with the open
  /// file. Returns false if another process holds it and `wait` is not set.
  func lock(
    _ file: Int32, byte: UInt64, exclusive: Bool, wait: Bool
  ) throws(SystemError) -> Bool
  /// Releases all locks of an open file. Closing it is not enough: a child process has a copy of the
  /// descriptor until it executes its program.
  func unlock(_ file: Int32)
  /// Returns the names of an entry's extended attributes; empty if none are supported. With an empty
  /// path: those of the open file.
  func xattrNames(at directory: Int32, _ path: [UInt8]) throws(SystemError) -> [[UInt8]]
  /// Returns the value of an extended attribute; nil if the entry does not have it.
  func xattr(at directory: Int32, _ path: [UInt8], name: [UInt8]) throws(SystemError) -> [UInt8]?
  /// Sets an extended attribute.
  func setXattr(
    at directory: Int32, _ path: [UInt8], name: [UInt8], value: [UInt8]
  ) throws(SystemError)
  /// Removes an extended attribute.
  func removeXattr(at directory: Int32, _ path: [UInt8], name: [UInt8]) throws(SystemError)
  /// Returns the number of bytes that an unprivileged writer can still store on the file's file system.
  func freeBytes(_ file: Int32) throws(SystemError) -> UInt64
  /// Returns the number of entries that can still be created on the file's file system.
  func freeNodes(_ file: Int32) throws(SystemError) -> UInt64
  /// Returns the properties of the file system that an open file is on (`statfs`).
  func volume(of file: Int32) throws(SystemError) -> Volume
  /// Returns the same file system, with new files and directories readable by their group.
  func sharingWithGroup() -> any FileSystem
}

extension FileSystem {
  /// Returns nil: unknown.
  public func exclusiveBytes(_ file: Int32) -> UInt64? { nil }

  /// Returns the flags of an open file or directory whose `stat` may not report all of them: those of
  /// `statx`, and what it does not report on btrfs and some other file systems.
  /// - Parameter known: whether the file system is btrfs, if the caller knows it.
  public func inodeFlags(
    of file: Int32, _ stat: FileStat, isBtrfs known: Bool? = nil
  ) -> InodeFlags {
    if stat.reportsFlags, !(known ?? isBtrfs(file)) { return stat.flags }
    guard let flags = try? inodeFlags(file) else { return stat.flags }
    return stat.reportsFlags ? stat.flags.union(flags.intersection(.noCopyOnWrite)) : flags
  }

  /// Returns whether an open file or directory is on btrfs.
  public func isBtrfs(_ file: Int32) -> Bool { fileSystemType(file) == Volume.btrfsType }

  /// Returns this file system unchanged.
  public func sharingWithGroup() -> any FileSystem { self }

  /// The directory argument for absolute paths, or for paths below the working directory.
  public static var workingDirectory: Int32 { -100 }
  /// The directory argument for absolute paths, or for paths below the working directory.
  public var workingDirectory: Int32 { -100 }

  /// Opens a file and returns an owner that closes it.
  public func openFile(
    at directory: Int32, _ path: [UInt8], _ flags: OpenFlags, mode: UInt16 = 0o600
  ) throws(SystemError) -> Descriptor {
    Descriptor(owning: try open(at: directory, path, flags, mode: mode), of: self)
  }

  /// Opens a directory without the mounts on its entries; see `uncovered`.
  public func openUncovered(_ directory: Descriptor) throws(SystemError) -> Descriptor? {
    try uncovered(directory.raw).map { Descriptor(owning: $0, of: self) }
  }

  /// Opens a directory for its names and for `at:` calls; never through a symbolic link.
  public func openDirectory(
    at directory: Int32, _ path: [UInt8], followLink: Bool = false
  ) throws(SystemError) -> Descriptor {
    try openFile(at: directory, path, followLink ? [.directory] : [.directory, .noFollow])
  }

  /// Returns the entry's attributes, or nil if it does not exist.
  public func statIfPresent(
    at directory: Int32, _ path: [UInt8], followLink: Bool = false
  ) throws(SystemError) -> FileStat? {
    do {
      return try stat(at: directory, path, followLink: followLink)
    } catch {
      if error.isAbsent { return nil }
      throw error
    }
  }

  /// Writes an array at the file's position.
  public func write(_ file: Int32, _ bytes: [UInt8]) throws(SystemError) {
    try bytes.withUnsafeBytes { (bytes) throws(SystemError) in try write(file, bytes) }
  }

  /// Reads exactly `into.count` bytes at `offset`, or fewer at the end of the file.
  public func readFully(
    _ file: Int32, at offset: UInt64, into: UnsafeMutableRawBufferPointer
  ) throws(SystemError) -> Int {
    var done = 0
    while done < into.count {
      let n = try read(
        file, at: offset + UInt64(done),
        into: UnsafeMutableRawBufferPointer(rebasing: into[done...]))
      if n == 0 { break }
      done += n
    }
    return done
  }

  /// Reads a whole small file.
  /// - Throws: `SystemError`; EFBIG if the file is longer than `limitBytes`.
  public func readSmallFile(
    at directory: Int32, _ path: [UInt8], limitBytes: Int = 1 << 20
  ) throws(SystemError) -> [UInt8] {
    let file = try openFile(at: directory, path, [.read, .nonBlocking])
    let size = try stat(file.raw).size
    guard size <= UInt64(limitBytes) else {
      throw SystemError(code: .tooLarge, "read", path)
    }
    var bytes = [UInt8](repeating: 0, count: Int(size) + 1)
    var done = 0
    while true {
      let n = try bytes.withUnsafeMutableBytes { (bytes) throws(SystemError) in
        try read(file.raw, into: UnsafeMutableRawBufferPointer(rebasing: bytes[done...]))
      }
      if n == 0 { break }
      done += n
      if done == bytes.count {
        guard done <= limitBytes else { throw SystemError(code: .tooLarge, "read", path) }
        bytes.append(contentsOf: repeatElement(0, count: bytes.count))
      }
    }
    bytes.removeSubrange(done...)
    return bytes
  }
}
