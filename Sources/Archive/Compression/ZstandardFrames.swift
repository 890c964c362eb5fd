// Writes a zstd stream as independent frames of 1 MiB each (RFC 8878 allows consecutive frames), which
// every zstd decompressor reads as one stream.

import Codec

/// Compresses a stream to zstd.
public final class ZstandardFrames {
  private static let frameBytes = 1 << 20
  private let compressor: ZstdCompressor
  private let sink: ByteSink
  private let input: UnsafeMutableRawBufferPointer
  private let output: UnsafeMutableRawBufferPointer
  private var filled = 0

  /// Creates a writer.
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

  /// Writes bytes.
  public func write(_ bytes: UnsafeRawBufferPointer) throws {
    var rest = bytes
    while !rest.isEmpty {
      let n = min(rest.count, input.count - filled)
      UnsafeMutableRawBufferPointer(rebasing: input[filled..<(filled + n)])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<n]))
      filled += n
      rest = UnsafeRawBufferPointer(rebasing: rest[n...])
      if filled == input.count { try emit() }
    }
  }

  /// Writes the last frame; no write may follow.
  public func finish() throws { if filled > 0 { try emit() } }

  private func emit() throws {
    let n = try compressor.compress(
      UnsafeRawBufferPointer(rebasing: input[..<filled]), into: output)
    filled = 0
    try sink(UnsafeRawBufferPointer(rebasing: output[..<n]))
  }
}
