// A zstd stream as independent frames of 1 MiB each (RFC 8878: frames may follow one another), which
// every zstd decompressor reads as one stream.

import Codec

/// Compresses a stream to zstd.
public final class ZstandardFrames {
  private static let frameBytes = 1 << 20
  private let compressor: ZstdCompressor
  private let sink: ByteSink
  private let input: UnsafeMutableRawBufferPointer
  private let output: UnsafeMutableRawBufferPointer
  private var held = 0

  /// - Parameter level: zstd's, 1 ... 19.
  public init(level: Int32, _ sink: @escaping ByteSink) {
    compressor = ZstdCompressor(level: level)
    self.sink = sink
    input = .allocate(byteCount: ZstandardFrames.frameBytes, alignment: 16)
    output = .allocate(
      byteCount: ZstdCompressor.bound(ZstandardFrames.frameBytes), alignment: 16)
  }

  deinit {
    input.deallocate()
    output.deallocate()
  }

  public func write(_ bytes: UnsafeRawBufferPointer) throws {
    var rest = bytes
    while !rest.isEmpty {
      let n = min(rest.count, input.count - held)
      UnsafeMutableRawBufferPointer(rebasing: input[held..<(held + n)])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<n]))
      held += n
      rest = UnsafeRawBufferPointer(rebasing: rest[n...])
      if held == input.count { try emit() }
    }
  }

  /// Writes what is left; nothing may be written afterwards.
  public func finish() throws { if held > 0 { try emit() } }

  private func emit() throws {
    let n = try compressor.compress(
      UnsafeRawBufferPointer(rebasing: input[..<held]), into: output)
    held = 0
    try sink(UnsafeRawBufferPointer(rebasing: output[..<n]))
  }
}
