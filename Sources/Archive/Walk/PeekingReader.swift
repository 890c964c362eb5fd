// A pull stream whose next bytes can be looked at before they are taken.

/// Reads a stream, with a look ahead.
public final class PeekingReader {
  private let source: ByteSource
  private var buffer: [UInt8] = []
  private var offset = 0
  private var isAtEnd = false
  /// Bytes taken so far.
  public private(set) var takenBytes: UInt64 = 0

  private static let blockBytes = 64 << 10

  public init(_ source: @escaping ByteSource) { self.source = source }

  private var heldBytes: Int { buffer.count - offset }

  /// Fills the buffer until it holds `count` bytes, or the stream ends.
  private func hold(_ count: Int) throws {
    if heldBytes >= count || isAtEnd { return }
    buffer.removeFirst(offset)
    offset = 0
    while buffer.count < count, !isAtEnd {
      let start = buffer.count
      let wanted = max(count - start, PeekingReader.blockBytes)
      buffer.append(contentsOf: repeatElement(0, count: wanted))
      let n = try buffer.withUnsafeMutableBytes {
        try source(UnsafeMutableRawBufferPointer(rebasing: $0[start...]))
      }
      buffer.removeLast(wanted - n)
      if n == 0 { isAtEnd = true }
    }
  }

  /// The next bytes, which stay; fewer at the stream's end.
  public func peek(_ count: Int) throws -> ArraySlice<UInt8> {
    try hold(count)
    return buffer[offset..<min(buffer.count, offset + count)]
  }

  /// Takes bytes; fewer at the stream's end.
  public func take(_ count: Int) throws -> [UInt8] {
    let bytes = Array(try peek(count))
    offset += bytes.count
    takenBytes += UInt64(bytes.count)
    return bytes
  }

  /// Fills as much of `target` as one round gives.
  public func read(_ target: UnsafeMutableRawBufferPointer) throws -> Int {
    if target.isEmpty { return 0 }
    try hold(1)
    let n = min(heldBytes, target.count)
    target.copyBytes(from: buffer[offset..<offset + n])
    offset += n
    takenBytes += UInt64(n)
    return n
  }
}
