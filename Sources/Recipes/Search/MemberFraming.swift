// The compressed members of a file: gzip members (RFC 1952) and zstd frames (RFC 8878). A member has framing
// before and after a stream, and the stream is what an encoder must repeat.
//
// 1. Only lengths are interpreted. Framing is kept as it is.
// 2. Counts of blocks are limited before memory is used.

import Archive
import Codec
import Platform

/// The framing of one member.
struct MemberFraming: Sendable {
  enum Form: Sendable, Equatable {
    case gzip
    case zstd(ZstdFrameLayout)
    /// Bytes that decode to nothing.
    case skippable
  }

  let form: Form
  /// The number of bytes before the stream.
  let headerBytes: UInt64
  /// The size of the stream, if it is known before it is decoded.
  let streamBytes: UInt64?
  /// The number of bytes after the stream.
  let trailerBytes: UInt64

  private static let maxZstdBlocks = 1 << 20

  /// Returns whether bytes start like a member.
  static func isMember(_ head: some Collection<UInt8>) -> Bool {
    let head = Array(head.prefix(8))
    return head.starts(with: [0x1f, 0x8b, 8]) || head.starts(with: ZstdFrameLayout.magic)
      || ZstdFrameLayout.skippableBytes(head) != nil
  }

  /// Reads the framing of the member at `offset`; nil if none starts there.
  /// - Throws: `CodecError.truncated` for a frame that is cut off; `CodecError.overLimit`; the errors of
  ///   `source`.
  static func read(_ source: RandomAccessSource, at offset: UInt64) throws -> MemberFraming? {
    if let header = try GzipFrame.headerBytes(source, at: offset) {
      return MemberFraming(
        form: .gzip, headerBytes: header, streamBytes: nil, trailerBytes: GzipFrame.trailerBytes)
    }
    guard offset < source.sizeBytes else { return nil }
    let left = source.sizeBytes - offset
    let head = try source.bytes(
      offset..<offset + min(left, UInt64(ZstdFrameLayout.maxHeaderBytes)))
    if let size = ZstdFrameLayout.skippableBytes(head) {
      guard size + 8 <= left else { throw CodecError.truncated }
      return MemberFraming(
        form: .skippable, headerBytes: size + 8, streamBytes: 0, trailerBytes: 0)
    }
    guard let layout = ZstdFrameLayout(head) else { return nil }
    let start = offset + UInt64(layout.headerBytes)
    return MemberFraming(
      form: .zstd(layout), headerBytes: UInt64(layout.headerBytes),
      streamBytes: try zstdBlockBytes(source, from: start) - start,
      trailerBytes: UInt64(layout.checksumBytes))
  }

  /// Returns the end of the blocks that start at `start`.
  private static func zstdBlockBytes(
    _ source: RandomAccessSource, from start: UInt64
  ) throws -> UInt64 {
    var position = start
    for _ in 0..<maxZstdBlocks {
      let head = try source.bytes(position..<min(position + 3, max(position, source.sizeBytes)))
      guard head.count == 3 else { throw CodecError.truncated }
      guard let block = ZstdFrameLayout.block(head) else {
        throw CodecError.corrupt("zstd: a block has an unknown type")
      }
      position += 3 + block.sizeBytes
      guard position <= source.sizeBytes else { throw CodecError.truncated }
      if block.isLast { return position }
    }
    throw CodecError.overLimit("a zstd frame has more than \(maxZstdBlocks) blocks")
  }

  /// Opens the content of a member that starts at `offset`.
  func open(_ source: RandomAccessSource, at offset: UInt64) -> ByteSource {
    guard case .zstd = form, let streamBytes else {
      let stream = InflatingSource(source, at: offset + headerBytes)
      return { try stream.read($0) }
    }
    let frame = source.slice(
      from: offset, sizeBytes: headerBytes + streamBytes + trailerBytes)
    let reader = FrameReader(frame)
    return { try reader.read($0) }
  }
}

/// Decodes one zstd frame. Belongs to one thread at a time.
private final class FrameReader {
  private let source: ByteSource
  private let decoder = ZstdStreamDecoder()
  private let window = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
  private var buffered: Range<Int> = 0..<0
  private var isAtEnd = false
  private var consumedBytes: UInt64 = 0
  private var producedBytes: UInt64 = 0

  init(_ source: RandomAccessSource) { self.source = source.stream(from: 0) }

  deinit { window.deallocate() }

  func read(_ target: UnsafeMutableRawBufferPointer) throws -> Int {
    if target.isEmpty { return 0 }
    while true {
      if buffered.isEmpty, !isAtEnd {
        let n = try source(window)
        buffered = 0..<n
        isAtEnd = n == 0
      }
      let (consumed, produced) = try decoder.decode(
        UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(window)[buffered]), into: target,
        isLast: isAtEnd)
      buffered = buffered.lowerBound + consumed..<buffered.upperBound
      consumedBytes += UInt64(consumed)
      producedBytes += UInt64(produced)
      guard ExpansionLimit.standard.allows(plain: producedBytes, compressed: consumedBytes) else {
        throw CodecError.overLimit(
          "a zstd frame expands more than \(ExpansionLimit.standard.ratio) times")
      }
      if produced > 0 { return produced }
      if isAtEnd, buffered.isEmpty {
        guard decoder.mayEnd else { throw CodecError.truncated }
        return 0
      }
      if consumed == 0, !buffered.isEmpty {
        throw CodecError.corrupt("zstd: the decoder makes no progress")
      }
    }
  }
}
