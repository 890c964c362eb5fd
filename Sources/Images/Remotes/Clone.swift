// imgstore clone: makes a new store with everything that a remote has.

import Platform
import Settings
import Store
import Transfer

extension Workspace {
  /// Fetches everything from a remote into a store that has no snapshots yet, and adds the remote as `origin`.
  ///
  /// An interrupted clone is continued by the same command.
  /// - Parameter url: the address of the remote.
  /// - Throws: `ImageError` (`alreadyExists`) if the store has snapshots of another place; see `pull`.
  public func clone(_ url: String, isDryRun: Bool = false) throws -> TransferOutcome {
    try StoreCloner(context).clone(url, isDryRun: isDryRun)
  }
}

/// Makes copies of whole stores.
struct StoreCloner: Collaborator {
  let context: Context
  static let remoteName = "origin"

  func clone(_ url: String, isDryRun: Bool) throws -> TransferOutcome {
    let start = monotonicSeconds()
    Interruption.ignoreClosedPipes()
    let registry = RemoteRegistry(context)
    let remote = try registry.remote(url)
    let origin = try registry.find(StoreCloner.remoteName)
    if let store = try context.storeIfPresent(), try !store.refs.images().isEmpty,
      origin?.url != remote.url
    {
      throw ImageError(
        .alreadyExists, "store \(printable(context.storePath))", "has snapshots already",
        hint: "Name another directory with --store, or use 'imgstore pull \(url) --all'")
    }
    if isDryRun, try context.storeIfPresent() == nil {
      return try ScratchStore(context).with { try StoreCloner($0).clone(url, isDryRun: true) }
    }
    // The remote is recorded first: that is how a repeated command knows what it continues.
    let source =
      isDryRun
      ? remote : try origin ?? registry.add(remote.settings.named(StoreCloner.remoteName))
    var outcome = TransferOutcome(.clone, source, isDryRun: isDryRun)
    var request = PullRequest(url, [])
    request.fetchesAll = true
    request.isDryRun = isDryRun
    try RemoteConnector(context).with(source) { connection in
      try SnapshotPuller(context).fetch(from: connection, request, as: nil, &outcome)
    }
    outcome.seconds = monotonicSeconds() - start
    return outcome
  }
}
