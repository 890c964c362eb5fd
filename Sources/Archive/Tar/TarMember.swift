// A member of a tar archive, as POSIX.1-2017 (pax, ustar) and GNU tar describe it.

/// The kind of a member.
public enum TarKind: Sendable, Equatable {
  case file
  case directory
  case symlink(target: [UInt8])
  case hardLink(target: [UInt8])
  case characterDevice(major: UInt32, minor: UInt32)
  case blockDevice(major: UInt32, minor: UInt32)
  case fifo
}

/// A member's header.
public struct TarMember: Sendable, Equatable {
  /// The prefix of a comment with the SHA-256 of the member's content, in hexadecimal digits.
  public static let checksumPrefix = "sha256="

  public var path: [UInt8]
  public var kind: TarKind
  /// The twelve permission bits.
  public var mode: UInt16
  public var uid: UInt32
  public var gid: UInt32
  /// The number of content bytes that follow; 0 for all but files, and for hard links that repeat the
  /// content.
  public var sizeBytes: UInt64
  public var modifiedSeconds: Int64
  public var modifiedNanoseconds: UInt32
  /// The extended attributes, in byte order of their names; on hard links they are the target's.
  public var xattrs: [Xattr]
  /// The pax record "comment", which readers ignore unless they look for it; nil for none.
  public var comment: String?
  /// The access list that the archive has as text. Never written.
  public var accessList: AccessList?
  /// The default list that the archive has as text. Never written.
  public var defaultList: AccessList?
  /// The parts of a sparse file with content; the other bytes are zeros. Never written.
  public var sparse: SparseMap?
  /// The information about the member that this reader drops: keys of pax records, and types of members.
  public var unknown: [String] = []

  /// An extended attribute.
  public struct Xattr: Sendable, Hashable {
    public var name: [UInt8]
    public var value: [UInt8]
    /// Creates an attribute.
    public init(name: [UInt8], value: [UInt8]) {
      self.name = name
      self.value = value
    }
  }

  /// Creates a header.
  public init(
    path: [UInt8], kind: TarKind, mode: UInt16, uid: UInt32 = 0, gid: UInt32 = 0,
    sizeBytes: UInt64 = 0, modifiedSeconds: Int64 = 0, modifiedNanoseconds: UInt32 = 0,
    xattrs: [Xattr] = [], comment: String? = nil
  ) {
    self.path = path
    self.kind = kind
    self.mode = mode
    self.uid = uid
    self.gid = gid
    self.sizeBytes = sizeBytes
    self.modifiedSeconds = modifiedSeconds
    self.modifiedNanoseconds = modifiedNanoseconds
    self.xattrs = xattrs
    self.comment = comment
  }
}

/// The layout of a header block.
enum TarBlock {
  static let size = 512
  static let checksum = 148..<156

  /// Returns the sum of all bytes, with blanks for the checksum field.
  static func sum(_ block: [UInt8]) -> Int {
    var sum = 0
    for (i, byte) in block.enumerated() { sum += checksum.contains(i) ? 0x20 : Int(byte) }
    return sum
  }

  /// Returns the sum of all bytes as signed numbers, as old SunOS tars compute it.
  static func signedSum(_ block: [UInt8]) -> Int {
    var sum = 0
    for (i, byte) in block.enumerated() {
      sum += checksum.contains(i) ? 0x20 : Int(Int8(bitPattern: byte))
    }
    return sum
  }
}
