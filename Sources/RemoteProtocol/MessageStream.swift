// Messages over a byte stream, with time limits: the only part of the module that reads and writes bytes.
//
// 1. Sizes are checked against the limit of the message's type before memory is allocated.
// 2. No wait is endless. A side that has nothing to send sends `keepAlive`, so silence means that the other side is
//    dead. A message that takes longer than `messageSeconds` to arrive is an error, too.
// 3. While a write waits, arriving bytes are read: two sides that both write do not wait for each other. Such bytes
//    are bounded.
// 4. One thread at a time calls `send` and `receive`. The keep-alive thread writes only between two messages.
// 5. Frames are written from their own memory, and read into memory of their own size.

import Codec
import Glibc
import Platform
import Transfer

/// How long a connection waits.
public struct StreamLimits: Sendable {
  /// A side that sends nothing for so long is dead.
  public var silenceSeconds = 120.0
  /// A side sends a keep-alive after so much silence.
  public var keepAliveSeconds = 15.0
  /// The longest wait for one complete message, keep-alives notwithstanding.
  public var messageSeconds = 3600.0

  /// Creates the usual limits.
  public init() {}
}

/// A stream of messages.
final class MessageStream: @unchecked Sendable {  // invariant 4 guards `input`
  struct Message {
    let type: MessageType
    let body: [UInt8]
  }

  private struct Output {
    var isWriting = false
    var isClosed = false
    /// Whether a part of a message was written, after which no other message can follow.
    var isBroken = false
    var sentAt: Double
  }

  private struct Input {
    var bytes: [UInt8] = []
    /// The offset of the first byte of `bytes` that was not consumed.
    var start = 0
    var receivedAt: Double
    var hasEnded = false
    var count: Int { bytes.count - start }
  }

  private static let readBytes = 64 << 10
  /// The most bytes that are read ahead of a message that nobody waits for.
  private static let maxReadAhead = 256 << 10

  /// The other side for messages.
  let peer: String
  private let stream: ByteStream
  private let limits: StreamLimits
  private let output: Monitor<Output>
  private var input: Input
  private var scratch = [UInt8](repeating: 0, count: readBytes)
  /// The number of bytes that were received and sent.
  private(set) var receivedBytes: UInt64 = 0
  private(set) var sentBytes: UInt64 = 0

  /// Takes over a stream, and starts to send keep-alives when `startKeepAlive` is called.
  init(_ stream: ByteStream, peer: String, limits: StreamLimits) {
    self.stream = stream
    self.peer = peer
    self.limits = limits
    let now = monotonicSeconds()
    output = Monitor(Output(sentAt: now))
    input = Input(receivedAt: now)
  }

  deinit { close() }

  /// Closes the stream. The other side sees its end.
  func close() {
    output.wait { $0.isWriting && !$0.isClosed ? nil : () }
    output.update { output in
      if !output.isClosed { stream.close() }
      output.isClosed = true
    }
  }

  // MARK: Keep-alives

  /// Starts the thread that sends keep-alives. It ends after the stream was closed or released.
  func startKeepAlive() throws(SystemError) {
    let interval = limits.keepAliveSeconds
    try startDetachedThread { [weak self] in
      while let isOpen = self?.sendKeepAliveIfDue(), isOpen {
        usleep(UInt32(min(interval / 4, 1) * 1e6))
      }
    }
  }

  /// Returns false if the stream is closed.
  private func sendKeepAliveIfDue() -> Bool {
    output.update { output in
      if output.isClosed { return false }
      guard !output.isWriting, monotonicSeconds() - output.sentAt >= limits.keepAliveSeconds else {
        return true
      }
      let message = [MessageType.keepAlive.rawValue, 0, 0, 0, 0]
      // A stream that takes no five bytes has unread ones. An error is found by the next message.
      let written = message.withUnsafeBytes { bytes in
        try? stream.write(bytes, UnsafeRawBufferPointer(start: nil, count: 0))
      }
      if let written, written > 0, written < message.count { output.isBroken = true }
      output.sentAt = monotonicSeconds()
      return true
    }
  }

