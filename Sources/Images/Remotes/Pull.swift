// imgstore pull: fetches snapshots of a remote into the history of this store.
//
// 1. No live image is changed. `--apply` then reverts to the snapshot, by the ordinary transaction.
// 2. Everything that arrives is verified before its ref is created: a remote is as untrusted as a bundle.
// 3. A snapshot keeps its id. Under another image's name (`--as`) it is a new snapshot, with an id of its own.
// 4. A tag that names another snapshot here is reported, and never moved.

import Codec
import Platform
import Store
import Transfer

/// The parameters of a pull.
public struct PullRequest: Sendable {
  /// The name or the address of the remote.
  public var remote: String
  /// The snapshots; a name alone means the latest snapshot.
  public var references: [String]
  /// Whether every snapshot of every image is fetched, with tags and pins.
  public var fetchesAll = false
  /// Whether the live image is reverted to the snapshot.
  public var applies = false
  /// Files and directories outside the image's own directories that the revert may change, too.
  public var allowed: [String] = []
  /// The exceptions of the revert for the snapshot.
  public var trust = PulledSnapshotTrust()
  /// The name of the image here; nil for the name at the remote.
  public var image: String?
  public var isDryRun = false

  /// Creates the parameters of a pull.
  public init(_ remote: String, _ references: [String]) {
    self.remote = remote
    self.references = references
  }
}

extension Workspace {
  /// Fetches snapshots from a remote.
  /// - Throws: `ImageError`, `TransferError`, `StoreError`, `StorageError`; with `applies` also the errors of
  ///   `revert`.
  public func pull(_ request: PullRequest) throws -> TransferOutcome {
    try SnapshotPuller(context).pull(request)
  }
}

/// Fetches snapshots.
struct SnapshotPuller: Collaborator {
  let context: Context

  func pull(_ request: PullRequest) throws -> TransferOutcome {
    let start = monotonicSeconds()
    Interruption.ignoreClosedPipes()
    let name = try request.image.map { try ImageName($0) }
    if request.applies || name != nil, request.references.count != 1 || request.fetchesAll {
      throw ImageError(
        .usage, request.applies ? "--apply" : "--as", "takes exactly one snapshot",
        hint: "Name one snapshot")
    }
    let remote = try RemoteRegistry(context).remote(request.remote)
    if request.isDryRun, try context.storeIfPresent() == nil {
      return try ScratchStore(context).with { try SnapshotPuller($0).pull(request) }
    }
    var outcome = TransferOutcome(.pull, remote, isDryRun: request.isDryRun)
    try RemoteConnector(context).with(remote) { connection in
      try fetch(from: connection, request, as: name, &outcome)
    }
    if request.applies, !request.isDryRun, let pulled = outcome.items.first?.local {
      var revert = RevertRequest("\(pulled)")
      revert.allowed = request.allowed
      revert.trust = request.trust
      outcome.applied = try ImageReverter(context).revert(revert)
    }
    outcome.seconds = monotonicSeconds() - start
    return outcome
  }

  /// Fetches the requested snapshots.
  func fetch(
    from connection: RemoteConnection, _ request: PullRequest, as name: ImageName?,
    _ outcome: inout TransferOutcome
  ) throws {
    let store = try context.store(create: true)
    let source = connection.source
    var selected: [(RemoteHistory, [RemoteHistory.Item])] = []
    if request.fetchesAll {
      selected = try source.images().map { image in
        let history = try source.history(of: image)
        return (history, history.snapshots)
      }
    } else {
      for text in request.references {
        let (history, item) = try HistorySelection(source: source).item(Reference(text))
        if let index = selected.firstIndex(where: { $0.0.image == history.image }) {
          if !selected[index].1.contains(item) { selected[index].1.append(item) }
        } else {
          selected.append((history, [item]))
        }
      }
    }
    let session = try LocalSink(
      store, name: "store \(printable(context.storePath))", origin: source.name,
      lockWait: context.lockWait,
      record: OriginTemplate(
        remote: connection.remote.name, url: "\(connection.remote.url)",
        user: CallerIdentity.text(context.fileSystem), time: context.now())
    ).begin()
    defer { session.end() }
    for (history, items) in selected {
      let fetcher = HistoryFetcher(
        context: context, connection: connection, session: session, store: store, name: name,
        request: request)
      try fetcher.fetch(items.sorted { $0.number < $1.number }, of: history, &outcome)
    }
  }
}

