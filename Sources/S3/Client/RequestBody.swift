// The body of a request: bytes, or a part of an open file. It can be read several times, for retries.

import Codec
import ObjectStorage
import Platform

/// A range of bytes that is sent.
struct RequestBody: Sendable {
  private enum Source: Sendable {
    case bytes([UInt8])
    case file(descriptor: Int32)
  }

  private let source: Source
  private let offset: UInt64
  let sizeBytes: UInt64
  let sha256: Digest

  static let empty = RequestBody(bytes: [])

  /// Creates a body of bytes.
  init(bytes: [UInt8]) {
    source = .bytes(bytes)
    offset = 0
    sizeBytes = UInt64(bytes.count)
    sha256 = SHA256.digest(of: bytes)
  }

  /// Creates a body of a whole object.
  init(_ body: ObjectBody) {
    switch body {
    case .bytes(let bytes): self.init(bytes: bytes)
    case .file(let descriptor, let sizeBytes, let sha256):
      self.init(
        .file(descriptor: descriptor), offset: 0, sizeBytes: sizeBytes, sha256: sha256)
    }
  }

  private init(_ source: Source, offset: UInt64, sizeBytes: UInt64, sha256: Digest) {
    self.source = source
    self.offset = offset
    self.sizeBytes = sizeBytes
    self.sha256 = sha256
  }

  /// Returns a part of the body, which is read once to hash it.
  /// - Throws: `StorageError`: `system`.
  func part(_ range: Range<UInt64>) throws(StorageError) -> RequestBody {
    var hash = SHA256()
    var buffer = [UInt8](repeating: 0, count: RequestBody.chunkBytes)
    var position = range.lowerBound
    while position < range.upperBound {
      let count = Int(min(UInt64(buffer.count), range.upperBound - position))
      try buffer.withUnsafeMutableBytes { (buffer) throws(StorageError) in
        let chunk = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
        try read(at: position, into: chunk)
        hash.update(UnsafeRawBufferPointer(chunk))
      }
      position += UInt64(count)
    }
    return RequestBody(
      source, offset: offset + range.lowerBound, sizeBytes: UInt64(range.count),
      sha256: hash.finish())
  }

  /// The number of bytes that are read and sent at once: buffers of 256 KiB would be mapped each time.
  static let chunkBytes = 128 << 10

  /// Reads bytes of the body; all of `target` is inside it.
  /// - Throws: `StorageError`: `system`, also if the file is shorter than was said.
  func read(at position: UInt64, into target: UnsafeMutableRawBufferPointer) throws(StorageError) {
    switch source {
    case .bytes(let bytes):
      let start = Int(offset + position)
      bytes.withUnsafeBytes {
        target.copyMemory(from: .init(rebasing: $0[start..<start + target.count]))
      }
    case .file(let descriptor):
      let count: Int
      do throws(SystemError) {
        count = try KernelFileSystem.shared.readFully(
          descriptor, at: offset + position, into: target)
      } catch {
        throw StorageError(.system(error), "the file to upload", error.reason, hint: error.hint)
      }
      guard count == target.count else {
        let error = SystemError(code: .inputOutput, "read", [])
        throw StorageError(
          .system(error), "the file to upload", "it became shorter during the upload")
      }
    }
  }
}
