// The common interface of the decoders of compressed streams. Input and output can be of any size per call.

/// Decodes a compressed stream part by part. Belongs to one thread at a time.
public protocol StreamDecoder: AnyObject {
  /// Decodes as much of `source` as fills `target`, which must not be empty.
  /// - Parameter isLast: whether no input follows `source`.
  /// - Returns: the numbers of consumed and produced bytes; both are 0 only if `source` is empty.
  /// - Throws: `CodecError.corrupt`; `CodecError.overLimit` if the stream needs too much memory.
  func decode(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer, isLast: Bool
  ) throws(CodecError) -> (consumed: Int, produced: Int)

  /// Whether the input may end here: no stream or member is incomplete.
  var mayEnd: Bool { get }
}

/// The maximum size of a stream's window or dictionary in bytes.
///
/// Streams that need more are rejected: a hostile one could ask for gigabytes. `xz -9` needs 65
/// MiB, `zstd -19` 8 MiB, `zstd --long` 128 MiB.
public let decoderMemoryLimitBytes = 128 << 20
