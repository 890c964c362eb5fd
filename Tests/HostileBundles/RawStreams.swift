// Compressed streams whose fields can lie: zstd frames written by hand (RFC 8878), xz streams by
// liblzma with a header that is then changed (.xz file format 1.2.1, section 3.1).

import CLzma
import Codec

/// zstd frames.
public enum RawZstd {
  /// A frame of blocks that are kept as they are.
  public static func stored(_ data: [UInt8], windowLog: Int = 17) -> [UInt8] {
    var out = begin(windowLog: windowLog)
    var rest = data[...]
    repeat {
      let part = rest.prefix(100_000)
      rest = rest.dropFirst(part.count)
      out += block(isLast: rest.isEmpty, type: 0, size: part.count) + part
    } while !rest.isEmpty
    return out
  }

  /// A frame that decodes to so many zeros: four bytes for each 128 KiB.
  public static func zeros(_ count: Int, windowLog: Int = 17) -> [UInt8] {
    var out = begin(windowLog: windowLog)
    var left = count
    repeat {
      let size = min(left, 128 << 10)
      left -= size
      out += block(isLast: left == 0, type: 1, size: size) + [0]
    } while left > 0
    return out
  }

  /// - Parameter windowLog: the window that the frame requires, as a power of two.
  static func begin(windowLog: Int) -> [UInt8] {
    [0x28, 0xb5, 0x2f, 0xfd, 0, UInt8((windowLog - 10) << 3)]
  }

  private static func block(isLast: Bool, type: Int, size: Int) -> [UInt8] {
    let word = (isLast ? 1 : 0) | type << 1 | size << 3
    return [UInt8(word & 0xff), UInt8(word >> 8 & 0xff), UInt8(word >> 16 & 0xff)]
  }
}

/// xz streams.
public enum RawXz {
  public static func stream(_ data: [UInt8]) -> [UInt8] {
    var out = [UInt8](repeating: 0, count: lzma_stream_buffer_bound(data.count))
    var size = 0
    let result = data.withUnsafeBufferPointer { source in
      out.withUnsafeMutableBufferPointer { target in
        lzma_easy_buffer_encode(
          0, LZMA_CHECK_CRC32, nil, source.baseAddress, source.count, target.baseAddress, &size,
          target.count)
      }
    }
    precondition(result == LZMA_OK, "liblzma failed: \(result.rawValue)")
    return Array(out[..<size])
  }

  /// The same, with a block that declares a dictionary of nearly 4 GiB.
  public static func giantDictionary(_ data: [UInt8]) -> [UInt8] {
    var out = stream(data)
    let header = 12..<12 + (Int(out[12]) + 1) * 4
    for i in header where i + 2 < header.upperBound && out[i] == 0x21 && out[i + 1] == 1 {
      out[i + 2] = 40
      break
    }
    let sum = CRC32.of(Array(out[header.lowerBound..<header.upperBound - 4]))
    for i in 0..<4 { out[header.upperBound - 4 + i] = UInt8(sum >> (8 * UInt32(i)) & 0xff) }
    return out
  }
}
