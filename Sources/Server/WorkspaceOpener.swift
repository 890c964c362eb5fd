// Where handlers get a workspace from.
//
// 1. A workspace holds a lease of its store, and gc waits for leases. So each request opens a workspace of its
//    own, and drops it when it is answered.
// 2. Nothing that a request can name opens another store.

import Images

/// Opens workspaces for requests.
public struct WorkspaceOpener: Sendable {
  private let options: WorkspaceOptions
  /// The remote whose images are served; nil for those of the store.
  public let remote: String?
  private let warn: @Sendable (String) -> Void

  /// Creates an opener.
  /// - Parameter warn: receives warnings, one line each.
  public init(
    _ options: WorkspaceOptions, remote: String? = nil, warn: @escaping @Sendable (String) -> Void
  ) {
    self.options = options
    self.remote = remote
    self.warn = warn
  }

  /// Opens a workspace.
  /// - Throws: `ImageError` if the root cannot be opened.
  public func open() throws -> Workspace { try Workspace(options, warn: warn) }

  /// Reports a warning.
  public func report(_ line: String) { warn(line) }

  /// Returns the reference of the command line that means `IMAGE@REF` of a URL.
  public func reference(_ text: String) -> String { remote.map { "\($0)/\(text)" } ?? text }
}
