// A stream that may be gzip'ed (RFC 1952) or not, told apart by its first bytes.

import Codec

/// Reads the plain bytes of a stream.
public final class DecompressingReader {
  private enum Form {
    case unknown
    case plain
    case gzip(GzipInflater)
  }

  private let source: ByteSource
  private let limit: ExpansionLimit
  private var takenBytes: UInt64 = 0
  private var madeBytes: UInt64 = 0
  private let input: UnsafeMutableRawBufferPointer
  private var held: Range<Int> = 0..<0
  private var isAtEnd = false
  private var form = Form.unknown

  public init(_ source: @escaping ByteSource, limit: ExpansionLimit = .standard) {
    self.source = source
    self.limit = limit
    input = .allocate(byteCount: 256 << 10, alignment: 16)
  }

  deinit { input.deallocate() }

  /// Fills as much of `target` as one round gives.
  /// - Returns: how many bytes; 0 only at the end.
  /// - Throws: `ArchiveError` for a damaged or unknown form and for a stream that expands beyond
  ///   the limit, and what the source throws.
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
    case .gzip(let inflater): return try inflate(inflater, target)
    }
  }

  private func inflate(
    _ inflater: GzipInflater, _ target: UnsafeMutableRawBufferPointer
  ) throws -> Int {
    while true {
      if held.isEmpty { try refill() }
      let (taken, made): (Int, Int)
      do throws(CodecError) {
        (taken, made) = try inflater.inflate(
          UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(input)[held]), into: target)
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
        guard inflater.mayEnd else { throw ArchiveError("the compressed stream is cut off") }
        return 0
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
      form = .gzip(GzipInflater())
    } else if begins([0xfd, 0x37, 0x7a, 0x58, 0x5a]) {
      throw ArchiveError("it is compressed with xz, which this version does not read")
    } else if begins([0x28, 0xb5, 0x2f, 0xfd]) {
      throw ArchiveError("it is compressed with zstd, which this version does not read")
    } else {
      form = .plain
    }
  }
}
