// Reproduces parts of compressed streams byte for byte.
//
// 1. The output is never trusted: the caller compares it with the original or verifies a checksum.
// 2. A run is produced from its plain bytes and their context alone, so any thread can produce any run.
// 3. Settings and lengths within `StreamMethod.isPossible` and the callers' limits never trap and
//    never stop zlib.

import CZlib

/// Re-encodes runs with one method. Belongs to one thread at a time.
public struct RunEncoder: ~Copyable {
  /// The first byte of a run that starts within a byte.
  public struct Carry: Hashable, Sendable {
    /// The number of low bits that belong to the previous run: 0 to 7.
    public let bits: UInt8
    /// The values of these bits.
    public let value: UInt8
    /// Creates a carry; bits of `value` outside the low `bits` are ignored.
    public init(bits: UInt8, value: UInt8) {
      self.bits = bits & 7
      self.value = value & ((1 << (bits & 7)) - 1)
    }
    /// A run that starts at a byte boundary.
    public static let none = Carry(bits: 0, value: 0)
  }

  /// The method of all runs.
  public let method: StreamMethod
  private let stream: UnsafeMutablePointer<z_stream>
  private var scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 0, alignment: 16)
  private var deflater: SegmentDeflater?
  private var gnuDeflater: GnuDeflater?
  private var zstd: ZstdJobCompressor?

  /// Creates an encoder.
  /// - Parameter method: settings for which `StreamMethod.isPossible` holds.
  public init(_ method: StreamMethod) {
    precondition(method.isPossible)
    self.method = method
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    switch method.encoder {
    case .libdeflate: deflater = SegmentDeflater(level: Int32(method.level))
    case .gnuGzip: gnuDeflater = GnuDeflater(level: Int(method.level))
    case .zstd: zstd = ZstdJobCompressor(method)
    case .stored: break
    case .zlib:
      let r = deflateInit2_(
        stream, Int32(method.level), Z_DEFLATED, -15, Int32(method.memoryLevel),
        Int32(method.strategy), ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
      precondition(r == Z_OK, "zlib cannot start: \(r)")
    }
  }

  deinit {
    if method.encoder == .zlib { deflateEnd(stream) }
    stream.deallocate()
    scratch.deallocate()
  }

  /// Re-encodes one run.
  /// - Parameters:
  ///   - bytes: `method.historyBytes(before:)` bytes before the run, then the run's own bytes, then
  ///     `method.lookaheadBytes` bytes after it. History and lookahead are shorter at the ends of the stream.
  ///   - history: the number of bytes before the run.
  ///   - plainBytes: the number of the run's own bytes.
  ///   - carry: the start of the run's first byte.
  ///   - isLast: whether the stream ends with the run.
  ///   - body: receives the encoder's output, which can be longer than the run unless the run is the last.
  /// - Returns: the result of `body`.
  /// - Throws: `CodecError` from the encoder; the errors of `body`.
  public mutating func replay<R>(
    _ bytes: UnsafeRawBufferPointer, history: Int, plainBytes: Int, carry: Carry, isLast: Bool,
    _ body: (UnsafeRawBufferPointer) throws -> R
  ) throws -> R {
    precondition(history >= 0 && plainBytes >= 0 && history + plainBytes <= bytes.count)
    let own = UnsafeRawBufferPointer(rebasing: bytes[history..<history + plainBytes])
    switch method.encoder {
    case .stored: return try StoredBlocks.encode(own).withUnsafeBytes(body)
    case .libdeflate:
      let segment = try deflater?.deflate(own) ?? []
      return try segment.withUnsafeBytes(body)
    case .gnuGzip:
      // A block is at most as long as stored blocks.
      ensureCapacity(bytes: plainBytes + plainBytes / 8 + 4096)
      let count = gnuDeflater?.deflate(
        bytes, part: history..<history + plainBytes, carry: carry, isLast: isLast, into: scratch)
      return try body(UnsafeRawBufferPointer(rebasing: scratch[..<(count ?? 0)]))
    case .zstd:
      ensureCapacity(bytes: ZstdJobCompressor.bound(bytes.count))
      let count = try zstd?.compress(bytes, history: history, isLast: isLast, into: scratch)
      return try body(UnsafeRawBufferPointer(rebasing: scratch[..<(count ?? 0)]))
    case .zlib: break
    }
    ensureCapacity(for: bytes.count)
    deflateReset(stream)
    stream.pointee.next_out = scratch.baseAddress?.assumingMemoryBound(to: UInt8.self)
    stream.pointee.avail_out = UInt32(clamping: scratch.count)
    var start = 0
    switch method.history {
    case .none: break
    case .dictionary:
      if history > 0 {
        deflateSetDictionary(
          stream, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), UInt32(history))
      }
      if carry.bits > 0 { deflatePrime(stream, Int32(carry.bits), Int32(carry.value)) }
    case .runUp: if history > 0 { start = runUp(bytes, history, to: Int32(carry.bits)) }
    }
    if method.joints == .none {
      let rest = UnsafeRawBufferPointer(rebasing: bytes[history...])
      feed(rest, isLast ? Z_FINISH : Z_NO_FLUSH)
    } else {
      feedBlocks(own, isLast: isLast)
    }
    let end = outputBytes
    if carry.bits > 0, start < end {
      scratch[start] = scratch[start] & ~((1 << carry.bits) - 1) | carry.value
    }
    return try body(UnsafeRawBufferPointer(rebasing: scratch[min(start, end)..<end]))
  }

  private var outputBytes: Int { scratch.count - Int(stream.pointee.avail_out) }

  /// Allocates the largest possible output, including empty blocks, so that no call stops for lack of space.
  private mutating func ensureCapacity(for plainBytes: Int) {
    let joints = method.blockBytes == 0 ? 1 : plainBytes / method.blockBytes + 1
    ensureCapacity(
      bytes: Int(deflateBound(stream, uLong(plainBytes))) + plainBytes / 8 + joints * 64 + 4096)
  }

  private mutating func ensureCapacity(bytes bound: Int) {
    guard bound > scratch.count else { return }
    scratch.deallocate()
    scratch = .allocate(byteCount: bound, alignment: 16)
  }

  private func feed(_ bytes: UnsafeRawBufferPointer, _ flush: Int32) {
    stream.pointee.next_in = UnsafeMutablePointer(
      mutating: bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
    stream.pointee.avail_in = UInt32(clamping: bytes.count)
    _ = deflate(stream, flush)
  }

  private var pendingBits: Int32 {
    var bits: Int32 = 0
    deflatePending(stream, nil, &bits)
    return bits
  }

  /// Compresses the history and discards the output.
  /// - Returns: the offset in `scratch` where the run begins.
  private mutating func runUp(
    _ bytes: UnsafeRawBufferPointer, _ history: Int, to carryBits: Int32
  ) -> Int {
    let before = UnsafeRawBufferPointer(rebasing: bytes[..<history])
    if method.joints != .none {
      feedBlocks(before, isLast: false)
      return outputBytes
    }
    feed(before, Z_BLOCK)
    let bits = pendingBits
    let missing = (carryBits - bits) & 7
    if missing > 0 { deflatePrime(stream, missing, 0) }
    return outputBytes + (bits + missing >= 8 ? 1 : 0)
  }

  private func feedBlocks(_ bytes: UnsafeRawBufferPointer, isLast: Bool) {
    var rest = bytes
    repeat {
      let n = min(rest.count, method.blockBytes)
      let block = UnsafeRawBufferPointer(rebasing: rest[..<n])
      rest = UnsafeRawBufferPointer(rebasing: rest[n...])
      if isLast, rest.isEmpty {
        feed(block, Z_FINISH)
      } else {
        feed(block, Z_BLOCK)
        padToByte()
      }
    } while !rest.isEmpty
  }

  /// Pads to a byte boundary as pigz does: with an empty stored block if the number of bits is odd,
  /// otherwise with empty blocks of fixed codes, ten bits each.
  private func padToByte() {
    let none = UnsafeRawBufferPointer(start: nil, count: 0)
    if method.joints == .independent {
      feed(none, Z_SYNC_FLUSH)
      feed(none, Z_FULL_FLUSH)
      return
    }
    var bits = pendingBits
    if bits & 1 != 0 {
      feed(none, Z_SYNC_FLUSH)
    } else if bits & 7 != 0 {
      // Each round adds at least ten bits, so four rounds are enough.
      for _ in 0..<4 where bits & 7 != 0 {
        deflatePrime(stream, 10, 2)
        bits = pendingBits
      }
      feed(none, Z_BLOCK)
    }
  }
}
