// Two directions of bytes to another program: pipes, or a socket. No call waits, except `wait`, which has a time
// limit.
//
// 1. The stream owns its descriptors, and closes them once.
// 2. One thread reads and one writes at a time. `close` must not run next to either.
// 3. A reader that has gone is an error (EPIPE), never a signal.

import CLinux

/// A connection to another program.
public final class ByteStream: @unchecked Sendable {  // see invariant 2
  /// What a stream is ready for.
  public struct Readiness: Sendable {
    public let canRead: Bool
    public let canWrite: Bool
  }

  private var reading: Int32
  private var writing: Int32

  /// The size of a pipe's buffer that the kernel grants every user.
  private static let pipeBytes: Int32 = 1 << 20

  /// Takes ownership of two descriptors, which may be the same one.
  public init(reading: Int32, writing: Int32) throws(SystemError) {
    self.reading = reading
    self.writing = writing
    for file in [reading, writing] {
      let r = clinux_set_nonblocking(file)
      guard r == 0 else { throw SystemError(code: .init(rawValue: -r), "use a stream", []) }
      clinux_widen_pipe(file, ByteStream.pipeBytes)
    }
  }

  deinit { close() }

  /// Returns two connected streams.
  /// - Throws: `SystemError`.
  public static func pair() throws(SystemError) -> (ByteStream, ByteStream) {
    var ends: [Int32] = [-1, -1]
    let r = clinux_socket_pair(&ends)
    guard r == 0 else { throw SystemError(code: .init(rawValue: -r), "create a socket", []) }
    return (
      try ByteStream(reading: ends[0], writing: ends[0]),
      try ByteStream(reading: ends[1], writing: ends[1])
    )
  }

  /// Takes over standard input and standard output. After that, standard input is empty, and what is printed goes to
  /// standard error.
  /// - Throws: `SystemError`.
  public static func takingStandardStreams() throws(SystemError) -> ByteStream {
    var ends: [Int32] = [-1, -1]
    let r = clinux_take_standard_streams(&ends)
    guard r == 0 else { throw SystemError(code: .init(rawValue: -r), "use standard input", []) }
    return try ByteStream(reading: ends[0], writing: ends[1])
  }

  /// Reads what has arrived.
  /// - Returns: the number of bytes; 0 at the end; nil if nothing has arrived yet.
  /// - Throws: `SystemError`.
  public func read(into buffer: UnsafeMutableRawBufferPointer) throws(SystemError) -> Int? {
    let n = clinux_read(reading, buffer.baseAddress, buffer.count)
    if n >= 0 { return Int(n) }
    return try ByteStream.nilIfNotReady(n, "read from the connection")
  }

  /// Writes as much of two buffers as the stream takes now.
  /// - Returns: the number of bytes; nil if it takes none.
  /// - Throws: `SystemError`.
  public func write(
    _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer
  ) throws(SystemError) -> Int? {
    let n = clinux_write_pipe_pair(
      writing, first.baseAddress, first.count, second.baseAddress, second.count)
    if n >= 0 { return Int(n) }
    return try ByteStream.nilIfNotReady(n, "write to the connection")
  }

  private static func nilIfNotReady(_ r: Int64, _ call: String) throws(SystemError) -> Int? {
    let code = SystemError.Code(rawValue: Int32(-r))
    if code == .tryAgain { return nil }
    throw SystemError(code: code, call, [])
  }

  /// Waits until bytes have arrived, or can be written.
  /// - Parameter milliseconds: the longest time to wait.
  /// - Throws: `SystemError`.
  public func wait(
    reads: Bool, writes: Bool, milliseconds: Int
  ) throws(SystemError) -> Readiness {
    let r = clinux_wait_stream(
      reads ? reading : -1, writes ? writing : -1, Int32(clamping: milliseconds))
    guard r >= 0 else {
      throw SystemError(code: .init(rawValue: -r), "wait for the connection", [])
    }
    return Readiness(canRead: r & 1 != 0, canWrite: r & 2 != 0)
  }

  /// Tells the other side that no more bytes follow, and keeps reading. The stream must be a socket.
  public func endOutput() { clinux_end_output(writing) }

  /// Closes both directions.
  public func close() {
    if reading >= 0 { _ = clinux_close(reading) }
    if writing >= 0, writing != reading { _ = clinux_close(writing) }
    reading = -1
    writing = -1
  }
}
