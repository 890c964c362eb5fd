// A member of a cpio archive in the form "newc" (magic 070701) or "crc" (070702): cpio(5) of
// libarchive, and the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.

/// The kind of a member.
public enum CpioKind: Sendable, Equatable {
  case file
  case directory
  case symlink(target: [UInt8])
  case characterDevice(major: UInt32, minor: UInt32)
  case blockDevice(major: UInt32, minor: UInt32)
  case fifo
  case socket
}

/// The inode that a member is a name of.
public struct CpioInode: Sendable, Hashable {
  public var deviceMajor: UInt32
  public var deviceMinor: UInt32
  public var number: UInt32
  /// Creates an inode.
  public init(deviceMajor: UInt32 = 0, deviceMinor: UInt32 = 0, number: UInt32) {
    self.deviceMajor = deviceMajor
    self.deviceMinor = deviceMinor
    self.number = number
  }
}

/// A member's header. Its numbers have the width of the form's fields: 32 bits.
///
/// Members with one inode and more than one link are hard links. The content is stored with the last of them
/// (GNU cpio, bsdcpio, busybox, the kernel's gen_init_cpio) or with each (pax); the others have no bytes.
public struct CpioMember: Sendable, Equatable {
  public var path: [UInt8]
  public var kind: CpioKind
  /// The twelve permission bits.
  public var mode: UInt16
  public var uid: UInt32
  public var gid: UInt32
  public var inode: CpioInode
  public var links: UInt32
  /// Seconds since 1970-01-01 00:00 UTC.
  public var modifiedSeconds: UInt32
  /// The number of content bytes that follow; 0 for all but files. An archive cannot hold over 4 GiB.
  public var sizeBytes: UInt64

  /// Creates a header.
  public init(
    path: [UInt8], kind: CpioKind, mode: UInt16, uid: UInt32 = 0, gid: UInt32 = 0,
    inode: CpioInode, links: UInt32 = 1, modifiedSeconds: UInt32 = 0, sizeBytes: UInt64 = 0
  ) {
    self.path = path
    self.kind = kind
    self.mode = mode
    self.uid = uid
    self.gid = gid
    self.inode = inode
    self.links = links
    self.modifiedSeconds = modifiedSeconds
    self.sizeBytes = sizeBytes
  }
}

/// Limits and marks of the form.
public enum CpioFormat {
  /// The longest name that kernels accept (PATH_MAX includes the NUL).
  public static let maxNameBytes = 4095
  /// The maximum of the size field.
  public static let maxFileBytes = UInt64(UInt32.max)
  static let endMark = Array("TRAILER!!!".utf8)
}

/// The fields of a header: a magic and thirteen numbers of eight hexadecimal digits.
struct CpioHeader {
  static let size = 110
  static let plain = Array("070701".utf8)
  static let summed = Array("070702".utf8)

  var inode: UInt32 = 0
  var mode: UInt32 = 0
  var uid: UInt32 = 0
  var gid: UInt32 = 0
  var links: UInt32 = 0
  var modified: UInt32 = 0
  var contentBytes: UInt32 = 0
  var deviceMajor: UInt32 = 0
  var deviceMinor: UInt32 = 0
  var nodeMajor: UInt32 = 0
  var nodeMinor: UInt32 = 0
  /// The length of the name with its NUL.
  var nameBytes: UInt32 = 0
  /// The sum of all content bytes; 0 in "newc".
  var sum: UInt32 = 0

  init() {}

  /// Parses a header of the right length; nil if a field has a character that is not a hexadecimal digit.
  init?(_ bytes: [UInt8]) {
    var numbers: [UInt32] = []
    for start in stride(from: 6, to: CpioHeader.size, by: 8) {
      var value: UInt32 = 0
      for byte in bytes[start..<start + 8] {
        guard let digit = CpioHeader.digit(byte) else { return nil }
        value = value << 4 | digit
      }
      numbers.append(value)
    }
    inode = numbers[0]
    mode = numbers[1]
    uid = numbers[2]
    gid = numbers[3]
    links = numbers[4]
    modified = numbers[5]
    contentBytes = numbers[6]
    deviceMajor = numbers[7]
    deviceMinor = numbers[8]
    nodeMajor = numbers[9]
    nodeMinor = numbers[10]
    nameBytes = numbers[11]
    sum = numbers[12]
  }

  /// The header as "newc".
  var bytes: [UInt8] {
    var bytes = CpioHeader.plain
    for number in [
      inode, mode, uid, gid, links, modified, contentBytes, deviceMajor, deviceMinor, nodeMajor,
      nodeMinor, nameBytes, sum,
    ] {
      for shift in stride(from: UInt32(28), through: 0, by: -4) {
        let digit = UInt8(number >> shift & 15)
        bytes.append(digit < 10 ? 0x30 + digit : 0x41 + digit - 10)
      }
    }
    return bytes
  }

  private static func digit(_ byte: UInt8) -> UInt32? {
    switch byte {
    case 0x30...0x39: UInt32(byte - 0x30)
    case 0x41...0x46: UInt32(byte - 0x41 + 10)
    case 0x61...0x66: UInt32(byte - 0x61 + 10)
    default: nil
    }
  }
}
