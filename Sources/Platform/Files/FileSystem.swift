// The file-system seam: every file operation of Store, Ingest and Apply goes through this
// protocol, and Platform is the room that touches the operating system.
//
// Two rules hold for every implementation:
// 1. Paths are bytes, relative to an open directory (`FileSystem.workingDirectory` for absolute
//    ones). No call follows a symbolic link in its last component unless it says so.
// 2. A failure is a `SystemError` that carries the errno and the path; EINTR never comes out.
//
// The cost of the seam on the real path is one witness-table call (about 6 ns) before a system
// call of 300 ns or more.

/// File operations, as the store and its neighbours need them.
public protocol FileSystem: AnyObject, Sendable {
  /// Opens `path` below `directory`. The corresponding C function is `openat`.
  func open(
    at directory: Int32, _ path: [UInt8], _ flags: OpenFlags, mode: UInt16
  ) throws(SystemError) -> Int32
  func close(_ file: Int32)
  /// Reads at the file's position; 0 at its end.
  func read(_ file: Int32, into: UnsafeMutableRawBufferPointer) throws(SystemError) -> Int
  func read(
    _ file: Int32, at offset: UInt64, into: UnsafeMutableRawBufferPointer
  ) throws(SystemError) -> Int
  /// Writes all bytes at the file's position.
  func write(_ file: Int32, _ bytes: UnsafeRawBufferPointer) throws(SystemError)
  func write(_ file: Int32, at offset: UInt64, _ bytes: UnsafeRawBufferPointer) throws(SystemError)
  /// Makes the file's data and metadata durable (`fsync`); for a directory, its names.
  func sync(_ file: Int32) throws(SystemError)
  /// Makes everything on the file system of an open file durable (`syncfs`).
  func syncFileSystem(of file: Int32) throws(SystemError)
  /// Has an open regular file written past the page cache from now on, or no longer (`O_DIRECT`): its
  /// writes must have whole, aligned blocks then.
  /// - Returns: false where the file system knows no such way.
  func setDirect(_ file: Int32, _ isDirect: Bool) -> Bool
  /// Starts writing dirty pages of the range without waiting. A hint: it never fails.
  func startSync(_ file: Int32, offset: UInt64, count: UInt64)
  /// Writes the range's dirty pages to disk and drops them from memory. A hint: it never fails.
  func writeBack(_ file: Int32, offset: UInt64, count: UInt64)
  func truncate(_ file: Int32, to sizeBytes: UInt64) throws(SystemError)
  /// The next offset at or after `offset` that holds data; nil when only a hole follows.
  func nextData(_ file: Int32, from offset: UInt64) throws(SystemError) -> UInt64?
  /// The next hole at or after `offset` (the end of the file counts as one).
  func nextHole(_ file: Int32, from offset: UInt64) throws(SystemError) -> UInt64
  /// All names of an open directory except `.` and `..`, in no particular order.
  func names(of directory: Int32) throws(SystemError) -> [[UInt8]]
  /// What an open directory says of the kinds of its entries; names whose kind it does not say are
  /// not included. For entries that `stat` cannot examine.
  func kinds(of directory: Int32) throws(SystemError) -> [[UInt8]: FileKind]
  /// The type of the file system that an open file is on (`f_type` of statfs(2)); 0 where unknown.
  func fileSystemType(_ file: Int32) -> UInt64
  /// Whether an open directory is the root of a read-only btrfs subvolume that is a snapshot of another
  /// one; false where that cannot be told.
  func isReadOnlySnapshot(_ directory: Int32) -> Bool
  /// Whether an open file lies in a read-only btrfs subvolume; false where that cannot be told.
  func isInReadOnlySubvolume(_ file: Int32) -> Bool
  /// Opens a directory again, as it is below whatever is mounted on its entries (open_tree(2)). It serves
  /// as the directory of other calls, while it is open.
  /// - Returns: nil where the kernel does not let this process look below mounts.
  func uncovered(_ directory: Int32) throws(SystemError) -> Int32?
  func stat(
    at directory: Int32, _ path: [UInt8], followLink: Bool
  ) throws(SystemError) -> FileStat
  func stat(_ file: Int32) throws(SystemError) -> FileStat
  /// Renames; with `exclusively`, fails with EEXIST where the new name is taken.
  func rename(
    at fromDirectory: Int32, _ from: [UInt8], to toDirectory: Int32, _ to: [UInt8],
    exclusively: Bool
  ) throws(SystemError)
  /// Lets two names change places in one step (RENAME_EXCHANGE): both are there before and after.
  func exchange(
    at directory: Int32, _ name: [UInt8], with otherDirectory: Int32, _ other: [UInt8]
  ) throws(SystemError)
  func link(
    at fromDirectory: Int32, _ from: [UInt8], to toDirectory: Int32, _ to: [UInt8]
  ) throws(SystemError)
  /// Gives an open file, which may have no name yet, a name.
  func link(open file: Int32, to directory: Int32, _ name: [UInt8]) throws(SystemError)
  /// Makes an empty open file share the blocks of another (FICLONE).
  func clone(_ from: Int32, into file: Int32) throws(SystemError)
  /// Whether files in the directory can share blocks. Leaves no trace; false where it cannot tell.
  func canClone(in directory: Int32) -> Bool
  func remove(at directory: Int32, _ path: [UInt8], isDirectory: Bool) throws(SystemError)
  func makeDirectory(at directory: Int32, _ path: [UInt8], mode: UInt16) throws(SystemError)
  func makeSymlink(
    at directory: Int32, _ path: [UInt8], target: [UInt8]
  ) throws(SystemError)
  func readLink(at directory: Int32, _ path: [UInt8]) throws(SystemError) -> [UInt8]
  func makeNode(
    at directory: Int32, _ path: [UInt8], kind: FileKind, mode: UInt16, device: DeviceNumber
  ) throws(SystemError)
  func setOwner(at directory: Int32, _ path: [UInt8], uid: UInt32, gid: UInt32)
    throws(SystemError)
  func setOwner(_ file: Int32, uid: UInt32, gid: UInt32) throws(SystemError)
  func setMode(at directory: Int32, _ path: [UInt8], _ mode: UInt16) throws(SystemError)
  /// The same file system, in which files and directories that are made can be read by their group.
  func sharingWithGroup() -> any FileSystem
  func setMode(_ file: Int32, _ mode: UInt16) throws(SystemError)
  func setModified(at directory: Int32, _ path: [UInt8], _ time: Timestamp) throws(SystemError)
  func setModified(_ file: Int32, _ time: Timestamp) throws(SystemError)
  /// Reads the inode flags of an open file or directory (FS_IOC_GETFLAGS).
  /// - Throws: `SystemError`; ENOTTY or ENOTSUP where the file system has none.
  func inodeFlags(_ file: Int32) throws(SystemError) -> InodeFlags
  /// Sets exactly these flags of `InodeFlags.all`; the inode's other flags stay.
  func setInodeFlags(_ file: Int32, _ flags: InodeFlags) throws(SystemError)
  /// Takes a lock that dies with the process. False when another holds it and `wait` is not set.
  func lock(_ file: Int32, exclusive: Bool, wait: Bool) throws(SystemError) -> Bool
  /// Takes a lock on one byte of a file, which need not have it, that dies with the open file. False when
  /// another holds it and `wait` is not set.
  func lock(
    _ file: Int32, byte: UInt64, exclusive: Bool, wait: Bool
  ) throws(SystemError) -> Bool
  /// Names of the extended attributes of an entry itself; empty where none are supported.
  /// With an empty path: of the open file.
  func xattrNames(at directory: Int32, _ path: [UInt8]) throws(SystemError) -> [[UInt8]]
  func xattr(at directory: Int32, _ path: [UInt8], name: [UInt8]) throws(SystemError) -> [UInt8]?
  func setXattr(
    at directory: Int32, _ path: [UInt8], name: [UInt8], value: [UInt8]
  ) throws(SystemError)
  func removeXattr(at directory: Int32, _ path: [UInt8], name: [UInt8]) throws(SystemError)
  /// Bytes that an unprivileged writer can still store on the file's file system.
  func freeBytes(_ file: Int32) throws(SystemError) -> UInt64
  /// Entries that can still be made on the file's file system.
  func freeNodes(_ file: Int32) throws(SystemError) -> UInt64
  /// Returns what the kernel says of the file system that an open file lies on (`statfs`).
  func volume(of file: Int32) throws(SystemError) -> Volume
}

