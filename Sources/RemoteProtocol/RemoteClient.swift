// The client's end of a connection: greeting, one request at a time, and the answers.
//
// 1. A request that the server refuses leaves the connection usable. Any other error closes it: what would follow
//    in the stream is unknown.
// 2. Requests of several threads wait for each other. A request inside the answer of another one is a mistake of
//    the caller, and ends the program.

import Codec
import Glibc
import Platform
import Transfer

/// An open connection to a store elsewhere.
public final class RemoteClient: Sendable {
  /// What runs at the other end, such as ssh.
  public struct Transport: Sendable {
    let stream: ByteStream
    /// Ends the transport, and returns why it ended on its own; nil if it cannot tell.
    let end: @Sendable () -> TransferError?

    /// Creates a transport.
    public init(_ stream: ByteStream, end: @escaping @Sendable () -> TransferError? = { nil }) {
      self.stream = stream
      self.end = end
    }
  }

  private struct State {
    var owner: pthread_t?
    /// The error that closed the connection.
    var failure: TransferError?
    var isClosed = false
    /// The error that ended the session of the server.
    var sessionFailure: TransferError?
  }

  /// The remote for messages.
  public let name: String
  let stream: MessageStream
  private let transport: Transport
  private let state = Monitor(State())
  private let opening = Monitor<OpenResponse?>(nil)

  /// Connects to a server.
  /// - Parameters:
  ///   - store: the path of the store there; empty for the server's own.
  ///   - name: the remote for messages: a URL without credentials.
  ///   - client: who this client is.
  ///   - greeting: the versions and the name of this program.
  /// - Throws: `TransferError`: `remoteUnavailable`, `remoteUnsuitable`, `remoteDenied`, `remoteDamaged`; errors
  ///   of the server.
  public init(
    _ transport: Transport, store: [UInt8], name: String, client: ClientIdentity,
    greeting: Greeting, limits: StreamLimits = StreamLimits()
  ) throws {
    self.name = name
    self.transport = transport
    stream = MessageStream(transport.stream, peer: name, limits: limits)
    do {
      try stream.sendLine(greeting.line)
      let line = try stream.receiveLine(limit: Greeting.maxBytes)
      guard let other = Greeting(line) else { throw RemoteClient.noGreeting(line, name) }
      _ = try greeting.version(sharedWith: other, at: name)
      try stream.startKeepAlive()
    } catch { throw explain(error) }
    let request = OpenRequest(features: .own, store: store, client: client)
    let response = try self.request(.open(request)) { connection in
      try connection.decode(try connection.answer(.opened), OpenResponse.decode)
    }
    opening.withLock { $0 = response }
  }

  deinit { close() }

  /// What the account may do.
  public var rights: RemoteRights { opening.withLock { $0?.rights } ?? .readOnly }
  /// The features that both sides have.
  var features: Features { opening.withLock { $0?.features } ?? [] }
  /// The path of the store at the remote, for messages.
  public var store: String { opening.withLock { $0?.store } ?? "" }
  /// The bytes that crossed the connection in both directions.
  public var transferredBytes: UInt64 { stream.receivedBytes + stream.sentBytes }

  private static func noGreeting(_ line: [UInt8], _ name: String) -> TransferError {
    line.isEmpty
      ? TransferError(.remoteUnavailable, name, "closed the connection before it answered")
      : TransferError(
        .remoteUnsuitable, name, "answered '\(printable(line.prefix(100)))', not as imgstore does",
        hint:
          "Check that the login shell there prints nothing, and that imgstore is installed there")
  }

  // MARK: Requests

  /// Sends a request and reads its answer.
  /// - Throws: the error of the server; `remoteUnavailable`, `remoteDamaged`; errors of `body`.
  public func request<R>(
    _ request: Request, _ body: (RemoteClient) throws -> R
  ) throws -> R {
    try exclusively { connection in
      try connection.stream.send(request.type, request.body)
      return try body(connection)
    }
  }

  /// Runs `body` while no other thread uses the connection.
  func exclusively<R>(_ body: (RemoteClient) throws -> R) throws -> R {
    let own = pthread_self()
    let failure = state.wait { state -> TransferError?? in
      precondition(state.owner != own, "a request inside the answer of another one")
      if let failure = state.failure { return .some(failure) }
      if state.isClosed { return .some(closedError) }
      guard state.owner == nil else { return nil }
      state.owner = own
      return .some(nil)
    }
    if let failure { throw failure }
    defer { state.update { $0.owner = nil } }
    do {
      return try body(self)
    } catch let refusal as Refusal {
      throw refusal.error
    } catch {
      throw explain(error)
    }
  }

  private var closedError: TransferError {
    TransferError(.remoteUnavailable, name, "cannot be used: the connection is closed")
  }

  /// Closes the connection after an error, and returns the error that tells most.
  private func explain(_ error: any Error) -> any Error {
    let known = error as? TransferError
    stream.close()
    let cause = transport.end()
    var result: any Error = error
    if let cause, known?.errorCode == .remoteUnavailable { result = cause }
    state.update { state in
      state.isClosed = true
      state.failure =
        (result as? TransferError)
        ?? TransferError(.remoteUnavailable, name, "cannot be used after an interrupted request")
    }
    return result
  }

  /// Closes the connection.
  public func close() {
    let isFirst = state.update { state in
      defer { state.isClosed = true }
      return !state.isClosed
    }
    guard isFirst else { return }
    stream.close()
    _ = transport.end()
  }

  // MARK: Answers

  /// The server's refusal of a request.
  struct Refusal: Error {
    let error: TransferError
  }

  /// Reads an answer.
  /// - Throws: `Refusal`; `remoteDamaged` for an answer of another type.
  public func answer(_ expected: MessageType) throws -> [UInt8] {
    let message = try answer()
    guard message.type == expected else { throw unexpected(message.type) }
    return message.body
  }

  /// Reads an answer of any type. The failure of a session is kept for `sessionFailure`.
  func answer() throws -> MessageStream.Message {
    while true {
      guard let message = try stream.receive() else {
        throw TransferError(
          .remoteUnavailable, name, "closed the connection",
          hint: "Run the command again. Complete packs are not sent again")
      }
      switch message.type {
      case .failure:
        throw Refusal(error: try decode(message.body, FailureMessage.decode).error(at: name))
      case .appendFailure: try keepSessionFailure(message)
      default: return message
      }
    }
  }

  /// Reads whether the server has refused a frame of the session.
  /// - Throws: the server's error.
  func checkSession() throws {
    if let message = try stream.receiveIfArrived() {
      guard message.type == .appendFailure else { throw unexpected(message.type) }
      try keepSessionFailure(message)
    }
    if let failure = state.withLock({ $0.sessionFailure }) { throw Refusal(error: failure) }
  }

  private func keepSessionFailure(_ message: MessageStream.Message) throws {
    let error = try decode(message.body, FailureMessage.decode).error(at: name)
    state.update { $0.sessionFailure = $0.sessionFailure ?? error }
  }

  /// Forgets the failure of an earlier session.
  func clearSessionFailure() { state.update { $0.sessionFailure = nil } }

  func unexpected(_ type: MessageType) -> TransferError {
    .damaged(name, "sent an answer of type \(type.rawValue), which nobody asked for")
  }

  /// Decodes a body.
  /// - Throws: `remoteDamaged`.
  func decode<R>(
    _ body: [UInt8], _ decode: ([UInt8]) throws(CodecError) -> R
  ) throws(TransferError) -> R {
    do throws(CodecError) { return try decode(body) } catch {
      throw .damaged(name, "sent an answer that is not valid: \(error)")
    }
  }
}
