// Reads a stream that is plain or compressed with gzip (RFC 1952), xz, lzma, bzip2 or zstd (RFC 8878),
// recognised by its first bytes. Other compressions are refused by name.
//
// Errors are damage, truncation, bytes after the end that the format does not allow, and a stream that
// needs more memory than a decoder may use. Memory: 512 KiB and the decoder's window.

import Codec

/// Reads the decompressed bytes of a stream.
public final class DecompressingReader {
  private enum Form {
    case unknown
    case plain
    case compressed(any StreamDecoder)
  }

  private let source: ByteSource
  private let limit: ExpansionLimit
  private let memoryLimitBytes: Int
  private var consumedBytes: UInt64 = 0
  private var producedBytes: UInt64 = 0
  private let input: UnsafeMutableRawBufferPointer
  private var pending: Range<Int> = 0..<0
  private var isAtEnd = false
  private var form = Form.unknown

  /// Whether the stream is compressed, so that its own checksum verifies it. Known after the first read.
  public var isCompressed: Bool { if case .compressed = form { true } else { false } }

  /// Creates a reader.
  /// - Parameter memoryLimitBytes: the memory that a decoder may use; streams that need more are refused.
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

  /// Reads up to the size of `target`.
  /// - Returns: the number of bytes; 0 only at the end.
  /// - Throws: `ArchiveError` for a damaged stream and for one that expands beyond the limit, and the
  ///   source's errors.
  public func read(_ target: UnsafeMutableRawBufferPointer) throws -> Int {
    if target.isEmpty { return 0 }
    if case .unknown = form { try recognise() }
    switch form {
    case .unknown: return 0
    case .plain:
      if pending.isEmpty { try refill() }
      let n = min(pending.count, target.count)
      if n > 0, let from = input.baseAddress, let to = target.baseAddress {
        to.copyMemory(from: from + pending.lowerBound, byteCount: n)
      }
      pending = pending.lowerBound + n..<pending.upperBound
      return n
    case .compressed(let decoder): return try decode(decoder, target)
    }
  }

  private func decode(
    _ decoder: any StreamDecoder, _ target: UnsafeMutableRawBufferPointer
  ) throws -> Int {
    while true {
      if pending.isEmpty { try refill() }
      let (consumed, produced): (Int, Int)
      do throws(CodecError) {
        (consumed, produced) = try decoder.decode(
          UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(input)[pending]), into: target,
          isLast: isAtEnd)
      } catch {
        throw ArchiveError("the compressed stream is damaged: \(error)")
      }
      pending = pending.lowerBound + consumed..<pending.upperBound
      consumedBytes += UInt64(consumed)
      producedBytes += UInt64(produced)
      guard limit.allows(plain: producedBytes, compressed: consumedBytes) else {
        throw ArchiveError(
          "the compressed stream expands more than \(limit.ratio) times: its first "
            + "\(consumedBytes) bytes expanded to \(producedBytes)", isExpansionLimit: true)
      }
      if produced > 0 { return produced }
      if isAtEnd, pending.isEmpty {
        guard decoder.mayEnd else { throw ArchiveError("the compressed stream is cut off") }
        return 0
      }
      if consumed == 0, !pending.isEmpty {
        throw ArchiveError("the compressed stream is damaged: its decoder makes no progress")
      }
    }
  }

  private func refill() throws {
    if isAtEnd { return }
    let n = try source(input)
    pending = 0..<n
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
    pending = 0..<n
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
    } else if let other = UnsupportedFormat.of(UnsafeRawBufferPointer(input).prefix(n)),
      other.isCompression
    {
      throw ArchiveError("it is \(other.description), which is not supported; \(other.remedy)")
    } else {
      form = .plain
    }
  }

  /// Returns whether a skippable frame follows, with which pzstd begins its files (RFC 8878, section 3.1.2).
  private func isSkippableFrame(_ count: Int) -> Bool {
    count >= 4 && input[0] & 0xf0 == 0x50 && input[1] == 0x2a && input[2] == 0x4d
      && input[3] == 0x18
  }
}