/// How a file is opened; every file is opened close-on-exec.
public struct OpenFlags: OptionSet, Sendable {
  public let rawValue: Int
  public init(rawValue: Int) { self.rawValue = rawValue }
  public static let read = OpenFlags([])
  public static let write = OpenFlags(rawValue: 1)
  public static let readWrite = OpenFlags(rawValue: 2)
  public static let create = OpenFlags(rawValue: 4)
  public static let exclusive = OpenFlags(rawValue: 8)
  public static let truncate = OpenFlags(rawValue: 16)
  public static let directory = OpenFlags(rawValue: 32)
  /// Fails with ELOOP where the last component is a symbolic link.
  public static let noFollow = OpenFlags(rawValue: 64)
  /// Never waits for the other end of a fifo or a device.
  public static let nonBlocking = OpenFlags(rawValue: 128)
  /// A new file without a name, in the directory that the path names (O_TMPFILE): it is gone when it
  /// is closed, whatever happens, unless it was given a name.
  public static let nameless = OpenFlags(rawValue: 256)
  /// Past the page cache: offsets, lengths and memory are multiples of 4096.
  public static let direct = OpenFlags(rawValue: 512)
}

extension FileSystem {
  public func sharingWithGroup() -> any FileSystem { self }

  /// Stands for "absolute paths, or below the working directory".
  public static var workingDirectory: Int32 { -100 }
  /// Stands for "absolute paths, or below the working directory".
  public var workingDirectory: Int32 { -100 }

