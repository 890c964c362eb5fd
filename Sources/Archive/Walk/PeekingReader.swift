// A pull stream with lookahead.

/// Reads a stream with lookahead.
public final class PeekingReader {
  private let source: ByteSource
  private var buffer: [UInt8] = []
  private var offset = 0
  private var isAtEnd = false
  /// The number of consumed bytes.
  public private(set) var takenBytes: UInt64 = 0

  private static let blockBytes = 64 << 10

  /// Creates a reader.
  public init(_ source: @escaping ByteSource) { self.source = source }

  private var bufferedBytes: Int { buffer.count - offset }

  /// Fills the buffer until it has `count` bytes, or the stream ends.
  private func fillBuffer(_ count: Int) throws {
    if bufferedBytes >= count || isAtEnd { return }
    buffer.removeFirst(offset)
    offset = 0
    while buffer.count < count, !isAtEnd {
      let start = buffer.count
      let growth = max(count - start, PeekingReader.blockBytes)
      buffer.append(contentsOf: repeatElement(0, count: growth))
      let n = try buffer.withUnsafeMutableBytes {
        try source(UnsafeMutableRawBufferPointer(rebasing: $0[start...]))
      }
      buffer.removeLast(growth - n)
      if n == 0 { isAtEnd = true }
    }
  }

  /// Returns the next bytes without consuming them; fewer at the stream's end.
  public func peek(_ count: Int) throws -> ArraySlice<UInt8> {
    try fillBuffer(count)
    return buffer[offset..<min(buffer.count, offset + count)]
  }

  /// Consumes bytes; returns fewer at the stream's end.
  public func take(_ count: Int) throws -> [UInt8] {
    let bytes = Array(try peek(count))
    offset += bytes.count
    takenBytes += UInt64(bytes.count)
    return bytes
  }

  /// Reads up to the size of `target`.
  public func read(_ target: UnsafeMutableRawBufferPointer) throws -> Int {
    if target.isEmpty { return 0 }
    try fillBuffer(1)
    let n = min(bufferedBytes, target.count)
    target.copyBytes(from: buffer[offset..<offset + n])
    offset += n
    takenBytes += UInt64(n)
    return n
  }
}
