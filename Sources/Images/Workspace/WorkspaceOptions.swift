// The options of a workspace, which the command line fills in.

import Platform
import Settings
import Store

/// The options of a workspace.
public struct WorkspaceOptions: Sendable {
  /// The store's directory.
  public var store: String
  /// The directory below which every absolute path of tables and manifests is resolved.
  public var root: String
  /// The directory of xCAT's table files; nil to search where xCAT does, then in the store
  /// (`Workspace.tables`).
  public var xcatDirectory: String?
  /// Which owners of the store are accepted.
  public var storeOwner: StoreOwnerPolicy
  /// Whether the creation of a store is reported.
  public var announcesNewStore = true
  /// Whether only warnings are reported.
  public var isQuiet = false
  /// How long a command waits for other processes, all of its waits together.
  public var lockWait = LockWait.forever
  /// The settings of the configuration files.
  public var configuration = Configuration()
  /// The directory for caches if the store cannot be written; nil for none. Other users must not be able to
  /// write to it.
  public var fallbackCache: String?
  /// The source of the time for records and schedules.
  public var clock = WallClock.system
  /// The environment: the source of XCATCFG, XCATROOT and PATH, and the environment of xCAT's commands.
  public var environment: [String: String]

  /// Creates the options of a workspace.
  public init(
    store: String, root: String = "/", xcatDirectory: String? = nil,
    storeOwner: StoreOwnerPolicy = .trusted, environment: [String: String] = processEnvironment()
  ) {
    self.store = store
    self.root = root
    self.xcatDirectory = xcatDirectory
    self.storeOwner = storeOwner
    self.environment = environment
  }
}
