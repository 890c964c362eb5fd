// The file that a boot file is rendered to. A client may be served from it while it grows.
//
// 1. Bytes below `writtenBytes` are final, and are reported in order.
// 2. The SHA-256 is that of the bytes in the file.

import Codec
import Platform

/// A boot file that is being rendered.
public final class BootFileOutput: RenderingTarget {
  /// When the SHA-256 of a file is computed.
  public enum Hashing: Sendable {
    /// While the file is written: the checksum is there when its last byte is reported.
    case whileWriting
    /// When `digest` is first called: clients do not wait for the checksum.
    case onDemand
  }

  /// The number of bytes in order from the beginning.
  public private(set) var writtenBytes: UInt64 = 0
  private static let blockBytes = 1 << 20
  private let file: Descriptor
  private let fileSystem: any FileSystem
  private let report: (UInt64) throws -> Void
  /// The checksum of the first `writtenBytes` bytes; nil if they were not hashed.
  private var hash: SHA256?
  private var knownDigest: Digest?
  private var isStream = true

  /// Creates an output.
  /// - Parameters:
  ///   - file: an empty file, open for reading and writing.
  ///   - report: receives `writtenBytes` after each write. An error that it throws ends the rendering.
  public init(
    _ file: Descriptor, on fileSystem: any FileSystem, hashing: Hashing = .whileWriting,
    report: @escaping (UInt64) throws -> Void
  ) {
    self.file = file
    self.fileSystem = fileSystem
    self.report = report
    hash = hashing == .whileWriting ? SHA256() : nil
  }

  /// Returns the SHA-256 of the file, which must be complete. If it was not computed while the file was
  /// written, the file is read.
  /// - Parameter check: called between blocks. An error that it throws ends the reading.
  /// - Throws: `SystemError`; the errors of `check`; `ImageError` (`damaged`) if the file lost bytes.
  public func digest(check: () throws -> Void = {}) throws -> Digest {
    if let knownDigest { return knownDigest }
    let digest = try hash?.finish() ?? digestOfFile(check)
    knownDigest = digest
    return digest
  }

  private func digestOfFile(_ check: () throws -> Void) throws -> Digest {
    var hash = SHA256()
    let end = try read(from: 0) {
      hash.update($0)
      try check()
    }
    guard end == writtenBytes else {
      throw ImageError(
        .damaged, "a rendered file", "has \(end) bytes, of \(writtenBytes) that were written")
    }
    return hash.finish()
  }

  func write(_ bytes: UnsafeRawBufferPointer) throws {
    guard !bytes.isEmpty else { return }
    try fileSystem.write(file.raw, bytes)
    hash?.update(bytes)
    writtenBytes += UInt64(bytes.count)
    try report(writtenBytes)
  }

  func fill<R>(_ body: (Descriptor, any FileSystem) throws -> R) throws -> R {
    isStream = false
    return try body(file, fileSystem)
  }

  func publish() throws {
    guard !isStream else { return }
    if hash != nil {
      writtenBytes = try read(from: writtenBytes) { hash?.update($0) }
    } else {
      writtenBytes = try fileSystem.stat(file.raw).size
    }
    try report(writtenBytes)
  }

  /// Reads the file from an offset to its end, in blocks.
  /// - Returns: the offset of the end.
  private func read(
    from start: UInt64, _ use: (UnsafeRawBufferPointer) throws -> Void
  ) throws -> UInt64 {
    var buffer = [UInt8](repeating: 0, count: BootFileOutput.blockBytes)
    var offset = start
    while true {
      let count = try buffer.withUnsafeMutableBytes {
        try fileSystem.readFully(file.raw, at: offset, into: $0)
      }
      if count == 0 { return offset }
      try buffer.withUnsafeBytes { try use(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
      offset += UInt64(count)
    }
  }
}
