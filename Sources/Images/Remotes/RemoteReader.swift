// Reads snapshots of a remote in place: REMOTE/IMAGE@REF.
//
// 1. Only what is looked at is fetched. Fetched objects stay in a bounded cache of the store.
// 2. Objects that the store has itself are read there.

import Platform
import Store
import Transfer

/// Finds snapshots of remotes, and makes their objects readable.
struct RemoteReader: Collaborator {
  let context: Context

  /// Returns the remote that a reference begins with; nil if it names an image of this store.
  func remoteName(of image: String) throws -> String? {
    guard let slash = image.firstIndex(of: "/"), slash > image.startIndex else { return nil }
    let name = String(image[..<slash])
    guard RemoteRegistry.isName(name), try RemoteRegistry(context).find(name) != nil else {
      return nil
    }
    return name
  }

  /// Returns the snapshot that a reference names at a remote.
  func find(_ reference: Reference, at name: String) throws -> CommittedSnapshot {
    let remote = try open(name)
    let inner = Reference(
      image: String(reference.image.dropFirst(name.count + 1)), selector: reference.selector)
    let (history, item) = try HistorySelection(source: remote.source).item(inner)
    return try read(item, of: history.image, remote, name)
  }

  /// Returns the images of a remote with their latest snapshots, sorted by name.
  func images(at name: String) throws -> [ImageSummary] {
    let remote = try open(name)
    return try histories(at: name).compactMap { history in
      guard let last = history.snapshots.last else { return nil }
      return ImageSummary(
        name: history.image.text, isDefined: false, provisioning: nil, directory: nil,
        snapshots: history.snapshots.count,
        latest: try read(last, of: history.image, remote, name),
        lastChecked: nil, unreadable: [], unfinished: nil)
    }
  }

  /// Returns the tags that a snapshot has at its remote.
  func tags(of snapshot: CommittedSnapshot, at name: String) throws -> [String] {
    let image = try ImageName(snapshot.snapshot.image)
    return try open(name).source.history(of: image).tags
      .filter { $0.value == snapshot.number }.keys.sorted()
  }

  /// Returns the history of an image at a remote, latest first.
  /// - Parameter before: lists only snapshots with smaller numbers.
  func history(
    of text: String, at name: String, limit: Int, before: Int = .max
  ) throws -> ImageHistory {
    let remote = try open(name)
    let selection = HistorySelection(source: remote.source)
    let image = try selection.image(named: String(text.dropFirst(name.count + 1)))
    let history = try remote.source.history(of: image)
    var entries: [LogEntry] = []
    for item in history.snapshots.reversed().filter({ $0.number < before }).prefix(limit) {
      entries.append(
        LogEntry(
          committed: try read(item, of: image, remote, name),
          tags: history.tags.filter { $0.value == item.number }.keys.sorted(),
          pin: history.pins[item.number], isSigned: false))
    }
    guard !entries.isEmpty || before < .max else {
      throw ImageError(.snapshotNotFound, "image \(name)/\(image)", "has no snapshot")
    }
    return ImageHistory(entries: entries, unreadable: [], damagedMarks: [])
  }

  /// Returns the histories of all images at a remote that have snapshots, sorted by image.
  func histories(at name: String) throws -> [RemoteHistory] {
    let source = try open(name).source
    return try source.images().sorted().map { try source.history(of: $0) }
      .filter { !$0.snapshots.isEmpty }
  }

  private func read(
    _ item: RemoteHistory.Item, of image: ImageName, _ remote: RemoteObjects, _ name: String
  ) throws -> CommittedSnapshot {
    let found = try remote.source.snapshot(image, item.number)
    guard found.id == item.id, found.snapshot.image == image.text else {
      throw TransferError.damaged(
        remote.source.name, "sent another snapshot than \(image)@\(item.number)")
    }
    return CommittedSnapshot(
      number: item.number, id: item.id, snapshot: found.snapshot, remote: name)
  }

  /// Opens a remote for the rest of the command, and lets the store read its objects.
  private func open(_ name: String) throws -> RemoteObjects {
    if let open = context.openRemotes.withLock({ $0[name] }) { return open }
    let remote = try RemoteRegistry(context).remote(name)
    let store = try context.store()
    let objects = RemoteObjects(
      try RemoteConnector(context).connect(remote), store, context)
    let all = context.openRemotes.withLock { remotes in
      remotes[name] = objects
      return Array(remotes.values)
    }
    store.setPromisor(RemoteObjectSet(all))
    return objects
  }
}
