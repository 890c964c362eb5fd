// A server in this process, for tests and benchmarks: the whole protocol over a socket, without ssh.

import Platform
import Store
import Transfer

extension RemoteClient {
  /// Connects to a server on a thread of its own.
  /// - Parameters:
  ///   - name: the remote for messages.
  ///   - onEnd: receives the error that ended the server; nil if there was none.
  /// - Throws: see `init`; `SystemError`.
  public static func inProcess(
    name: String, options: ServerOptions, limits: StreamLimits = StreamLimits(),
    openStore: @escaping @Sendable ([UInt8]) throws -> ObjectStore,
    onEnd: @escaping @Sendable ((any Error)?) -> Void = { _ in }
  ) throws -> RemoteClient {
    let (client, server) = try ByteStream.pair()
    try startDetachedThread {
      let server = RemoteServer(server, options: options, openStore: openStore)
      do {
        try server.run()
        onEnd(nil)
      } catch {
        onEnd(error)
      }
    }
    return try RemoteClient(
      Transport(client), store: [], name: name, client: ClientIdentity(url: "here", user: "test"),
      greeting: options.greeting, limits: limits)
  }
}
