// Compresses as GNU gzip does, bit for bit: the search for matches and the ends of blocks of gzip 1.12
// (deflate.c, trees.c). zlib descends from the same program, but collects fewer symbols for a block, and
// searches differently at the end of the input (docs/decisions/0079-gnu-gzip-encoder.md).
//
// 1. The output depends on the plain bytes and the level only. gzip's window moves at fixed plain offsets, so
//    a part of a stream is reproduced from input that starts at a multiple of `windowBytes`.
// 2. All reads stay within the input and the slack after its copy.
// 3. Memory: the hash chains (256 KiB), the symbols of a block (128 KiB), and a copy of an input that
//    ends with the stream.

/// Compresses parts of streams. Belongs to one thread at a time.
final class GnuDeflater {
  /// Half of the size of gzip's window, and the distance by which it moves.
  static let windowBytes = 32 << 10
  /// The number of bytes after a part that the search may read.
  static let lookaheadBytes = 1024

  private let level: Int
  private let writer = DeflateBlockWriter()
  private let chains = GnuHashChains()
  private var copy = UnsafeMutableRawBufferPointer.allocate(byteCount: 0, alignment: 64)

  /// Creates a compressor.
  /// - Parameter level: 1 to 9.
  init(level: Int) { self.level = min(max(level, 1), 9) }

  deinit { copy.deallocate() }

  /// Compresses a part of a stream.
  /// - Parameters:
  ///   - bytes: plain bytes from a multiple of `windowBytes` in the stream; at least `windowBytes` × 2 before
  ///     the part, or all that precede it. After the part, `lookaheadBytes` or all that follow.
  ///   - part: the part in `bytes`. A block starts at its start, and one ends at its end.
  ///   - isLast: whether the stream ends with the part.
  ///   - target: the memory for the output.
  /// - Returns: the number of bytes written; 0 if gzip would end no block at the start of the part.
  func deflate(
    _ bytes: UnsafeRawBufferPointer, part: Range<Int>, carry: RunEncoder.Carry, isLast: Bool,
    into target: UnsafeMutableRawBufferPointer
  ) -> Int {
    writer.begin(target, carry: carry)
    chains.clear()
    let isShort = bytes.count - part.upperBound < GnuDeflater.lookaheadBytes
    let input = isShort ? copied(bytes) : bytes
    guard let base = input.baseAddress else { return 0 }
    var search = GnuMatchSearch(
      bytes: base.assumingMemoryBound(to: UInt8.self), count: bytes.count,
      slack: isShort ? copy : nil, part: part, isLast: isLast)
    search.run(level, chains, writer)
    return search.isComplete ? writer.finish() : 0
  }

  /// Copies the input to memory with slack after it.
  private func copied(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    let needed = bytes.count + GnuMatchSearch.slackBytes
    if copy.count < needed {
      copy.deallocate()
      copy = .allocate(byteCount: needed, alignment: 64)
    }
    copy.copyMemory(from: bytes)
    UnsafeMutableRawBufferPointer(rebasing: copy[bytes.count..<needed])
      .initializeMemory(as: UInt8.self, repeating: 0)
    return UnsafeRawBufferPointer(rebasing: copy[..<bytes.count])
  }
}

/// The positions with equal hashes of three bytes. Positions count from the start of the input.
final class GnuHashChains {
  static let hashBits = 15
  private static let none: Int32 = -1
  /// The last position with each hash.
  let heads = UnsafeMutablePointer<Int32>.allocate(capacity: 1 << hashBits)
  /// The preceding position with the same hash, for the last `windowBytes` positions.
  let previous = UnsafeMutablePointer<Int32>.allocate(capacity: GnuDeflater.windowBytes)

  init() { clear() }

  deinit {
    heads.deallocate()
    previous.deallocate()
  }

  func clear() {
    heads.initialize(repeating: GnuHashChains.none, count: 1 << GnuHashChains.hashBits)
    previous.initialize(repeating: GnuHashChains.none, count: GnuDeflater.windowBytes)
  }
}
