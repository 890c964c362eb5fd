// One request and its answer, between the thread of the caller and the thread of the event loop.
//
// 1. The event loop never waits: it appends to `state`, and the caller's thread takes from there.
// 2. At most `maxQueuedBytes` and one read of the socket are queued; then the socket is not read.
// 3. Every promise is completed on every path.

import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import Platform

/// The status and the headers of an answer.
struct ResponseHead: Sendable {
  let status: Int
  private let headers: HTTPHeaders

  init(_ head: HTTPResponseHead) {
    status = Int(head.status.code)
    headers = head.headers
  }

  /// Returns the value of a header; nil if it does not occur exactly once.
  subscript(_ name: String) -> String? {
    let values = headers[name]
    return values.count == 1 ? values[0] : nil
  }

  /// The size that the answer announces; nil if it announces none, or an invalid one.
  var contentLength: UInt64? { self["content-length"].flatMap { UInt64($0) } }
}

/// The way to send a body: `done` is completed after the last write, or after a failed one.
struct BodyStream: Sendable {
  let writer: HTTPClient.Body.StreamWriter
  let done: EventLoopPromise<Void>
}

/// Receives what the event loop reads.
final class HTTPExchange: HTTPClientResponseDelegate {
  typealias Response = Void

  enum Event {
    case canSend(BodyStream)
    case head(HTTPResponseHead)
    case parts([ByteBuffer], EventLoopPromise<Void>?)
    case end((any Error)?)
  }

  private struct State {
    var stream: BodyStream?
    var head: HTTPResponseHead?
    var parts: [ByteBuffer] = []
    var queuedBytes = 0
    /// Lets the event loop read on.
    var promise: EventLoopPromise<Void>?
    var isEnded = false
    var error: (any Error)?
  }

  private static let maxQueuedBytes = 1 << 20
  private let state = Monitor(State())

  /// Waits for the next event. Each of `canSend`, `head` and `end` occurs once at most; `end` is the last.
  func next() -> Event {
    state.wait { state in
      if let stream = state.stream {
        state.stream = nil
        return .canSend(stream)
      }
      if let head = state.head {
        state.head = nil
        return .head(head)
      }
      if !state.parts.isEmpty {
        let event = Event.parts(state.parts, state.promise)
        (state.parts, state.queuedBytes, state.promise) = ([], 0, nil)
        return event
      }
      return state.isEnded ? .end(state.error) : nil
    }
  }

  /// Hands the stream to the caller's thread, unless that has gone.
  func setStream(_ stream: BodyStream) {
    let isEnded = state.update { state in
      if !state.isEnded { state.stream = stream }
      return state.isEnded
    }
    if isEnded { stream.done.fail(ChannelError.alreadyClosed) }
  }

  func didReceiveHead(
    task: HTTPClient.Task<Void>, _ head: HTTPResponseHead
  ) -> EventLoopFuture<Void> {
    state.update { $0.head = head }
    return task.eventLoop.makeSucceededVoidFuture()
  }

  func didReceiveBodyPart(
    task: HTTPClient.Task<Void>, _ buffer: ByteBuffer
  ) -> EventLoopFuture<Void> {
    state.update { state in
      state.parts.append(buffer)
      state.queuedBytes += buffer.readableBytes
      guard state.queuedBytes > HTTPExchange.maxQueuedBytes else {
        return task.eventLoop.makeSucceededVoidFuture()
      }
      let promise = task.eventLoop.makePromise(of: Void.self)
      state.promise = promise
      return promise.futureResult
    }
  }

  func didFinishRequest(task: HTTPClient.Task<Void>) throws {}

  func end(_ error: (any Error)?) {
    state.update { state in
      state.isEnded = true
      state.error = error
    }
  }
}
