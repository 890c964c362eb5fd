// Sends one answer.
//
// 1. At most one block is under way. Its size bounds the memory of the connection, and the next one is fetched when
//    the kernel has taken it: a slow client holds nothing but its connection.
// 2. A file goes from the page cache to the socket (sendfile), or below TLS through a buffer that a thread fills.
// 3. An answer that cannot be completed ends the connection with a reset, never with an end that looks complete.
// 4. Everything runs on the event loop of the connection, except for the reads of rule 2.

import NIOCore
import Platform

/// The answer that a connection is sending.
final class AnswerWriter {
  private static let blockBytes = 256 << 10
  private static let regionBytes: UInt64 = 8 << 20

  private let context: ChannelHandlerContext
  private let core: ServiceCore
  private let isSecure: Bool
  private let isChunked: Bool
  private let end: (_ isComplete: Bool) -> Void

  private var parts: ArraySlice<BodyPart>
  private var pending: ByteBuffer
  /// The bytes of the body that the kernel has taken.
  private(set) var bodyBytes: UInt64 = 0
  private var isWriting = false
  private var isWaiting = false
  private var isPumping = false
  private var isEnded = false
  private var stall = (mark: UInt64.max, since: NIODeadline.now())

  /// Creates a writer.
  /// - Parameter end: called once, when the kernel has taken the answer, or when it cannot be completed.
  init(
    _ answer: EncodedAnswer, to context: ChannelHandlerContext, _ core: ServiceCore,
    isSecure: Bool, end: @escaping (_ isComplete: Bool) -> Void
  ) {
    self.context = context
    self.core = core
    self.isSecure = isSecure
    isChunked = answer.isChunked
    self.end = end
    parts = answer.parts[...]
    pending = answer.head
  }

  /// Sends what can be sent without waiting.
  func pump() {
    guard !isPumping else { return }
    isPumping = true
    defer { isPumping = false }
    while !isWriting, !isWaiting, !isEnded {
      guard let part = parts.first else {
        if isChunked { pending.writeString("0\r\n\r\n") }
        guard pending.readableBytes > 0 else { return finish(true) }
        write(bodyBytes: 0, isLast: true)
        continue
      }
      switch part {
      case .bytes(let bytes): sendBytes(bytes)
      case .file(let file, let range): send(file, range, then: nil)
      case .growing(let file, let start, let end): sendGrowing(file, start, end)
      }
    }
  }

  /// Returns whether the client has taken nothing for a time.
  func isStalled(_ now: NIODeadline, limit: TimeAmount) -> Bool {
    guard isWriting else {
      stall = (.max, now)
      return false
    }
    let buffered = (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    let mark = bodyBytes &* 31 &+ UInt64(buffered)
    if mark != stall.mark { stall = (mark, now) }
    guard now - stall.since > limit else { return false }
    // The kernel's buffer takes new bytes only when a third of it is free. A slow client may need longer for so many.
    guard let idle = context.channel.sendIdleTime, idle < limit else { return true }
    stall.since = now - idle
    return false
  }

  /// Ends the answer because the connection ended.
  func cancel() { finish(false) }

  private func finish(_ isComplete: Bool) {
    guard !isEnded else { return }
    isEnded = true
    parts = []
    end(isComplete)
  }
}

extension AnswerWriter {
  private func sendBytes(_ bytes: ArraySlice<UInt8>) {
    let block = bytes.prefix(AnswerWriter.blockBytes)
    replaceFirst(block.count == bytes.count ? nil : .bytes(bytes[block.endIndex...]))
    guard !block.isEmpty else { return }
    beginChunk(block.count)
    pending.writeBytes(block)
    endChunk()
    write(bodyBytes: UInt64(block.count))
  }

  /// Sends a block of a file. The rest of the part, or `rest`, follows.
  private func send(_ file: Descriptor, _ range: Range<UInt64>, then rest: BodyPart?) {
    let limit = isSecure ? UInt64(AnswerWriter.blockBytes) : AnswerWriter.regionBytes
    let end = min(range.upperBound, range.lowerBound + limit)
    let remaining: BodyPart? =
      rest ?? (end < range.upperBound ? .file(file, end..<range.upperBound) : nil)
    replaceFirst(remaining)
    guard end > range.lowerBound else { return }
    if isSecure {
      read(file, range.lowerBound..<end)
    } else {
      writeRegion(file, range.lowerBound..<end)
    }
  }

