// One connection: reads a request, has it answered, and reads the next one.
//
//     receiving ──▶ (draining a small body) ──▶ answering ──▶ receiving …
//         └────────────── refused ─────────────────┴──▶ lingering ──▶ closed
//
// 1. The next request is parsed after the last answer was sent, so answers are in the order of the requests. The
//    socket is read only while a request is awaited.
// 2. After a request that breaks a rule, the connection ends: what follows has no certain meaning.
// 3. Each phase has a time limit: for a request, for its body, for each byte of an answer.

import NIOCore
import NIOPosix
import Platform

/// Handles the bytes of a connection. It is used on its event loop only.
final class ConnectionHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer

  enum Phase {
    case receiving
    case draining(RequestHead, restBytes: UInt64)
    case answering
    case lingering
    case closed
  }

  let core: ServiceCore
  let isSecure: Bool
  let isRefused: Bool
  private let connections: LoopConnections

  var context: ChannelHandlerContext?
  private(set) var phase = Phase.receiving
  private var reader: RequestReader
  private var deadline = NIODeadline.distantFuture
  private var isProcessing = false
  private var isInputClosed = false
  private var isOverflowing = false
  private var wasTimedOut = false
  var requestCount = 0
  var writer: AnswerWriter?
  private(set) var peer = ""

  /// Creates a handler.
  /// - Parameter isRefused: whether there are too many connections, so that this one only gets an answer.
  init(_ core: ServiceCore, _ connections: LoopConnections, isSecure: Bool, isRefused: Bool) {
    self.core = core
    self.connections = connections
    self.isSecure = isSecure
    self.isRefused = isRefused
    reader = RequestReader(core.limits.head)
  }

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    connections.add(self)
    deadline = .now() + .of(core.limits.requestSeconds)
    if context.channel.isActive { begin() }
  }

  func channelActive(context: ChannelHandlerContext) { begin() }

  private func begin() {
    guard peer.isEmpty, let context else { return }
    let address = context.channel.remoteAddress
    peer = address?.ipAddress.map { "\($0):\(address?.port ?? 0)" } ?? "local"
    if isRefused {
      phase = .answering
      return refuse(RequestFailure(.unavailable, "too many connections; try again later"))
    }
    context.read()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let buffer = unwrapInboundIn(data)
    switch phase {
    case .lingering, .closed: return
    default: break
    }
    // More than a head can only come with the end of the input, when all of it is read at once.
    guard reader.count + buffer.readableBytes <= core.limits.head.headBytes + 256 << 10 else {
      isOverflowing = true
      return
    }
    if case .receiving = phase, reader.count == 0, requestCount > 0 {
      deadline = .now() + .of(core.limits.requestSeconds)
    }
    buffer.withUnsafeReadableBytes { reader.append($0) }
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    if case .lingering = phase { return context.read() }
    process()
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    guard case .some(.inputClosed) = event as? ChannelEvent else { return }
    isInputClosed = true
    if case .lingering = phase { return close() }
    process()
  }

  func channelInactive(context: ChannelHandlerContext) {
    phase = .closed
    writer?.cancel()
    forget()
  }

  func handlerRemoved(context: ChannelHandlerContext) { forget() }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    // A reset, a failed TLS handshake: there is nobody to tell.
    close()
  }

  private func forget() {
    guard self.context != nil else { return }
    context = nil
    connections.remove(self)
    if !isRefused { core.counters.close() }
  }
}

extension ConnectionHandler {
  /// Parses and answers requests until more bytes are needed, or an answer is under way.
  func process() {
    guard !isProcessing else { return }
    isProcessing = true
    defer { isProcessing = false }
    while true {
      switch phase {
      case .receiving:
        do throws(RequestFailure) {
          guard let head = try reader.nextHead() else { return needMore() }
          try receive(head)
        } catch { refuse(error) }
      case .draining(let head, let rest):
        let left = rest - reader.drop(atMost: rest)
        guard left == 0 else {
          phase = .draining(head, restBytes: left)
          return needMore()
        }
        phase = .answering
        dispatch(head)
      case .answering, .lingering, .closed: return
      }
    }
  }

  private func needMore() {
    if isInputClosed || isOverflowing { return close() }
    if case .receiving = phase, core.isStopping, reader.count == 0 { return close() }
    context?.read()
  }

  private func receive(_ head: RequestHead) throws(RequestFailure) {
    let framing = try head.framing()
    requestCount += 1
    guard case .length(let length) = framing else {
      phase = .answering
      return dispatch(head)
    }
    guard length <= core.limits.bodyBytes else {
      throw RequestFailure(.contentTooLarge, "this server takes no request bodies")
    }
    let expectations = head.tokens("expect")
    if expectations == ["100-continue"], head.minorVersion == 1, reader.count == 0 {
      var line = ByteBuffer()
      line.writeString("HTTP/1.1 100 Continue\r\n\r\n")
      context?.writeAndFlush(NIOAny(line), promise: nil)
    }
    phase = .draining(head, restBytes: length)
  }

  /// Ends an answer, and the connection where that is needed.
  func finish(isComplete: Bool, keepsConnection: Bool) {
    writer = nil
    guard case .answering = phase else { return }
    guard isComplete else { return abort() }
    guard !isRefused else { return close() }
    guard keepsConnection, !isOverflowing else { return linger() }
    phase = .receiving
    deadline =
      .now() + .of(reader.count > 0 ? core.limits.requestSeconds : core.limits.idleSeconds)
    process()
  }

  /// Sends a refusal, and ends the connection.
  private func refuse(_ failure: RequestFailure) {
    phase = .answering
    answer(failure)
  }

  /// Ends the output, and reads what the client is still sending for a while: closing at once would reset the
  /// connection, and the client might not see the answer.
  private func linger() {
    guard let context else { return }
    if isInputClosed { return close() }
    phase = .lingering
    deadline = .now() + .of(core.limits.lingerSeconds)
    context.close(mode: .output, promise: nil)
    context.read()
  }

  /// Ends the connection with a reset, so that no client takes a part of an answer for the whole.
  private func abort() {
    guard let context else { return }
    if let provider = context.channel as? any SocketOptionProvider {
      provider.setSoLinger(.init(l_onoff: 1, l_linger: 0)).whenComplete { _ in }
    }
    close()
  }

  private func close() {
    phase = .closed
    writer?.cancel()
    context?.close(promise: nil)
  }

  /// Ends the connection if its time is over.
  func tick(_ now: NIODeadline) {
    switch phase {
    case .answering:
      guard let writer, writer.isStalled(now, limit: .of(core.limits.stallSeconds)) else { return }
      core.counters.update { $0.timeouts += 1 }
      writer.cancel()
    case .receiving, .draining:
      guard now > deadline, !wasTimedOut else { return }
      wasTimedOut = true
      // An idle connection ends without a word.
      if reader.count == 0, case .receiving = phase { return close() }
      core.counters.update { $0.timeouts += 1 }
      refuse(RequestFailure(.requestTimeout, "the request took too long"))
    case .lingering: if now > deadline { close() }
    case .closed: break
    }
  }

  /// Ends the connection because the server ends: at once, or after its present answer.
  func end(atOnce: Bool) {
    if atOnce { return writer == nil ? close() : abort() }
    if case .receiving = phase, reader.count == 0 { close() }
  }
}

extension TimeAmount {
  static func of(_ seconds: Double) -> TimeAmount {
    .nanoseconds(Int64(min(max(seconds, 0), 1e9) * 1e9))
  }
}