/// Fetches snapshots of one image.
private struct HistoryFetcher {
  let context: Context
  let connection: RemoteConnection
  let session: any TransferSession
  let store: ObjectStore
  let name: ImageName?
  let request: PullRequest

  func fetch(
    _ items: [RemoteHistory.Item], of history: RemoteHistory, _ outcome: inout TransferOutcome
  ) throws {
    let image = name ?? history.image
    let carrier = SnapshotCarrier(
      context, source: connection.source, session: session, baseStore: store)
    var local = try store.refs.ids(of: image)
    for item in items {
      let there = SnapshotName(image: history.image, number: item.number)
      if name == nil, let known = local.last(where: { $0.id == item.id }) {
        try finish(item, history, SnapshotName(image: image, number: known.number), &outcome)
        outcome.items.append(
          TransferItem(
            local: SnapshotName(image: image, number: known.number), remote: there, id: item.id,
            isNew: false, amount: TransferredAmount(), contentBytes: 0))
        continue
      }
      let snapshot = try self.snapshot(item, of: history)
      let thereIDs = Set(history.snapshots.prefix { $0.number <= item.number }.map(\.id))
      var bases = try carrier.bases(of: image, near: .max, local) { thereIDs.contains($0) }
      if bases.isEmpty { bases = try carrier.bases(of: image, near: .max, local) { _ in true } }
      let amount = try carrier.carry(snapshot, bases: bases, isDryRun: request.isDryRun)
      var name: SnapshotName?
      if !request.isDryRun {
        let number = try session.commit(snapshot, bases: bases.map(\.id))
        name = SnapshotName(image: image, number: number)
        local.append((number, snapshot.id))
      }
      try finish(item, history, name, &outcome)
      outcome.items.append(
        TransferItem(
          local: name, remote: there, id: snapshot.id, isNew: true, amount: amount,
          contentBytes: snapshot.snapshot.contentBytes))
    }
  }

  /// Reads a snapshot, and compares it with what the remote says of it.
  private func snapshot(
    _ item: RemoteHistory.Item, of history: RemoteHistory
  ) throws -> TransferredSnapshot {
    var snapshot = try connection.source.snapshot(history.image, item.number)
    guard snapshot.id == item.id, snapshot.snapshot.image == history.image.text else {
      throw TransferError.damaged(
        connection.source.name, "sent another snapshot than \(history.image)@\(item.number)")
    }
    if let name {
      var renamed = snapshot.snapshot
      renamed.image = name.text
      snapshot = try mapCodecErrors("\(name)") { () throws(CodecError) in
        try TransferredSnapshot(renamed.encode())
      }
    }
    snapshot.remoteName = SnapshotName(image: history.image, number: item.number)
    snapshot.remoteID = item.id
    return snapshot
  }

  /// Sets the tags and the pin that the snapshot has at the remote.
  private func finish(
    _ item: RemoteHistory.Item, _ history: RemoteHistory, _ name: SnapshotName?,
    _ outcome: inout TransferOutcome
  ) throws {
    let image = self.name ?? history.image
    let existing = try store.refs.tags(of: image)
    for (tag, _) in history.tags.filter({ $0.value == item.number }).sorted(by: { $0.key < $1.key })
    {
      if let own = existing[tag] {
        if own != name?.number {
          outcome.conflicts.append(
            TagConflict(image: image, tag: tag, number: own, otherNumber: item.number))
        }
        continue
      }
      if let name { _ = try session.tag(tag, of: image, name.number) }
      outcome.newTags.append((name ?? SnapshotName(image: image, number: item.number), tag))
    }
    if request.fetchesAll, let name, let reason = history.pins[item.number] {
      try session.pin(image, name.number, reason: reason)
    }
  }
}
