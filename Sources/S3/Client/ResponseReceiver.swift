// The two halves of an exchange on the caller's thread: the body that is sent, and the answer that arrives.

import AsyncHTTPClient
import NIOCore
import ObjectStorage

/// Collects an answer, or passes it on.
struct ResponseReceiver {
  private let limitBytes: Int
  private let sink: ResponseSink?
  private var head: ResponseHead?
  private var body: [UInt8] = []
  private var failure: TransportFailure?

  init(limitBytes: Int, sink: ResponseSink?) {
    self.limitBytes = limitBytes
    self.sink = sink
  }

  /// Whether the rest of the answer is not wanted.
  var isStopped: Bool { failure != nil }

  mutating func stop(_ failure: TransportFailure) { self.failure = self.failure ?? failure }

  mutating func begin(_ head: ResponseHead) {
    self.head = head
    guard passesOn(head), let sink else { return }
    do { try sink.begin(head) } catch { stop(TransportFailure(kind: .local(error), reason: "")) }
  }

  private func passesOn(_ head: ResponseHead) -> Bool {
    sink != nil && (head.status == 200 || head.status == 206)
  }

  mutating func receive(_ part: ByteBuffer) {
    guard !isStopped, let head else { return }
    if let sink, passesOn(head) {
      do {
        try part.withUnsafeReadableBytes { try sink.receive($0) }
      } catch {
        stop(TransportFailure(kind: .local(error), reason: ""))
      }
      return
    }
    // The body of a refusal may be cut: its status says enough.
    let limit = (200...299).contains(head.status) ? limitBytes : ErrorDocument.maxBytes
    guard part.readableBytes <= limit - body.count else {
      return stop(
        TransportFailure(kind: .tooLarge, reason: "answers with more than \(limit) bytes"))
    }
    part.withUnsafeReadableBytes { body.append(contentsOf: $0) }
  }

  /// Returns the answer. A refusal whose body is too long is returned without it.
  consuming func end(
    _ error: (any Error)?
  ) throws(TransportFailure) -> (head: ResponseHead, body: [UInt8]) {
    if let head, !(200...299).contains(head.status), failure != nil || error != nil {
      if case .local = failure?.kind {} else { return (head, []) }
    }
    if let failure { throw failure }
    if let error { throw HTTPTransport.failure(error) }
    guard let head else {
      throw TransportFailure(kind: .broken, reason: "the connection ended without an answer")
    }
    return (head, body)
  }
}

extension ResponseReceiver {
  /// Sends a body from the caller's thread. It stops silently if the connection breaks, or if the service
  /// answers early: the answer or the error follows as an event.
  mutating func send(_ body: RequestBody, to stream: BodyStream) {
    var position: UInt64 = 0
    var pending: EventLoopFuture<Void>?
    do {
      while position < body.sizeBytes {
        let count = Int(min(UInt64(RequestBody.chunkBytes), body.sizeBytes - position))
        let chunk = try ResponseReceiver.chunk(of: body, at: position, count)
        position += UInt64(count)
        // One write is under way while the next chunk is read.
        try pending?.wait()
        pending = stream.writer.write(.byteBuffer(chunk))
      }
      try pending?.wait()
      stream.done.succeed()
    } catch {
      if error is StorageError { stop(TransportFailure(kind: .local(error), reason: "")) }
      stream.done.fail(error)
    }
  }

  private static func chunk(
    of body: RequestBody, at position: UInt64, _ count: Int
  ) throws(StorageError) -> ByteBuffer {
    var buffer = ByteBufferAllocator().buffer(capacity: count)
    try buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) {
      (target) throws(StorageError) in
      try body.read(at: position, into: .init(rebasing: target[..<count]))
      return count
    }
    return buffer
  }
}
