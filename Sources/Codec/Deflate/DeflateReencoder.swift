// Makes stretches of deflate streams again, byte for byte as their encoder made them.
//
// 1. Nothing here is trusted to come out right: whoever replays compares, or checks a checksum.
// 2. A run is made from its plain bytes and what stands around them; any run by itself, on any thread.
// 3. No setting and no length that `DeflateMethod.isPossible` and the callers' limits let through
//    traps or makes zlib stop.

import CZlib

/// Replays runs of one method. Belongs to one thread at a time.
public struct DeflateReencoder: ~Copyable {
  /// The first byte of a run that begins inside a byte.
  public struct Carry: Hashable, Sendable {
    /// How many of its low bits are those of the run before: 0 ... 7.
    public let bits: UInt8
    public let value: UInt8
    public init(bits: UInt8, value: UInt8) {
      self.bits = bits & 7
      self.value = value & ((1 << (bits & 7)) - 1)
    }
    public static let none = Carry(bits: 0, value: 0)
  }

  public let method: DeflateMethod
  private let stream: UnsafeMutablePointer<z_stream>
  private var scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 0, alignment: 16)
  private var deflater: SegmentDeflater?

  /// - Parameter method: a possible one.
  public init(_ method: DeflateMethod) {
    precondition(method.isPossible)
    self.method = method
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    switch method.encoder {
    case .libdeflate: deflater = SegmentDeflater(level: Int32(method.level))
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

  /// Makes one run.
  /// - Parameters:
  ///   - bytes: `method.historyBytes` bytes before the run, or all there are; the run's own; then
  ///     `method.lookaheadBytes` bytes behind it, or all there are.
  ///   - history: how many stand before it.
  ///   - plainBytes: its own.
  ///   - carry: how its first byte begins.
  ///   - isLast: the stream ends with it.
  ///   - body: gets what the encoder made, which for a run that is not the last may have more bytes
  ///     than the run.
  public mutating func replay<R>(
    _ bytes: UnsafeRawBufferPointer, history: Int, plainBytes: Int, carry: Carry, isLast: Bool,
    _ body: (UnsafeRawBufferPointer) throws -> R
  ) throws -> R {
    precondition(history >= 0 && plainBytes >= 0 && history + plainBytes <= bytes.count)
    let own = UnsafeRawBufferPointer(rebasing: bytes[history..<history + plainBytes])
    switch method.encoder {
    case .stored: return try StoredBlocks.encode(own).withUnsafeBytes(body)
    case .libdeflate:
      let piece = try deflater?.deflate(own) ?? []
      return try piece.withUnsafeBytes(body)
    case .zlib: break
    }
    makeRoom(for: bytes.count)
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
    let end = made
    if carry.bits > 0, start < end {
      scratch[start] = scratch[start] & ~((1 << carry.bits) - 1) | carry.value
    }
    return try body(UnsafeRawBufferPointer(rebasing: scratch[min(start, end)..<end]))
  }

  private var made: Int { scratch.count - Int(stream.pointee.avail_out) }

  /// Room for whatever can come out, empty blocks and all: then no call stops for want of it.
  private mutating func makeRoom(for plainBytes: Int) {
    let joints = method.blockBytes == 0 ? 1 : plainBytes / method.blockBytes + 1
    let bound = Int(deflateBound(stream, uLong(plainBytes))) + plainBytes / 8 + joints * 64 + 4096
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

  /// Compresses what comes before and lets it go.
  /// - Returns: where in the scratch bytes the run begins.
  private mutating func runUp(
    _ bytes: UnsafeRawBufferPointer, _ history: Int, to carryBits: Int32
  ) -> Int {
    let before = UnsafeRawBufferPointer(rebasing: bytes[..<history])
    if method.joints != .none {
      feedBlocks(before, isLast: false)
      return made
    }
    feed(before, Z_BLOCK)
    let bits = pendingBits
    let missing = (carryBits - bits) & 7
    if missing > 0 { deflatePrime(stream, missing, 0) }
    return made + (bits + missing >= 8 ? 1 : 0)
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
        join()
      }
    } while !rest.isEmpty
  }

  /// Goes on to a byte's end as pigz does: with an empty stored block where the bits are odd in
  /// number, else with empty blocks of fixed codes, ten bits each.
  private func join() {
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
      // Ten bits at least a round, so that four rounds are enough; a fifth would be zlib's fault.
      for _ in 0..<4 where bits & 7 != 0 {
        deflatePrime(stream, 10, 2)
        bits = pendingBits
      }
      feed(none, Z_BLOCK)
    }
  }
}
