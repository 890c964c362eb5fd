// imgstore push: sends snapshots of this store to a remote.
//
// 1. Only snapshots are sent. A live image that has changed since is not captured.
// 2. The remote verifies everything before it has the snapshot. A repeated push sends only what is missing.
// 3. No tag of the remote is moved.

import Codec
import Platform
import Store
import Transfer

/// The parameters of a push.
public struct PushRequest: Sendable {
  /// The name or the address of the remote.
  public var remote: String
  /// The snapshots, also ranges; a name alone means the latest snapshot.
  public var references: [String]
  /// Whether every snapshot of every image is sent, with tags and pins.
  public var sendsAll = false
  /// Whether the tags of the snapshots are sent.
  public var sendsTags = false
  public var isDryRun = false

  /// Creates the parameters of a push.
  public init(_ remote: String, _ references: [String]) {
    self.remote = remote
    self.references = references
  }
}

extension Workspace {
  /// Sends snapshots to a remote.
  /// - Throws: `ImageError`, `TransferError`, `StoreError`, `StorageError`.
  public func push(_ request: PushRequest) throws -> TransferOutcome {
    try SnapshotPusher(context).push(request)
  }
}

/// Sends snapshots.
struct SnapshotPusher: Collaborator {
  let context: Context

  func push(_ request: PushRequest) throws -> TransferOutcome {
    let start = monotonicSeconds()
    Interruption.ignoreClosedPipes()
    let remote = try RemoteRegistry(context).remote(request.remote)
    let selected = try snapshots(request)
    var outcome = TransferOutcome(.push, remote, isDryRun: request.isDryRun)
    try RemoteConnector(context).with(remote, create: !request.isDryRun) { connection in
      let sink = try connection.sink()
      let session = try sink.begin()
      defer { session.end() }
      for (image, numbers) in selected {
        try push(image, numbers, request, sink, session, &outcome)
      }
    }
    outcome.seconds = monotonicSeconds() - start
    return outcome
  }

  /// Returns the numbers to send, by image.
  private func snapshots(_ request: PushRequest) throws -> [(ImageName, [Int])] {
    let refs = try context.store().refs
    if request.sendsAll { return try refs.histories().map { ($0.image, $0.numbers) } }
    var numbers: [ImageName: Set<Int>] = [:]
    for text in try RangeExpander(context).references(request.references) {
      let found = try SnapshotResolver(context).find(Reference(text))
      numbers[try ImageName(found.snapshot.image), default: []].insert(found.number)
    }
    return numbers.sorted { $0.key < $1.key }.map { ($0.key, $0.value.sorted()) }
  }

  private func push(
    _ image: ImageName, _ numbers: [Int], _ request: PushRequest, _ sink: any TransferSink,
    _ session: any TransferSession, _ outcome: inout TransferOutcome
  ) throws {
    let store = try context.store()
    let source = LocalSource(store, name: "store \(printable(context.storePath))")
    let carrier = SnapshotCarrier(context, source: source, session: session, baseStore: store)
    let local = try store.refs.ids(of: image)
    var there = try sink.history(of: image)
    var numberThere = Dictionary(
      there.snapshots.map { ($0.id, $0.number) }, uniquingKeysWith: { $1 })
    for number in numbers {
      let name = SnapshotName(image: image, number: number)
      let snapshot = try source.snapshot(image, number)
      let bases = try carrier.bases(of: image, near: number, local) { numberThere[$0] != nil }
      let isNew = numberThere[snapshot.id] == nil
      var amount = TransferredAmount()
      if isNew {
        amount = try carrier.carry(snapshot, bases: bases, isDryRun: request.isDryRun)
        if !request.isDryRun {
          numberThere[snapshot.id] = try session.commit(snapshot, bases: bases.map(\.id))
        }
      }
      outcome.items.append(
        TransferItem(
          local: name,
          remote: numberThere[snapshot.id].map { SnapshotName(image: image, number: $0) },
          id: snapshot.id, isNew: isNew, amount: amount,
          contentBytes: snapshot.snapshot.contentBytes))
    }
    there = RemoteHistory(
      image: image, snapshots: numberThere.map { .init(number: $0.value, id: $0.key) },
      tags: there.tags, pins: there.pins)
    if request.sendsTags || request.sendsAll {
      let selected = local.filter { numbers.contains($0.number) }
      try sendTags(selected, to: there, session, request, &outcome)
    }
    if request.sendsAll, !request.isDryRun {
      let ids = Dictionary(local.map { ($0.number, $0.id) }, uniquingKeysWith: { $1 })
      for (number, reason) in try store.refs.pins(of: image).sorted(by: { $0.key < $1.key }) {
        guard let id = ids[number], let number = numberThere[id], there.pins[number] == nil else {
          continue
        }
        try session.pin(image, number, reason: reason)
      }
    }
  }

  /// Sends the tags of the selected snapshots.
  private func sendTags(
    _ selected: [(number: Int, id: Digest)], to there: RemoteHistory,
    _ session: any TransferSession, _ request: PushRequest, _ outcome: inout TransferOutcome
  ) throws {
    let image = there.image
    let ids = Dictionary(selected.map { ($0.number, $0.id) }, uniquingKeysWith: { $1 })
    for (tag, number) in try context.store().refs.tags(of: image).sorted(by: { $0.key < $1.key }) {
      guard let id = ids[number], let target = there.number(of: id) else { continue }
      var actual = there.tags[tag]
      if actual == nil {
        outcome.newTags.append((SnapshotName(image: image, number: target), tag))
        if !request.isDryRun { actual = try session.tag(tag, of: image, target) }
      }
      if let actual, actual != target {
        outcome.conflicts.append(
          TagConflict(image: image, tag: tag, number: actual, otherNumber: number))
      }
    }
  }
}
