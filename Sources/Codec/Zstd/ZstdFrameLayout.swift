// The parts of a zstd frame: header, blocks and checksum (RFC 8878, section 3.1.1). Nothing is decoded.

/// Describes a frame in a file.
public struct ZstdFrameLayout: Sendable, Equatable {
  /// The number of bytes of a header that `init` needs, unless the file is shorter.
  public static let maxHeaderBytes = 18
  /// The magic numbers: of a frame, and of a skippable frame without its lowest four bits.
  public static let magic: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd]

  /// The size of the frame's header.
  public let headerBytes: Int
  /// The window, as a power of two that holds it.
  public let windowLog: UInt8
  /// The size of the content, if the header has it.
  public let contentBytes: UInt64?
  /// The size of the checksum after the blocks: 4 or 0.
  public let checksumBytes: Int

  /// Reads the header of a frame; nil if `bytes` is none, or needs a dictionary.
  public init?(_ bytes: [UInt8]) {
    guard bytes.count >= 6, bytes.starts(with: Self.magic), bytes[4] & 0x0b == 0 else { return nil }
    let flags = bytes[4]
    let isSingle = flags & 0x20 != 0
    checksumBytes = flags & 4 == 0 ? 0 : 4
    let sizeBytes = [isSingle ? 1 : 0, 2, 4, 8][Int(flags >> 6)]
    let sizeOffset = isSingle ? 5 : 6
    headerBytes = sizeOffset + sizeBytes
    guard bytes.count >= headerBytes else { return nil }
    var size: UInt64 = 0
    for index in 0..<sizeBytes { size |= UInt64(bytes[sizeOffset + index]) << UInt64(8 * index) }
    if sizeBytes == 2 { size += 256 }
    contentBytes = sizeBytes == 0 ? nil : size
    let window: UInt64
    if isSingle {
      window = size
    } else {
      let base = UInt64(1) << (10 + UInt64(bytes[5] >> 3))
      window = base + base / 8 * UInt64(bytes[5] & 7)
    }
    windowLog = UInt8(
      clamping: window <= 1 ? 0 : UInt64.bitWidth - (window - 1).leadingZeroBitCount)
  }

  /// Returns the content size of the skippable frame whose first eight bytes are given; nil if it is none.
  public static func skippableBytes(_ bytes: [UInt8]) -> UInt64? {
    guard bytes.count >= 8, bytes[0] & 0xf0 == 0x50, bytes[1...].starts(with: [0x2a, 0x4d, 0x18])
    else { return nil }
    return (0..<4).reduce(UInt64(0)) { $0 | UInt64(bytes[4 + $1]) << UInt64(8 * $1) }
  }

  /// The header of a block: the size of its bytes in the file, without the header.
  public static func block(_ bytes: [UInt8]) -> (sizeBytes: UInt64, isLast: Bool)? {
    guard bytes.count >= 3 else { return nil }
    let header = UInt32(bytes[0]) | UInt32(bytes[1]) << 8 | UInt32(bytes[2]) << 16
    switch header >> 1 & 3 {
    case 0, 2: return (UInt64(header >> 3), header & 1 == 1)
    case 1: return (1, header & 1 == 1)
    default: return nil
    }
  }
}
