// The file that a boot file is rendered to. A client may be served from it while it grows.
//
// 1. Bytes below `writtenBytes` are final, and are reported in order.
// 2. The SHA-256 is that of the bytes in the file.

import Codec
import Platform

/// A boot file that is being rendered.
public final class BootFileOutput: RenderingTarget {
  /// The SHA-256 of the complete file; nil before its end.
  public private(set) var digest: Digest?
  /// The number of bytes in order from the beginning.
  public private(set) var writtenBytes: UInt64 = 0
  private let file: Descriptor
  private let fileSystem: any FileSystem
  private let report: (UInt64) throws -> Void
  private var hash = SHA256()
  private var isStream = true

  /// Creates an output.
  /// - Parameters:
  ///   - file: an empty file, open for reading and writing.
  ///   - report: receives `writtenBytes` after each write. An error that it throws ends the rendering.
  public init(
    _ file: Descriptor, on fileSystem: any FileSystem, report: @escaping (UInt64) throws -> Void
  ) {
    self.file = file
    self.fileSystem = fileSystem
    self.report = report
  }

  func write(_ bytes: UnsafeRawBufferPointer) throws {
    guard !bytes.isEmpty else { return }
    try fileSystem.write(file.raw, bytes)
    hash.update(bytes)
    writtenBytes += UInt64(bytes.count)
    try report(writtenBytes)
  }

  func fill<R>(_ body: (Descriptor, any FileSystem) throws -> R) throws -> R {
    isStream = false
    return try body(file, fileSystem)
  }

  func publish() throws {
    if !isStream {
      var buffer = [UInt8](repeating: 0, count: 1 << 20)
      while true {
        let n = try buffer.withUnsafeMutableBytes {
          try fileSystem.readFully(file.raw, at: writtenBytes, into: $0)
        }
        if n == 0 { break }
        buffer.withUnsafeBytes { hash.update(UnsafeRawBufferPointer(rebasing: $0[..<n])) }
        writtenBytes += UInt64(n)
      }
      try report(writtenBytes)
    }
    digest = hash.finish()
  }
}
