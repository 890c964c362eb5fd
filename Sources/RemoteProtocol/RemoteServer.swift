// The server's end of a connection: one store, one request after another.
//
// 1. A client may be hostile. Sizes, counts and names are checked when they are decoded; what is pushed is verified
//    as a bundle is (`LocalSession`).
// 2. No request deletes, overwrites or moves anything. The rights decide about requests that add something.
// 3. A request that fails is answered with an error. A message that is not a request ends the connection.
// 4. A frame that is refused ends the session: frames that follow are read and dropped until the client ends it.

import Codec
import Platform
import Store
import Transfer

/// The options of a server.
public struct ServerOptions: Sendable {
  public var rights: RemoteRights
  public var greeting: Greeting
  /// How long a push waits for the lock of an image.
  public var lockWait: LockWait
  public var limits: StreamLimits

  /// Creates options.
  public init(
    rights: RemoteRights, greeting: Greeting, lockWait: LockWait = .atMost(seconds: 600),
    limits: StreamLimits = StreamLimits()
  ) {
    self.rights = rights
    self.greeting = greeting
    self.lockWait = lockWait
    self.limits = limits
  }
}

/// Serves one connection.
public final class RemoteServer {
  /// Opens the store for a client that wishes this path, which may be empty.
  public typealias StoreOpener = ([UInt8]) throws -> ObjectStore

  private let stream: MessageStream
  private let options: ServerOptions
  private let openStore: StoreOpener

  /// Creates a server.
  public init(
    _ stream: ByteStream, options: ServerOptions, openStore: @escaping StoreOpener
  ) {
    self.stream = MessageStream(stream, peer: "the client", limits: options.limits)
    self.options = options
    self.openStore = openStore
  }

  /// Serves requests until the client closes the connection.
  /// - Throws: `TransferError` if the client breaks the protocol, is too old or too new, or does not answer.
  public func run() throws {
    defer { stream.close() }
    try stream.sendLine(options.greeting.line)
    let line = try stream.receiveLine(limit: Greeting.maxBytes)
    if line.isEmpty { return }
    guard let client = Greeting(line) else {
      throw TransferError(
        .remoteUnsuitable, "the client", "does not speak imgstore's protocol",
        hint: "This command is for 'imgstore push' and 'pull' on another machine")
    }
    _ = try options.greeting.version(sharedWith: client, at: "the client")
    try stream.startKeepAlive()
    guard let (store, client) = try open() else { return }
    let requests = ServedRequests(store, stream, options, client: client)
    defer { requests.end() }
    do {
      while let message = try stream.receive() { try requests.serve(message) }
    } catch {
      // The client may not read it any more.
      try? stream.send(.failure, FailureMessage(error).body)
      throw error
    }
  }

  /// Answers the client's first request.
  /// - Returns: the store and who the client is; nil if the client closed the connection, or the store cannot be opened.
  private func open() throws -> (ObjectStore, ClientIdentity)? {
    guard let message = try stream.receive() else { return nil }
    do {
      let decoded = try ServedRequests.decode(message)
      guard case .open(let request) = decoded else {
        throw TransferError.damaged("the client", "did not name a store first")
      }
      let store = try openStore(request.store)
      let response = OpenResponse(
        features: request.features.intersection(.own), rights: options.rights,
        store: printable(store.layout.path))
      try stream.send(.opened, response.body)
      return (store, request.client)
    } catch {
      try stream.send(.failure, FailureMessage(error).body)
      return nil
    }
  }
}