  private func sendGrowing(_ file: GrowingFile, _ start: UInt64, _ end: UInt64?) {
    let seen = file.progress
    let available: UInt64
    switch seen {
    case .failed: return finish(false)
    case .finished(let size):
      guard end ?? size <= size else { return finish(false) }
      return replaceFirst(.file(file.descriptor, start..<max(start, end ?? size)))
    case .growing(let bytes): available = min(bytes, end ?? .max)
    }
    if let end, start >= end { return replaceFirst(nil) }
    if available > start {
      let limit = isSecure ? UInt64(AnswerWriter.blockBytes) : AnswerWriter.regionBytes
      let next = min(available, start + limit)
      return send(file.descriptor, start..<next, then: .growing(file, from: next, to: end))
    }
    // All written bytes were sent. The head may still wait for the first one: send it now.
    if pending.readableBytes > 0 { return write(bodyBytes: 0) }
    isWaiting = true
    let loop = context.eventLoop
    let writer = NIOLoopBound(self, eventLoop: loop)
    file.notify(after: seen) {
      loop.execute {
        writer.value.isWaiting = false
        writer.value.pump()
      }
    }
  }

  private func replaceFirst(_ part: BodyPart?) {
    if parts.isEmpty { return }
    if let part { parts[parts.startIndex] = part } else { parts.removeFirst() }
  }
}

extension AnswerWriter {
  private func beginChunk(_ count: Int) {
    if isChunked { pending.writeString(String(count, radix: 16) + "\r\n") }
  }

  private func endChunk() {
    if isChunked { pending.writeString("\r\n") }
  }

  /// Writes the pending bytes.
  private func write(bodyBytes count: UInt64, isLast: Bool = false) {
    let buffer = pending
    pending = context.channel.allocator.buffer(capacity: 0)
    flush(count, isLast: isLast) { context.writeAndFlush(NIOAny(buffer), promise: $0) }
  }

  private func writeRegion(_ file: Descriptor, _ range: Range<UInt64>) {
    let handle = NIOFileHandle(_deprecatedTakingOwnershipOfDescriptor: file.raw)
    let region = FileRegion(
      fileHandle: handle, readerIndex: Int(range.lowerBound), endIndex: Int(range.upperBound))
    beginChunk(range.count)
    if pending.readableBytes > 0 { context.write(NIOAny(pending), promise: nil) }
    pending = context.channel.allocator.buffer(capacity: 0)
    endChunk()
    let tail = pending
    pending = context.channel.allocator.buffer(capacity: 0)
    let release = {
      // The descriptor belongs to `file`, which lives at least as long.
      _ = try? handle.takeDescriptorOwnership()
      withExtendedLifetime(file) {}
    }
    flush(UInt64(range.count), release) { promise in
      if tail.readableBytes > 0 {
        context.write(NIOAny(region), promise: nil)
        context.writeAndFlush(NIOAny(tail), promise: promise)
      } else {
        context.writeAndFlush(NIOAny(region), promise: promise)
      }
    }
  }

  private func flush(
    _ count: UInt64, isLast: Bool = false, _ release: @escaping () -> Void = {},
    _ write: (EventLoopPromise<Void>) -> Void
  ) {
    isWriting = true
    let promise = context.eventLoop.makePromise(of: Void.self)
    promise.futureResult.assumeIsolated().whenComplete { [self] result in
      release()
      isWriting = false
      guard case .success = result else { return finish(false) }
      bodyBytes += count
      if isLast { finish(true) } else { pump() }
    }
    write(promise)
  }

  /// Reads a block on a thread, and writes it.
  private func read(_ file: Descriptor, _ range: Range<UInt64>) {
    isWriting = true
    let loop = context.eventLoop
    let writer = NIOLoopBound(self, eventLoop: loop)
    let isQueued = core.readers.submit {
      let bytes = AnswerWriter.bytes(of: file, range)
      loop.execute { writer.value.didRead(bytes) }
    }
    if !isQueued { finish(false) }
  }

  private func didRead(_ bytes: ByteBuffer?) {
    isWriting = false
    guard !isEnded else { return }
    guard var bytes else { return finish(false) }
    let count = bytes.readableBytes
    beginChunk(count)
    pending.writeBuffer(&bytes)
    endChunk()
    write(bodyBytes: UInt64(count))
  }

  /// Returns a range of a file; nil if it cannot be read, or is not there.
  private static func bytes(of file: Descriptor, _ range: Range<UInt64>) -> ByteBuffer? {
    var buffer = ByteBufferAllocator().buffer(capacity: range.count)
    var offset = range.lowerBound
    while offset < range.upperBound {
      let rest = Int(range.upperBound - offset)
      let count = try? buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: rest) {
        try KernelFileSystem.shared.read(file.raw, at: offset, into: .init(rebasing: $0[..<rest]))
      }
      guard let count, count > 0 else { return nil }
      offset += UInt64(count)
    }
    return buffer
  }
}
