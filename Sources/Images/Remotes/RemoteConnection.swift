// An open remote. The commands see a source and a sink, whatever is behind them.

import Codec
import Glibc
import Platform
import Recipes
import RemoteProtocol
import Store
import Transfer

/// An open remote, until `close`.
struct RemoteConnection: @unchecked Sendable {  // closed by one owner
  let remote: Remote
  let source: any TransferSource
  private let openSink: () throws -> any TransferSink
  /// Checks what only this kind of remote has.
  var probe: () -> [RemoteCheckItem] = { [] }
  /// Ends the connection.
  var close: () -> Void = {}

  init(
    _ remote: Remote, source: any TransferSource,
    openSink: @escaping () throws -> any TransferSink
  ) {
    self.remote = remote
    self.source = source
    self.openSink = openSink
  }

  /// Returns the remote as a place to write to.
  /// - Throws: an error if it can only be read.
  func sink() throws -> any TransferSink { try openSink() }
}

/// Opens remotes.
struct RemoteConnector: Collaborator {
  let context: Context

  /// Runs `body` with an open remote.
  /// - Parameter create: whether a store that does not exist is created.
  /// - Throws: errors of the remote, and of `body`.
  func with<R>(
    _ remote: Remote, create: Bool = false, _ body: (RemoteConnection) throws -> R
  ) throws -> R {
    let connection = try connect(remote, create: create)
    defer { connection.close() }
    return try body(connection)
  }

  /// Opens a remote. The caller closes the connection.
  func connect(_ remote: Remote, create: Bool = false) throws -> RemoteConnection {
    switch remote.url {
    case .path(let path): return try openStore(remote, path, create: create)
    case .ssh(let address): return try openSSH(remote, address)
    case .s3: return try DepotConnector(context).connect(remote, create: create)
    }
  }

  private func openSSH(_ remote: Remote, _ address: SSHAddress) throws -> RemoteConnection {
    let warn = context.reporter.warn
    let transport = SSHTransport(
      address, client: clientIdentity, environment: context.options.environment,
      hasTerminal: isatty(0) == 1
    ) { warn($0) }
    let client = try transport.connect(greeting: Workspace.greeting)
    let store = RemoteStore(client)
    var connection = RemoteConnection(remote, source: store) { store }
    connection.close = { client.close() }
    return connection
  }

  /// What the origin records of pushed snapshots say about this store.
  private var clientIdentity: ClientIdentity {
    let host = context.provenance(RecordedCommand("push")).first { $0.key == "host" }?.value ?? ""
    return ClientIdentity(
      url: "ssh://\(host)\(printable(context.storePath))",
      user: CallerIdentity.text(context.fileSystem))
  }

  private func openStore(
    _ remote: Remote, _ path: String, create: Bool
  ) throws -> RemoteConnection {
    let (context, name) = (context, "store \(path)")
    let store = try ObjectStore(
      context.fileSystem, path: Array(path.utf8), create: create,
      owner: context.options.storeOwner, reconstructor: PlanReconstructor(),
      report: context.reporter.inform)
    if let own = try? StoreProtection(context).storeIdentity(),
      FileIdentity(try context.fileSystem.stat(store.layout.root.raw)) == own
    {
      throw ImageError(.usage, name, "is this store itself")
    }
    return RemoteConnection(remote, source: LocalSource(store, name: name)) {
      LocalSink(
        store, name: name, origin: "store \(printable(context.storePath))",
        lockWait: context.lockWait,
        record: OriginTemplate(
          remote: "push", url: printable(context.storePath),
          user: CallerIdentity.text(context.fileSystem), time: context.now()))
    }
  }
}
