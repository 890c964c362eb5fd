// Constants, superblock and encoding of the squashfs 4.0 format (Linux,
// Documentation/filesystems/squashfs.rst and fs/squashfs/squashfs_fs.h). All values are little-endian.
//
//     superblock | compressor options | data blocks and fragments | inodes | directories
//     | fragment table | export table | owner table | attribute table
//
// Each table except the data is a sequence of metadata blocks of 8 KiB, each preceded by a word
// with its length. The last four tables end with the list of their blocks. The kernel requires this
// order, and that each list ends where the next table starts.

/// Constants of the format.
enum Squashfs {
  static let superblockBytes = 96
  static let metadataBytes = 8192
  static let metadataUncompressed: UInt16 = 0x8000
  static let blockUncompressed: UInt32 = 1 << 24
  static let noFragment = UInt32.max
  static let noXattrs = UInt32.max
  static let noTable = UInt64.max
  static let maxOwners = 65535
  static let maxEntriesPerHeader = 256
  static let paddedTo = 4096

  enum Flag {
    static let noFragments: UInt16 = 0x10
    static let alwaysFragments: UInt16 = 0x20
    static let duplicates: UInt16 = 0x40
    static let exportable: UInt16 = 0x80
    static let noXattrs: UInt16 = 0x200
    static let compressorOptions: UInt16 = 0x400
  }

  /// Types of inodes. The type of an extended inode is that of the basic one plus `extended`.
  enum InodeType {
    static let directory: UInt16 = 1
    static let file: UInt16 = 2
    static let symlink: UInt16 = 3
    static let blockDevice: UInt16 = 4
    static let characterDevice: UInt16 = 5
    static let fifo: UInt16 = 6
    static let socket: UInt16 = 7
    static let extended: UInt16 = 7
  }
}

/// A position in a table of metadata blocks: the start of a block on disk, relative to the table,
/// and the offset in its decompressed bytes.
struct MetadataReference: Hashable, Sendable {
  let block: UInt64
  let offset: UInt16
  var packed: UInt64 { block << 16 | UInt64(offset) }
}

/// The first 96 bytes.
struct SquashfsSuperblock {
  var inodes: UInt32
  var madeSeconds: UInt32
  var blockBytes: Int
  var fragments: UInt32
  var compressor: UInt16
  var flags: UInt16
  var owners: UInt16
  var root: MetadataReference
  var usedBytes: UInt64
  var ownerTable: UInt64
  var xattrTable: UInt64
  var inodeTable: UInt64
  var directoryTable: UInt64
  var fragmentTable: UInt64
  var exportTable: UInt64

  var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.append32(0x7371_7368)  // "hsqs"
    bytes.append32(inodes)
    bytes.append32(madeSeconds)
    bytes.append32(UInt32(blockBytes))
    bytes.append32(fragments)
    bytes.append16(compressor)
    bytes.append16(UInt16(blockBytes.trailingZeroBitCount))
    bytes.append16(flags)
    bytes.append16(owners)
    bytes.append16(4)
    bytes.append16(0)
    bytes.append64(root.packed)
    for offset in [
      usedBytes, ownerTable, xattrTable, inodeTable, directoryTable, fragmentTable, exportTable,
    ] { bytes.append64(offset) }
    return bytes
  }
}

extension SquashfsOptions {
  var compressorNumber: UInt16 {
    switch compression {
    case .gzip: 1
    case .xz: 4
    case .zstd: 6
    }
  }

  /// The options of the compressor if they are not the default. The kernel does not need them;
  /// `unsquashfs -stat` prints them.
  var compressorRecord: [UInt8]? {
    var record: [UInt8] = []
    switch compression {
    case .gzip(let level):
      guard level < 9 else { return nil }
      record.append32(UInt32(level))
      record.append16(15)  // window bits
      record.append16(0)  // strategies
    case .xz: return nil
    case .zstd(let level):
      guard level != 15 else { return nil }
      record.append32(UInt32(level))
    }
    return record
  }
}

extension [UInt8] {
  mutating func append16(_ value: UInt16) {
    Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
  }
  mutating func append32(_ value: UInt32) {
    Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
  }
  mutating func append64(_ value: UInt64) {
    Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
  }
}
