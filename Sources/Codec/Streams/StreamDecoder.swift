// What the decoders of compressed streams have in common: bytes in, bytes out, in any steps.

/// Decodes a compressed stream piece by piece. Belongs to one thread at a time.
public protocol StreamDecoder: AnyObject {
  /// Decodes as much of `source` as fills `target`, which is not empty.
  /// - Parameter isLast: nothing follows `source`.
  /// - Returns: bytes taken and bytes made; both 0 only where `source` is empty.
  /// - Throws: `corrupt`, `overLimit`.
  func decode(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer, isLast: Bool
  ) throws(CodecError) -> (taken: Int, made: Int)

  /// The input may end here: nothing is under way.
  var mayEnd: Bool { get }
}

/// What a decoder may take for a stream's window or dictionary. Streams that ask for more are
/// refused: a hostile one could ask for gigabytes. `xz -9` needs 65 MiB, `zstd -19` 8 MiB,
/// `zstd --long` 128 MiB.
public let decoderMemoryLimitBytes = 128 << 20
