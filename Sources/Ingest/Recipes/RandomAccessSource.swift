// A file that may become a recipe: bytes at any place, as often as they are asked for.

import Archive
import Codec
import Platform
import Store

/// Bytes of a file, of a stretch of it, or of a blob. Any thread may read it.
public struct RandomAccessSource: Sendable {
  public let sizeBytes: UInt64
  private let fill: @Sendable (_ offset: UInt64, UnsafeMutableRawBufferPointer) throws -> Int

  /// - Parameter fill: reads at an offset and says how far.
  private init(
    sizeBytes: UInt64,
    _ fill: @escaping @Sendable (_ offset: UInt64, UnsafeMutableRawBufferPointer) throws -> Int
  ) {
    self.sizeBytes = sizeBytes
    self.fill = fill
  }

  /// An open file, of which the first `sizeBytes` count.
  public static func file(
    _ fileSystem: any FileSystem, _ file: Descriptor, sizeBytes: UInt64
  ) -> RandomAccessSource {
    RandomAccessSource(sizeBytes: sizeBytes) { offset, target in
      try fileSystem.readFully(file.raw, at: offset, into: target)
    }
  }

  /// A blob of the store.
  public static func blob(_ store: ObjectStore, _ id: Digest, sizeBytes: UInt64)
    -> RandomAccessSource
  {
    RandomAccessSource(sizeBytes: sizeBytes) { offset, target in
      try store.fill(target, from: id, sizeBytes: sizeBytes, at: offset)
      return target.count
    }
  }

  /// A stretch of this source.
  func slice(from start: UInt64, sizeBytes: UInt64) -> RandomAccessSource {
    RandomAccessSource(sizeBytes: sizeBytes) { [fill] offset, target in
      try fill(start + offset, target)
    }
  }

  /// Fills `target` from `offset` on, as far as the source goes.
  /// - Returns: how many bytes.
  func read(at offset: UInt64, into target: UnsafeMutableRawBufferPointer) throws -> Int {
    guard offset < sizeBytes else { return 0 }
    let count = min(target.count, Int(clamping: sizeBytes - offset))
    let room = UnsafeMutableRawBufferPointer(rebasing: target[..<count])
    guard try fill(offset, room) == count else {
      throw BundleError("the file", "became shorter while it was read")
    }
    return count
  }

  /// The bytes of a range, which must be there.
  func bytes(_ range: Range<UInt64>) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: range.count)
    let n = try bytes.withUnsafeMutableBytes { try read(at: range.lowerBound, into: $0) }
    bytes.removeSubrange(n...)
    return bytes
  }

  /// The bytes from an offset on, one after another.
  func stream(from start: UInt64) -> ByteSource {
    var offset = start
    return { target in
      let n = try read(at: offset, into: target)
      offset += UInt64(n)
      return n
    }
  }
}
