// The attributes of an entry, in types that cannot hold invalid values.

import Glibc

/// Seconds and nanoseconds since 1970-01-01 00:00 UTC; seconds may be negative.
public struct Timestamp: Hashable, Comparable, Sendable {
  public let seconds: Int64
  /// 0 ..< 1_000_000_000.
  public let nanoseconds: UInt32

  /// Creates a time.
  public init(seconds: Int64, nanoseconds: UInt32) {
    self.seconds = seconds
    self.nanoseconds = nanoseconds
  }

  /// Creates a time from one count of nanoseconds (years 1678 to 2262).
  public init(nanoseconds total: Int64) {
    let (quotient, remainder) = total.quotientAndRemainder(dividingBy: 1_000_000_000)
    self.seconds = remainder < 0 ? quotient - 1 : quotient
    self.nanoseconds = UInt32(remainder < 0 ? remainder + 1_000_000_000 : remainder)
  }

  public static func < (a: Timestamp, b: Timestamp) -> Bool {
    a.seconds != b.seconds ? a.seconds < b.seconds : a.nanoseconds < b.nanoseconds
  }
}

/// The seven kinds of entries that Linux file systems hold. The raw values are those of `docs/format.md`.
public enum FileKind: UInt8, Sendable, CaseIterable {
  case file = 1
  case directory = 2
  case symlink = 3
  case characterDevice = 4
  case blockDevice = 5
  case fifo = 6
  case socket = 7

  /// Creates a kind from the type bits of `st_mode`; nil for unknown bits.
  public init?(modeBits: UInt32) {
    switch modeBits & 0o170000 {
    case 0o100000: self = .file
    case 0o040000: self = .directory
    case 0o120000: self = .symlink
    case 0o020000: self = .characterDevice
    case 0o060000: self = .blockDevice
    case 0o010000: self = .fifo
    case 0o140000: self = .socket
    default: return nil
    }
  }

  /// The type bits of `st_mode`.
  public var modeBits: UInt32 {
    switch self {
    case .file: 0o100000
    case .directory: 0o040000
    case .symlink: 0o120000
    case .characterDevice: 0o020000
    case .blockDevice: 0o060000
    case .fifo: 0o010000
    case .socket: 0o140000
    }
  }

  /// Whether the entry is a device node.
  public var isDevice: Bool { self == .characterDevice || self == .blockDevice }

  /// The kind for people: "file", "directory" …
  public var noun: String {
    switch self {
    case .file: "file"
    case .directory: "directory"
    case .symlink: "symbolic link"
    case .characterDevice: "character device"
    case .blockDevice: "block device"
    case .fifo: "fifo"
    case .socket: "socket"
    }
  }
}

/// The major and minor number of a device node.
public struct DeviceNumber: Hashable, Sendable {
  public let major: UInt32
  public let minor: UInt32
  /// Creates a number.
  public init(major: UInt32, minor: UInt32) {
    self.major = major
    self.minor = minor
  }
  /// 0:0, for entries that are not devices.
  public static let none = DeviceNumber(major: 0, minor: 0)
}

/// Inode flags that `chattr` sets and that a snapshot keeps. The raw values are those of
/// `docs/format.md`, "Trees".
public struct InodeFlags: OptionSet, Hashable, Sendable {
  public let rawValue: UInt8
  /// Creates a set of flags from its bits.
  public init(rawValue: UInt8) { self.rawValue = rawValue }
  /// `chattr +i`: neither the file nor its names can be changed.
  public static let immutable = InodeFlags(rawValue: 1)
  /// `chattr +a`: the file can only grow; its names cannot be removed.
  public static let appendOnly = InodeFlags(rawValue: 2)
  /// `chattr +d`: `dump` leaves the file out.
  public static let noDump = InodeFlags(rawValue: 4)
  /// `chattr +C`: the file is overwritten in place (btrfs). `statx` does not report it.
  public static let noCopyOnWrite = InodeFlags(rawValue: 8)

  /// Every flag that a snapshot keeps.
  public static let all: InodeFlags = [.immutable, .appendOnly, .noDump, .noCopyOnWrite]
  /// The flags that prevent an entry from being replaced or removed.
  public static let protecting: InodeFlags = [.immutable, .appendOnly]

  /// The letters of `lsattr`, in its order: "ia" …
  public var letters: String {
    let letters: [(InodeFlags, String)] = [
      (.immutable, "i"), (.appendOnly, "a"), (.noDump, "d"), (.noCopyOnWrite, "C"),
    ]
    return letters.filter { contains($0.0) }.map(\.1).joined()
  }
}

/// The attributes of an entry, from `statx`.
public struct FileStat: Sendable, Equatable {
  public var device: UInt64
  public var inode: UInt64
  public var kind: FileKind
  /// The twelve permission bits: setuid, setgid, sticky, rwx.
  public var mode: UInt16
  public var uid: UInt32
  public var gid: UInt32
  public var size: UInt64
  public var links: UInt32
  /// The number of a device node.
  public var node: DeviceNumber
  public var modified: Timestamp
  public var changed: Timestamp
  /// Whether something is mounted on this entry.
  public var isMountRoot: Bool
  /// The mount that the entry belongs to; nil if the kernel does not report it (before Linux 5.8).
  public var mountID: UInt64?
  /// The flags that `statx` reports: all except `noCopyOnWrite`.
  public var flags: InodeFlags
  /// Whether `flags` are those of the inode. False on kernels without `statx` and on file systems that
  /// do not report flags through it.
  public var reportsFlags: Bool

  /// Creates attributes.
  public init(
    device: UInt64 = 0, inode: UInt64 = 0, kind: FileKind, mode: UInt16, uid: UInt32, gid: UInt32,
    size: UInt64 = 0, links: UInt32 = 1, node: DeviceNumber = .none, modified: Timestamp,
    changed: Timestamp = Timestamp(seconds: 0, nanoseconds: 0), isMountRoot: Bool = false,
    mountID: UInt64? = nil, flags: InodeFlags = [], reportsFlags: Bool = true
  ) {
    self.device = device
    self.inode = inode
    self.kind = kind
    self.mode = mode
    self.uid = uid
    self.gid = gid
    self.size = size
    self.links = links
    self.node = node
    self.modified = modified
    self.changed = changed
    self.isMountRoot = isMountRoot
    self.mountID = mountID
    self.flags = flags
    self.reportsFlags = reportsFlags
  }
}

extension FileStat {
  /// Whether users other than root and the owner may write, by the mode for the group or for others.
  /// (Entries of access lists show in the group's bits.) Group 0 is root's own.
  public var isWritableByOthers: Bool { mode & 0o002 != 0 || (mode & 0o020 != 0 && gid != 0) }
}

/// Returns whether a user is as trusted as this process: root, or its own user.
public func isTrustedOwner(_ uid: UInt32) -> Bool { uid == 0 || uid == geteuid() }
