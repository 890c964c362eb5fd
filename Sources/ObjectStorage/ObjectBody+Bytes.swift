// The bytes of an object that is to be written.

import Codec
import Platform

extension ObjectBody {
  /// The number of bytes.
  public var sizeBytes: UInt64 {
    switch self {
    case .bytes(let bytes): UInt64(bytes.count)
    case .file(_, let sizeBytes, _): sizeBytes
    }
  }

  /// Calls `body` with the bytes in order, in parts of at most 1 MiB.
  /// - Throws: `system` if the file cannot be read; `damaged` if it is shorter; errors of `body`.
  func forEachPart(
    _ fileSystem: any FileSystem = KernelFileSystem.shared,
    _ body: (UnsafeRawBufferPointer) throws(StorageError) -> Void
  ) throws(StorageError) {
    switch self {
    case .bytes(let bytes):
      try bytes.withUnsafeBytes { (bytes) throws(StorageError) in try body(bytes) }
    case .file(let descriptor, let sizeBytes, _):
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
      defer { buffer.deallocate() }
      var offset: UInt64 = 0
      while offset < sizeBytes {
        let count = Int(min(UInt64(buffer.count), sizeBytes - offset))
        let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
        let readBytes: Int
        do throws(SystemError) {
          readBytes = try fileSystem.readFully(descriptor, at: offset, into: part)
        } catch {
          throw StorageError(.system(error), "a file to upload", error.message)
        }
        guard readBytes == count else {
          throw StorageError(.damaged, "a file to upload", "became shorter while it was read")
        }
        try body(UnsafeRawBufferPointer(part))
        offset += UInt64(count)
      }
    }
  }

  /// Returns all bytes.
  func read() throws(StorageError) -> [UInt8] {
    if case .bytes(let bytes) = self { return bytes }
    var result: [UInt8] = []
    result.reserveCapacity(Int(clamping: sizeBytes))
    try forEachPart { (part) throws(StorageError) in result += part }
    return result
  }
}
