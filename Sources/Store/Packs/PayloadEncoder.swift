// Compresses the payloads of frames, in the form that suits them (`FrameCodec`).
//
// Differences suit most new versions of programs: they take a sixth less than zstd with a prefix, in the same
// time. They do not suit texts that were edited in many parts: these have many literals, or the differences
// are large. So zstd is tried as well if either is more than an eighth of the bytes
// (docs/decisions/0099-differences.md).

import Codec

/// Compresses payloads. Belongs to one thread at a time.
final class PayloadEncoder {
  /// A compressed payload, valid until the next call.
  struct Payload {
    let bytes: UnsafeRawBufferPointer
    let codec: FrameCodec
  }

  /// The part of its raw bytes that literals and differences may each take, if zstd is not tried as well.
  private static let goodPartDivisor = 8
  /// What the ends of blocks add to a frame at most.
  private static let blockEndBytes = 128

  private let compressor: ZstdCompressor
  private let usesDifferences: Bool
  private lazy var differences = DifferenceEncoder()
  private var stored = Buffer(), other = Buffer()

  /// Memory that grows.
  private final class Buffer {
    private(set) var bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 0, alignment: 64)
    deinit { bytes.deallocate() }

    func ensure(_ count: Int) -> UnsafeMutableRawBufferPointer {
      if count > bytes.count {
        bytes.deallocate()
        bytes = .allocate(byteCount: count, alignment: 64)
      }
      return bytes
    }
  }

  /// Creates an encoder.
  init(_ tuning: StoreTuning) {
    compressor = ZstdCompressor(level: tuning.level, hashLog: tuning.hashLog)
    usesDifferences = tuning.usesDifferences
  }

  /// Compresses bytes without a base.
  func encode(_ raw: UnsafeRawBufferPointer) throws(CodecError) -> Payload {
    let target = ensureCapacity(stored, for: raw.count)
    let count = try compressor.compress(raw, into: target)
    return Payload(bytes: UnsafeRawBufferPointer(rebasing: target[..<count]), codec: .zstd)
  }

  /// Compresses bytes that resemble a base.
  func encode(
    _ raw: UnsafeRawBufferPointer, base: UnsafeRawBufferPointer
  ) throws(CodecError) -> Payload {
    var payload: Payload?
    if usesDifferences, let script = differences.encode(raw, base: base) {
      let target = ensureCapacity(stored, for: raw.count)
      let count = try script.bytes.withUnsafeBytes { (bytes) throws(CodecError) in
        try compressor.compress(bytes, blockEnds: script.partEnds, into: target)
      }
      let encoded = Payload(
        bytes: UnsafeRawBufferPointer(rebasing: target[..<count]), codec: .differences)
      let limit = raw.count / PayloadEncoder.goodPartDivisor
      if differences.literalBytes <= limit, count <= limit { return encoded }
      payload = encoded
    }
    let target = ensureCapacity(other, for: raw.count)
    let count = try compressor.compress(raw, prefix: base, into: target)
    if let payload, payload.bytes.count < count { return payload }
    return Payload(bytes: UnsafeRawBufferPointer(rebasing: target[..<count]), codec: .zstd)
  }

  private func ensureCapacity(_ buffer: Buffer, for count: Int) -> UnsafeMutableRawBufferPointer {
    buffer.ensure(
      ZstdCompressor.bound(max(count, FrameBuilder.capacity)) + PayloadEncoder.blockEndBytes)
  }
}
