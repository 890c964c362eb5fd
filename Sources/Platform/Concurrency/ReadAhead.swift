// A source that a separate thread reads ahead, so that decompressing a bundle and hashing its
// content use two processors. Some parts take longer to decompress and others to hash, so the
// thread may run far ahead. Memory: 96 buffers of 1 MiB, of which a steady stream uses four.
//
// The thread ends at the source's end, at its first error, or when the reader is released. Nothing
// waits for the thread, because it may block in a read from a pipe.

/// Reads a source ahead of its reader.
public final class ReadAhead: Sendable {
  /// Fills a buffer and returns the number of bytes; 0 at the end.
  public typealias Source = (UnsafeMutableRawBufferPointer) throws -> Int

  private static let bufferBytes = 1 << 20
  private static let bufferCount = 96

  /// A part of the stream. One side owns it at a time.
  private final class Buffer: @unchecked Sendable {  // transferred under the monitor's lock
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: bufferBytes, alignment: 4096)
    var count = 0
    deinit { bytes.deallocate() }
  }

  private struct State {
    var free: [Buffer] = (0..<bufferCount).map { _ in Buffer() }
    var filled: [Buffer] = []
    var isEnded = false
    var failure: (any Error)?
    var isAbandoned = false
    /// The buffer that the reader consumes, and its position in it.
    var current: Buffer?
    var offset = 0
  }

  private let state: Monitor<State>

  /// Starts the thread.
  /// - Parameter open: creates the source, on the thread that reads it.
  public init(_ open: @escaping @Sendable () -> Source) {
    let state = Monitor(State())
    self.state = state
    let read: @Sendable () -> Void = {
      do {
        try ReadAhead.fill(state, from: open())
        state.update { $0.isEnded = true }
      } catch {
        state.update { state in
          state.failure = error
          state.isEnded = true
        }
      }
    }
    do throws(SystemError) {
      try startDetachedThread(read)
    } catch {
      // The reader receives this error as the first error of the stream.
      state.update { state in
        state.failure = error
        state.isEnded = true
      }
    }
  }

  deinit { state.update { $0.isAbandoned = true } }

  private static func fill(_ state: Monitor<State>, from source: Source) throws {
    while true {
      let next = state.wait { state -> Buffer?? in
        if state.isAbandoned { return .some(nil) }
        return state.free.popLast().map { .some($0) }
      }
      guard let buffer = next else { return }
      buffer.count = 0
      while buffer.count < bufferBytes {
        let n = try source(UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[buffer.count...]))
        if n == 0 { break }
        buffer.count += n
      }
      let isLast = buffer.count < bufferBytes
      state.update { $0.filled.append(buffer) }
      if isLast { return }
    }
  }

  /// Copies available bytes into `target`. Only one thread may read.
  /// - Returns: the number of bytes; 0 only at the end.
  /// - Throws: the error of the source, after all bytes before it were read.
  public func read(_ target: UnsafeMutableRawBufferPointer) throws -> Int {
    while true {
      let (buffer, offset) = try takeBuffer()
      guard let buffer else { return 0 }
      let n = min(target.count, buffer.count - offset)
      if n > 0 {
        UnsafeMutableRawBufferPointer(rebasing: target[..<n])
          .copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer.bytes[offset..<(offset + n)]))
      }
      state.update { state in
        state.offset = offset + n
        guard state.offset == buffer.count else { return }
        state.free.append(buffer)
        state.current = nil
      }
      if n > 0 || target.isEmpty { return n }
    }
  }

  private func takeBuffer() throws -> (Buffer?, Int) {
    let result = state.wait { state -> Result<(Buffer?, Int), any Error>? in
      if let current = state.current { return .success((current, state.offset)) }
      if !state.filled.isEmpty {
        let buffer = state.filled.removeFirst()
        state.current = buffer
        state.offset = 0
        return .success((buffer, 0))
      }
      if let failure = state.failure { return .failure(failure) }
      return state.isEnded ? .success((nil, 0)) : nil
    }
    return try result.get()
  }
}
