// Compresses the content of builders to frames. A frame that does not decode to its input never reaches a
// pack.

import Codec

/// Compresses full builders into frames. Each thread has its own, because it owns codec contexts and buffers.
final class FrameEncoder {
  /// Receives the header, the payload and the depth of a frame (`FrameBase`).
  typealias Output =
    (_ header: [UInt8], _ payload: UnsafeRawBufferPointer, _ depth: UInt8) throws(StoreError) ->
    Void

  /// A delta with more than this part of its raw bytes is poor.
  private static let poorDeltaDivisor = 6

  private let encoder: PayloadEncoder
  private let buffers = BufferPool()
  private let decoder: PayloadDecoder

  /// Creates an encoder.
  init(_ tuning: StoreTuning) {
    encoder = PayloadEncoder(tuning)
    decoder = PayloadDecoder(buffers)
  }

  /// Compresses a frame, decodes it again, compares, and passes header and payload to `output`.
  ///
  /// The payload is valid during the call only.
  /// - Throws: `damaged` if the comparison fails; errors of `output`.
  func encode(_ builder: FrameBuilder, _ output: Output) throws(StoreError) {
    _ = try encode(builder, refusesPoorDelta: false, output)
  }

  /// The same for a frame whose base was only assumed to resemble it.
  /// - Returns: false if the base saves so little that some objects may be better off without. `output` was
  ///   not called then.
  func encodeUnlessPoor(_ builder: FrameBuilder, _ output: Output) throws(StoreError) -> Bool {
    try encode(builder, refusesPoorDelta: true, output)
  }

  private func encode(
    _ builder: FrameBuilder, refusesPoorDelta: Bool, _ output: Output
  ) throws(StoreError) -> Bool {
    let raw = UnsafeRawBufferPointer(rebasing: builder.raw[..<builder.count])
    let payload: PayloadEncoder.Payload
    let base = builder.base
    do throws(CodecError) {
      payload =
        try base == nil
        ? encoder.encode(raw) : encoder.encode(raw, base: builder.basePrefix)
      if refusesPoorDelta, base != nil,
        payload.bytes.count > raw.count / FrameEncoder.poorDeltaDivisor
      {
        return false
      }
      let check = buffers.acquire(raw.count)
      defer { buffers.release(check) }
      let decoded = UnsafeMutableRawBufferPointer(rebasing: check[..<raw.count])
      try decoder.decode(
        payload.bytes, payload.codec, base: base == nil ? nil : builder.basePrefix, into: decoded)
      guard equal(raw, UnsafeRawBufferPointer(decoded)) else {
        throw .corrupt("the decoded bytes differ from the input")
      }
    } catch {
      throw StoreError(
        .damaged, "a frame", "did not survive compression: \(error)",
        hint: "The memory or the processor of this machine is faulty. Test it before you continue"
      )
    }
    let header = FrameHeader.encode(
      objects: builder.objects, codec: payload.codec, base: base, storedBytes: payload.bytes.count)
    try output(header, payload.bytes, base?.depth ?? 0)
    return true
  }

  /// Returns true if a chunk takes at most three quarters of its bytes with a base.
  func isSmaller(
    _ chunk: UnsafeRawBufferPointer, with base: UnsafeRawBufferPointer
  ) throws(StoreError) -> Bool {
    try mapCodecErrors("a chunk") { () throws(CodecError) in
      let delta = try encoder.encode(chunk, base: base).bytes.count
      return try delta < encoder.encode(chunk).bytes.count / 4 * 3
    }
  }
}
