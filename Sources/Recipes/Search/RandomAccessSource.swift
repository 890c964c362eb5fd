// A file that may become a recipe: bytes at any offset, as often as needed.

import Archive
import Codec
import Platform
import Store

/// The error for a file that another program changed while it was read.
public typealias FileChangedError = Failure<FileChanges>

/// Changes of files while they are read, for the errors about them.
public enum FileChanges: FailureDomain {
  public static let usualCode = ErrorCode.imageChanged
}

/// The bytes of a file, of a part of it, or of a blob. Any thread may read it.
public struct RandomAccessSource: Sendable {
  /// The number of bytes.
  public let sizeBytes: UInt64
  private let fill: @Sendable (_ offset: UInt64, UnsafeMutableRawBufferPointer) throws -> Int

  /// Creates a source.
  /// - Parameter fill: reads at an offset and returns the number of bytes.
  private init(
    sizeBytes: UInt64,
    _ fill: @escaping @Sendable (_ offset: UInt64, UnsafeMutableRawBufferPointer) throws -> Int
  ) {
    self.sizeBytes = sizeBytes
    self.fill = fill
  }

  /// Returns a source for the first `sizeBytes` bytes of an open file.
  public static func file(
    _ fileSystem: any FileSystem, _ file: Descriptor, sizeBytes: UInt64
  ) -> RandomAccessSource {
    RandomAccessSource(sizeBytes: sizeBytes) { offset, target in
      try fileSystem.readFully(file.raw, at: offset, into: target)
    }
  }

  /// Returns a source for a blob of the store.
  public static func blob(_ store: ObjectStore, _ id: Digest, sizeBytes: UInt64)
    -> RandomAccessSource
  {
    RandomAccessSource(sizeBytes: sizeBytes) { offset, target in
      try store.fill(target, from: id, sizeBytes: sizeBytes, at: offset)
      return target.count
    }
  }

  /// Returns a source for a part of this source.
  public func slice(from start: UInt64, sizeBytes: UInt64) -> RandomAccessSource {
    RandomAccessSource(sizeBytes: sizeBytes) { [fill] offset, target in
      try fill(start + offset, target)
    }
  }

  /// Fills `target` from `offset`, up to the end of the source.
  /// - Returns: the number of bytes.
  public func read(at offset: UInt64, into target: UnsafeMutableRawBufferPointer) throws -> Int {
    guard offset < sizeBytes else { return 0 }
    let count = min(target.count, Int(clamping: sizeBytes - offset))
    let limited = UnsafeMutableRawBufferPointer(rebasing: target[..<count])
    guard try fill(offset, limited) == count else {
      throw FileChangedError("the file", "became shorter while it was read")
    }
    return count
  }

  /// Returns the bytes of a range, which must be within the source.
  public func bytes(_ range: Range<UInt64>) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: range.count)
    let n = try bytes.withUnsafeMutableBytes { try read(at: range.lowerBound, into: $0) }
    bytes.removeSubrange(n...)
    return bytes
  }

  /// Returns a stream of the bytes from an offset to the end.
  public func stream(from start: UInt64) -> ByteSource {
    var offset = start
    return { target in
      let n = try read(at: offset, into: target)
      offset += UInt64(n)
      return n
    }
  }
}
