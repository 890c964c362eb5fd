// A stream that may be compressed with gzip (RFC 1952), xz, lzma, bzip2 or zstd (RFC 8878) or not at
// all, told apart by its first bytes. What is compressed in another form is refused by its name.
//
// Damage, a cut, bytes behind the end that the format does not allow, and a stream that asks for
// more memory than a decoder may take are errors. Memory: 512 KiB and the decoder's window.

import Codec

/// Reads the plain bytes of a stream.
public final class DecompressingReader {
  private enum Form {
    case unknown
    case plain
    case compressed(any StreamDecoder)
  }

  private let source: ByteSource
  private let limit: ExpansionLimit
  private let memoryLimitBytes: Int
  private var takenBytes: UInt64 = 0
  private var madeBytes: UInt64 = 0
  private let input: UnsafeMutableRawBufferPointer
  private var held: Range<Int> = 0..<0
  private var isAtEnd = false
  private var form = Form.unknown

  /// The stream is compressed, so that its own checksum tells whether it is whole. Known once something was read.
  public var isCompressed: Bool { if case .compressed = form { true } else { false } }

  /// - Parameter memoryLimitBytes: what a decoder may take; streams that need more are refused.
  public init(
    _ source: @escaping ByteSource, limit: ExpansionLimit = .standard,
    memoryLimitBytes: Int = decoderMemoryLimitBytes
  ) {
    self.source = source
    self.memoryLimitBytes = memoryLimitBytes
    self.limit = limit
    input = .allocate(byteCount: 512 << 10, alignment: 16)
  }

  deinit { input.deallocate() }

  /// Fills as much of `target` as one round gives.
  /// - Returns: how many bytes; 0 only at the end.
  /// - Throws: `ArchiveError` for a damaged stream and for one that expands beyond the limit, and
  ///   what the source throws.
  public func read(_ target: UnsafeMutableRawBufferPointer) throws -> Int {
    if target.isEmpty { return 0 }
    if case .unknown = form { try recognise() }
    switch form {
    case .unknown: return 0
    case .plain:
      if held.isEmpty { try refill() }
      let n = min(held.count, target.count)
      if n > 0, let from = input.baseAddress, let to = target.baseAddress {
        to.copyMemory(from: from + held.lowerBound, byteCount: n)
      }
      held = held.lowerBound + n..<held.upperBound
      return n
    case .compressed(let decoder): return try decode(decoder, target)
    }
  }

  private func decode(
    _ decoder: any StreamDecoder, _ target: UnsafeMutableRawBufferPointer
  ) throws -> Int {
    while true {
      if held.isEmpty { try refill() }
      let (taken, made): (Int, Int)
      do throws(CodecError) {
        (taken, made) = try decoder.decode(
          UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(input)[held]), into: target,
          isLast: isAtEnd)
      } catch {
        throw ArchiveError("the compressed stream is damaged: \(error)")
      }
      held = held.lowerBound + taken..<held.upperBound
      takenBytes += UInt64(taken)
      madeBytes += UInt64(made)
      guard limit.allows(plain: madeBytes, compressed: takenBytes) else {
        throw ArchiveError(
          "the compressed stream expands more than \(limit.ratio) times: its first "
            + "\(takenBytes) bytes became \(madeBytes)")
      }
      if made > 0 { return made }
      if isAtEnd, held.isEmpty {
        guard decoder.mayEnd else { throw ArchiveError("the compressed stream is cut off") }
        return 0
      }
      if taken == 0, !held.isEmpty {
        throw ArchiveError("the compressed stream is damaged: its decoder is stuck")
      }
    }
  }

  private func refill() throws {
    if isAtEnd { return }
    let n = try source(input)
    held = 0..<n
    if n == 0 { isAtEnd = true }
  }

  private func recognise() throws {
    var n = 0
    while n < 512 {
      let more = try source(UnsafeMutableRawBufferPointer(rebasing: input[n...]))
      if more == 0 {
        isAtEnd = true
        break
      }
      n += more
    }
    held = 0..<n
    func begins(_ magic: [UInt8]) -> Bool { n >= magic.count && input.starts(with: magic) }
    if begins([0x1f, 0x8b]) {
      form = .compressed(GzipInflater())
    } else if begins([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]) {
      form = .compressed(XzDecoder(memoryLimitBytes: memoryLimitBytes))
    } else if begins([0x28, 0xb5, 0x2f, 0xfd]) || isSkippableFrame(n) {
      form = .compressed(ZstdStreamDecoder(memoryLimitBytes: memoryLimitBytes))
    } else if begins([0x42, 0x5a, 0x68]) {
      form = .compressed(Bzip2Decoder())
    } else if begins([0x5d, 0, 0]) {
      form = .compressed(XzDecoder(memoryLimitBytes: memoryLimitBytes, isLegacy: true))
    } else if let other = ForeignForm.of(UnsafeRawBufferPointer(input).prefix(n)),
      other.description.hasPrefix("compressed")
    {
      throw ArchiveError("it is \(other.description), which is not read; \(other.remedy)")
    } else {
      form = .plain
    }
  }

  /// pzstd begins its files with one (RFC 8878, section 3.1.2).
  private func isSkippableFrame(_ count: Int) -> Bool {
    count >= 4 && input[0] & 0xf0 == 0x50 && input[1] == 0x2a && input[2] == 0x4d
      && input[3] == 0x18
  }
}
