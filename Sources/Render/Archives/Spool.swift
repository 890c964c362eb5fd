// A temporary file for bytes whose size must be known before they are written: a compressed tree
// inside a tar. The file has no name and disappears with its descriptor.

import Archive
import Codec
import Platform
import Store

/// A rendered member, stored temporarily before it is written to an archive.
public final class Spool: Sendable {
  private let fileSystem: any FileSystem
  private let file: Descriptor
  /// The number of bytes.
  public let sizeBytes: UInt64
  /// The SHA-256 of the bytes.
  public let digest: Digest

  /// Renders into a temporary file of the store.
  /// - Parameter render: writes the bytes to the given sink.
  /// - Throws: `SystemError`; the errors of `render`.
  public init(_ store: ObjectStore, _ render: (@escaping ByteSink) throws -> Void) throws {
    let fileSystem = store.layout.fileSystem
    let file = try store.openNamelessFile()
    let state = Monitor((count: UInt64(0), hash: RunningHash()))
    try render { bytes in
      try fileSystem.write(file.raw, bytes)
      state.withLock { state in
        state.count += UInt64(bytes.count)
        state.hash.update(bytes)
      }
    }
    self.fileSystem = fileSystem
    self.file = file
    (sizeBytes, digest) = state.withLock { ($0.count, $0.hash.finish()) }
  }

  /// Adopts a file that was already written, from its beginning to its end.
  /// - Throws: `SystemError`.
  public init(_ fileSystem: any FileSystem, _ file: Descriptor) throws {
    self.fileSystem = fileSystem
    self.file = file
    var hash = SHA256()
    var count: UInt64 = 0
    var buffer = [UInt8](repeating: 0, count: 1 << 20)
    while true {
      let n = try buffer.withUnsafeMutableBytes {
        try fileSystem.readFully(file.raw, at: count, into: $0)
      }
      if n == 0 { break }
      buffer.withUnsafeBytes { hash.update(UnsafeRawBufferPointer(rebasing: $0[..<n])) }
      count += UInt64(n)
    }
    sizeBytes = count
    digest = hash.finish()
  }

  /// Returns the bytes as a pull stream, from the beginning.
  public func source() -> ByteSource {
    var offset: UInt64 = 0
    return { [self] target in
      let n = try fileSystem.readFully(file.raw, at: offset, into: target)
      offset += UInt64(n)
      return n
    }
  }

  /// Fills `target` with the bytes from `offset`. Any thread may call it.
  /// - Throws: `StoreError` (`damaged`) if the file is shorter; `SystemError`.
  public func fill(_ target: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    guard try fileSystem.readFully(file.raw, at: offset, into: target) == target.count else {
      throw StoreError(.damaged, "a temporary file in the store", "is shorter than it was")
    }
  }

  /// Calls `body` with a range of the bytes, in parts of at most 256 KiB. Any thread may call it.
  func read(_ range: Range<UInt64>, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 4096)
    defer { buffer.deallocate() }
    var offset = range.lowerBound
    while offset < range.upperBound {
      let size = Int(min(range.upperBound - offset, UInt64(buffer.count)))
      let n = try fileSystem.read(
        file.raw, at: offset, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<size]))
      guard n > 0 else {
        throw StoreError(.damaged, "a temporary file in the store", "is shorter than it was")
      }
      try body(UnsafeRawBufferPointer(rebasing: buffer[..<n]))
      offset += UInt64(n)
    }
  }
}

private final class RunningHash {
  private var hash = SHA256()
  func update(_ bytes: UnsafeRawBufferPointer) { hash.update(bytes) }
  func finish() -> Digest { hash.finish() }
}