  /// Opens and wraps the file in an owner that closes it.
  public func openFile(
    at directory: Int32, _ path: [UInt8], _ flags: OpenFlags, mode: UInt16 = 0o600
  ) throws(SystemError) -> Descriptor {
    Descriptor(owning: try open(at: directory, path, flags, mode: mode), of: self)
  }

  /// The same, closed with the last reference.
  public func openUncovered(_ directory: Descriptor) throws(SystemError) -> Descriptor? {
    try uncovered(directory.raw).map { Descriptor(owning: $0, of: self) }
  }

  /// Opens a directory for its names and for `at:` calls; never through a symbolic link.
  public func openDirectory(
    at directory: Int32, _ path: [UInt8], followLink: Bool = false
  ) throws(SystemError) -> Descriptor {
    try openFile(at: directory, path, followLink ? [.directory] : [.directory, .noFollow])
  }

  /// The entry's attributes, or nil where there is none.
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
    var failure: SystemError?
    bytes.withUnsafeBytes { buffer in
      do throws(SystemError) { try write(file, buffer) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  /// Reads exactly `into.count` bytes at `offset`, or fewer where the file ends.
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

  /// The whole of a small file.
  /// - Throws: `SystemError`; EFBIG where the file is longer than `limitBytes`.
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
      var n = 0
      var failure: SystemError?
      bytes.withUnsafeMutableBytes { buffer in
        do throws(SystemError) {
          n = try read(file.raw, into: UnsafeMutableRawBufferPointer(rebasing: buffer[done...]))
        } catch { failure = error }
      }
      if let failure { throw failure }
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

/// Owns an open file and closes it when the last reference goes.
public final class Descriptor: Sendable {
  public let raw: Int32
  private let fileSystem: any FileSystem

  public init(owning raw: Int32, of fileSystem: any FileSystem) {
    self.raw = raw
    self.fileSystem = fileSystem
  }

  deinit { fileSystem.close(raw) }
}
