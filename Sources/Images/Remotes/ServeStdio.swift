// imgstore serve --stdio: the far end of push and pull over ssh. The client is as untrusted as a bundle.
//
// 1. Standard output carries the protocol and nothing else: whatever is printed goes to standard error.
// 2. A client chooses the store only if the command line neither names one nor limits the rights. So a forced
//    command of authorized_keys gives access to one store.

import Platform
import RemoteProtocol
import Store

/// The options of `serve`.
public struct ServeRequest: Sendable {
  /// What clients may do.
  public enum Rights: Sendable {
    case readOnly
    /// Clients push snapshots, and add tags and pins. They delete, overwrite and move nothing.
    case appendOnly
    case full
  }

  public var rights: Rights
  /// Whether clients may name another store than that of the workspace.
  public var allowsOtherStores: Bool

  /// Creates the options.
  public init(rights: Rights, allowsOtherStores: Bool) {
    self.rights = rights
    self.allowsOtherStores = allowsOtherStores
  }
}

extension Workspace {
  /// Serves one client on standard input and standard output, until it closes the connection.
  /// - Throws: an error if the client breaks the protocol, is too old or too new, or does not answer.
  public func serveStdio(_ request: ServeRequest) throws {
    try StdioServer(context).run(request)
  }
}

/// Serves a client of standard input and output.
struct StdioServer: Collaborator {
  let context: Context

  /// The longest wait for the lock of an image, unless the command line has one.
  private static let lockWaitSeconds = 600.0

  func run(_ request: ServeRequest) throws {
    let stream = try ByteStream.takingStandardStreams()
    let options = ServerOptions(
      rights: rights(request.rights), greeting: Workspace.greeting, lockWait: lockWait)
    try RemoteServer(stream, options: options) { path in try store(path, request) }.run()
  }

  private var lockWait: LockWait {
    if case .forever = context.options.lockWait {
      return .atMost(seconds: StdioServer.lockWaitSeconds)
    }
    return context.options.lockWait
  }

  private func rights(_ rights: ServeRequest.Rights) -> RemoteRights {
    switch rights {
    case .readOnly: .readOnly
    case .appendOnly: .appendOnly
    case .full: .full
    }
  }

  /// Opens the store for a client.
  /// - Parameter path: the path that the client names; empty if it names none.
  /// - Throws: `ImageError` (`remoteDenied`) for another store than this command serves; `StoreError`.
  func store(_ path: [UInt8], _ request: ServeRequest) throws -> ObjectStore {
    if path.isEmpty { return try context.store() }
    let text = String(decoding: path, as: UTF8.self)
    let wished = Array(absolute(text).utf8)
    if wished == context.storePath { return try context.store() }
    guard request.allowsOtherStores, Array(text.utf8) == path else {
      throw ImageError(
        .remoteDenied, "store \(printable(path))", "is not served to this account",
        hint: "Leave the path out of the URL: the account has one store")
    }
    var options = context.options
    options.store = text
    return try Context(
      options, fileSystem: context.fileSystem, progress: context.progress,
      reporter: context.reporter
    ).store()
  }
}

extension Workspace {
  /// What this program says of itself when a connection starts.
  static var greeting: Greeting { Greeting(program: "imgstore \(Workspace.version)") }
}