  // MARK: Writing

  /// Sends a message.
  func send(_ type: MessageType, _ body: [UInt8] = []) throws {
    guard body.count <= type.limitBytes else {
      throw TransferError(
        .remoteUnsuitable, peer,
        "takes no message of \(body.count) bytes (type \(type.rawValue), limit \(type.limitBytes))")
    }
    let size = UInt32(body.count)
    let header = [type.rawValue] + (0..<4).map { UInt8(truncatingIfNeeded: size >> ($0 * 8)) }
    try write(header, body)
  }

  /// Sends bytes that are not a message: the greeting.
  func sendLine(_ bytes: [UInt8]) throws { try write(bytes, []) }

  private func write(_ front: [UInt8], _ rest: [UInt8]) throws {
    let isOpen = output.wait { output -> Bool? in
      if output.isClosed || output.isBroken { return false }
      if output.isWriting { return nil }
      output.isWriting = true
      return true
    }
    guard isOpen else { throw closed() }
    defer {
      output.update { output in
        output.isWriting = false
        output.sentAt = monotonicSeconds()
      }
    }
    try front.withUnsafeBytes { front in
      try rest.withUnsafeBytes { rest in try writeAll(front, rest) }
    }
    sentBytes += UInt64(front.count + rest.count)
  }

  private func writeAll(_ front: UnsafeRawBufferPointer, _ rest: UnsafeRawBufferPointer) throws {
    var done = 0
    let total = front.count + rest.count
    let deadline = monotonicSeconds() + limits.messageSeconds
    // Time that the caller spent elsewhere is not the other side's silence.
    input.receivedAt = monotonicSeconds()
    while done < total {
      let a = UnsafeRawBufferPointer(rebasing: front[min(done, front.count)...])
      let b = UnsafeRawBufferPointer(rebasing: rest[max(0, done - front.count)...])
      let written: Int?
      do throws(SystemError) { written = try stream.write(a, b) } catch { throw broken(error) }
      if let written {
        done += written
        input.receivedAt = monotonicSeconds()
        continue
      }
      let reads = !input.hasEnded && input.count < MessageStream.maxReadAhead
      let ready = try wait(reads: reads, writes: true, until: deadline)
      if ready.canRead { try fill() }
    }
  }

  // MARK: Reading

  /// Waits for the next message that is not a keep-alive.
  /// - Returns: the message; nil if the other side closed the stream before one.
  /// - Throws: `TransferError`.
  func receive() throws -> Message? {
    let deadline = monotonicSeconds() + limits.messageSeconds
    input.receivedAt = monotonicSeconds()
    while true {
      guard try fillHeader(until: deadline) else { return nil }
      let (type, count) = try header()
      input.start += MessageType.headerBytes
      let body = try body(count, until: deadline)
      if type != .keepAlive { return Message(type: type, body: body) }
    }
  }

  /// Returns a message that has arrived already; nil if there is none, or only a part of one.
  /// - Throws: `TransferError`.
  func receiveIfArrived() throws -> Message? {
    while true {
      if !input.hasEnded, input.count < MessageStream.maxReadAhead,
        try ready(reads: true, writes: false, milliseconds: 0).canRead
      {
        try fill()
      }
      guard input.count >= MessageType.headerBytes else {
        if input.hasEnded { throw closed() }
        return nil
      }
      let (type, count) = try header()
      guard input.count >= MessageType.headerBytes + count else {
        if input.hasEnded { throw closed() }
        return nil
      }
      input.start += MessageType.headerBytes
      let body = try body(count, until: 0)
      if type != .keepAlive { return Message(type: type, body: body) }
    }
  }

  /// Reads a line of at most `limit` bytes without its line break.
  /// - Returns: the line; also one without a line break, if the stream ended or the line is too long.
  func receiveLine(limit: Int) throws -> [UInt8] {
    let deadline = monotonicSeconds() + limits.silenceSeconds
    while true {
      let bytes = input.bytes[input.start...]
      if let end = bytes.prefix(limit).firstIndex(of: 0x0a) {
        input.start = end + 1
        return Array(bytes[..<end])
      }
      if bytes.count >= limit || input.hasEnded { return Array(bytes.prefix(limit)) }
      _ = try wait(reads: true, writes: false, until: deadline)
      try fill()
    }
  }

