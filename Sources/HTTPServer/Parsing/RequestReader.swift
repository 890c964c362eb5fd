// Collects the bytes of a connection until a head is complete.
//
// 1. Each byte is looked at once. A line end other than CR LF, or a control character, fails at once: nobody
//    waits for a head that can only be refused.
// 2. The reader holds at most one head, and what one read of the socket adds to it.

/// The received bytes of a connection that were not used yet.
struct RequestReader {
  private let limits: HeadLimits
  private var bytes: [UInt8] = []
  private var start = 0
  /// The next byte to look at.
  private var scanned = 0
  /// The number of bytes of the current line that were looked at.
  private var lineBytes = 0
  private var isFirstLine = true

  init(_ limits: HeadLimits) { self.limits = limits }

  /// The number of bytes that were not used yet.
  var count: Int { bytes.count - start }

  /// Adds received bytes.
  mutating func append(_ new: UnsafeRawBufferPointer) {
    if start == bytes.count {
      bytes.removeAll(keepingCapacity: bytes.capacity <= 4096)
      (start, scanned) = (0, 0)
    } else if start > 0 {
      bytes.removeFirst(start)
      scanned -= start
      start = 0
    }
    bytes.append(contentsOf: new)
  }

  /// Drops up to `limit` bytes of a body.
  /// - Returns: the number of dropped bytes.
  mutating func drop(atMost limit: UInt64) -> UInt64 {
    let dropped = min(limit, UInt64(count))
    start += Int(dropped)
    scanned = start
    return dropped
  }

  /// Returns the next head; nil if it is not complete.
  /// - Throws: `RequestFailure` for a head that breaks a rule or a limit.
  mutating func nextHead() throws(RequestFailure) -> RequestHead? {
    while scanned < bytes.count {
      let byte = bytes[scanned]
      if byte == 0x0d {
        guard scanned + 1 < bytes.count else { return try checkLimits() }
        guard bytes[scanned + 1] == 0x0a else {
          throw RequestFailure(.badRequest, "a CR is not followed by LF")
        }
        scanned += 2
        if lineBytes == 0 {
          if isFirstLine {
            // Empty lines before a request are ignored (RFC 9112 section 2.2), within the limit.
            start = scanned
            continue
          }
          return try take()
        }
        lineBytes = 0
        isFirstLine = false
        try checkLimits()
        continue
      }
      guard byte >= 0x20 && byte != 0x7f || byte == 0x09 else {
        throw RequestFailure(
          .badRequest, "the head has a control character, or a line without CR LF")
      }
      lineBytes += 1
      scanned += 1
    }
    return try checkLimits()
  }

  @discardableResult
  private func checkLimits() throws(RequestFailure) -> RequestHead? {
    if scanned - start > limits.headBytes {
      throw isFirstLine
        ? RequestFailure(.targetTooLong, "the request line is too long")
        : RequestFailure(
          .headerFieldsTooLarge, "the head has more than \(limits.headBytes) bytes")
    }
    // A method has at most 32 bytes and the version 8.
    if isFirstLine, lineBytes > limits.targetBytes + 42 {
      throw RequestFailure(.targetTooLong, "the target has more than \(limits.targetBytes) bytes")
    }
    return nil
  }

  private mutating func take() throws(RequestFailure) -> RequestHead {
    try checkLimits()
    let head = bytes[start..<scanned]
    start = scanned
    (lineBytes, isFirstLine) = (0, true)
    return try RequestHeadParser.parse(head, limits)
  }
}