  private func fillHeader(until deadline: Double) throws -> Bool {
    while input.count < MessageType.headerBytes {
      if input.hasEnded {
        if input.count == 0 { return false }
        throw closed()
      }
      _ = try wait(reads: true, writes: false, until: deadline)
      try fill()
    }
    return true
  }

  private func header() throws -> (MessageType, Int) {
    let bytes = input.bytes[input.start..<input.start + MessageType.headerBytes]
    let count = bytes.dropFirst().reversed().reduce(0) { $0 << 8 | Int($1) }
    guard let type = MessageType(rawValue: bytes[bytes.startIndex]), count <= type.limitBytes else {
      throw TransferError.damaged(peer, "sent a message of a type or size that does not exist")
    }
    return (type, count)
  }

  private func body(_ count: Int, until deadline: Double) throws -> [UInt8] {
    if count == 0 { return [] }
    let present = min(count, input.count)
    let body = try [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      let target = UnsafeMutableRawBufferPointer(buffer)
      target.copyBytes(from: input.bytes[input.start..<input.start + present])
      input.start += present
      var done = present
      while done < count {
        if input.hasEnded { throw closed() }
        let rest = UnsafeMutableRawBufferPointer(rebasing: target[done...])
        guard let n = try read(into: rest) else {
          _ = try wait(reads: true, writes: false, until: deadline)
          continue
        }
        if n == 0 { input.hasEnded = true }
        done += n
      }
      initialized = count
    }
    return body
  }

  /// Reads what has arrived to the end of the input.
  private func fill() throws {
    if input.start == input.bytes.count {
      input.bytes.removeAll(keepingCapacity: true)
      input.start = 0
    } else if input.start > MessageStream.readBytes {
      input.bytes.removeFirst(input.start)
      input.start = 0
    }
    let n = try scratch.withUnsafeMutableBytes { try read(into: $0) }
    guard let n else { return }
    if n == 0 { input.hasEnded = true }
    input.bytes += scratch[..<n]
  }

  private func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int? {
    do throws(SystemError) {
      let n = try stream.read(into: buffer)
      if let n {
        input.receivedAt = monotonicSeconds()
        receivedBytes += UInt64(n)
      }
      return n
    } catch { throw broken(error) }
  }

  // MARK: Waiting

  /// Waits until the stream is ready.
  /// - Throws: `remoteUnavailable` after too much silence, or at the deadline.
  private func wait(
    reads: Bool, writes: Bool, until deadline: Double
  ) throws -> ByteStream.Readiness {
    while true {
      let now = monotonicSeconds()
      let limit = min(input.receivedAt + limits.silenceSeconds, deadline)
      guard now < limit else {
        throw TransferError(
          .remoteUnavailable, peer,
          "did not \(writes ? "take" : "send") data for \(Int(limits.silenceSeconds)) seconds",
          hint:
            "Check the connection, and run the command again. Complete packs are not sent again")
      }
      let milliseconds = Int(min((limit - now) * 1000, 1000)) + 1
      let readiness = try ready(reads: reads, writes: writes, milliseconds: milliseconds)
      if readiness.canRead || readiness.canWrite { return readiness }
    }
  }

  private func ready(
    reads: Bool, writes: Bool, milliseconds: Int
  ) throws -> ByteStream.Readiness {
    do throws(SystemError) {
      return try stream.wait(reads: reads, writes: writes, milliseconds: milliseconds)
    } catch { throw broken(error) }
  }

  private func broken(_ error: SystemError) -> TransferError {
    if [EPIPE, ECONNRESET].contains(error.code.rawValue) { return closed() }
    return TransferError(.remoteUnavailable, peer, "cannot be reached: \(error)")
  }

  private func closed() -> TransferError {
    TransferError(
      .remoteUnavailable, peer, "closed the connection",
      hint: "Run the command again. Complete packs are not sent again")
  }
}
