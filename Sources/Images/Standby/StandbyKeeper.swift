// Keeps the standby trees of an image as its snapshots and its configuration require.
//
// 1. A tree whose snapshot is gone, or that has no valid record, is removed.
// 2. The setting `standby` of an image names snapshots, mostly by their tags. `maintain` makes the trees that
//    are missing. A snapshot whose root tree is the live one needs none.
// 3. An image with that setting has at most as many trees as it names snapshots. Others are removed.
// 4. Nothing is removed while the image has an unfinished change: an old tree may have files that are in no
//    snapshot until `resume` has checked it.
// 5. The caller holds the image's lock.

import Apply
import Ingest
import Platform
import Store

/// A standby tree with the snapshot that it belongs to.
struct OwnedStandbyTree {
  let directory: StandbyDirectory
  let tree: StandbyTree
  /// The latest snapshot with the tree's state; nil for garbage.
  let snapshot: CommittedSnapshot?
}

/// Lists and removes standby trees.
struct StandbyKeeper: Collaborator {
  let context: Context

  /// Returns the path of the root tree of an image: that of its definition, or of its latest snapshot.
  func rootTree(of image: ImageName) throws -> AbsolutePath? {
    if let definition = try context.tables().definition(of: image.text),
      let path = try ImageCapturer(context).requests(definition, latest: nil).all
        .first(where: { $0.role == .rootTree })?.path
    {
      return path
    }
    let latest = try context.storeIfPresent()?.refs.latestReadable(of: image)
    return latest?.snapshot.components.rootTree.flatMap { AbsolutePath($0.path) }
  }

  /// Returns the standby trees of an image, garbage included.
  /// - Parameter path: the path of its root tree; nil if that is unknown.
  func trees(of image: ImageName, at path: AbsolutePath?) throws -> [OwnedStandbyTree] {
    guard let path,
      let directory = try StandbyDirectory.open(context, image, at: path)
    else { return [] }
    let trees = try directory.trees()
    if trees.isEmpty { return [] }
    let snapshots = try snapshots(of: image)
    return trees.map { tree in
      OwnedStandbyTree(
        directory: directory, tree: tree,
        snapshot: snapshots.first { committed in
          committed.snapshot.components.rootTree.map { tree.isRecorded(as: $0) } ?? false
        })
    }
  }

  /// Returns the standby trees of an image, garbage included.
  func trees(of image: ImageName) throws -> [OwnedStandbyTree] {
    try trees(of: image, at: rootTree(of: image))
  }

  /// Returns the readable snapshots of an image with their paths on this machine, the latest first.
  private func snapshots(of image: ImageName) throws -> [CommittedSnapshot] {
    guard let store = try context.storeIfPresent() else { return [] }
    let definition = try context.tables().definition(of: image.text)
    return try store.refs.numbers(of: image).reversed().compactMap { number in
      (try? store.refs.readIfPresent(image, number)).flatMap { $0 }?.relocated(to: definition)
    }
  }

  /// Removes the trees that belong to no snapshot.
  /// - Returns: the number of removed trees.
  @discardableResult
  func prune(_ image: ImageName) throws -> Int { try prune(image, at: rootTree(of: image)) }

  /// Removes the trees next to a root tree that belong to no snapshot of the image.
  @discardableResult
  func prune(_ image: ImageName, at path: AbsolutePath?) throws -> Int {
    let garbage = try trees(of: image, at: path).filter { $0.snapshot == nil }
    guard try context.storeIfPresent()?.journals.images().contains(image) == false else { return 0 }
    try remove(garbage, of: image, at: path)
    return garbage.count
  }

  /// Removes the trees of an image whose snapshots were removed. A failure is only a warning.
  func pruneAfterRemoval(_ image: ImageName, at path: AbsolutePath?) {
    do { try prune(image, at: path) } catch {
      warn(error, "a standby tree of \(image) cannot be removed")
    }
  }

  /// Removes the trees of all images that belong to no snapshot. Images that others use are skipped. A
  /// failure is only a warning: a collection does not depend on tables and image directories.
  func pruneAll() {
    do {
      guard let store = try context.storeIfPresent(), !store.layout.isReadOnly else { return }
      for summary in try ImageLister(context).images() where summary.unfinished == nil {
        guard let image = try? ImageName(summary.name),
          let lock = try? store.lockImage(image, waiting: .atMost(seconds: 0), onWait: { _ in })
        else { continue }
        withExtendedLifetime(lock) { pruneAfterRemoval(image, at: try? rootTree(of: image)) }
      }
    } catch {
      warn(error, "the standby trees cannot be listed")
    }
  }

  func warn(_ error: any Error, _ what: String) {
    context.reporter.warn(
      what + ": " + ((error as? any ExplainedError)?.message ?? "\(error)"))
  }

  /// Removes trees, and the directory if it is empty then.
  func remove(
    _ items: [OwnedStandbyTree], of image: ImageName, at path: AbsolutePath?
  ) throws {
    for item in items { try item.directory.remove(item.tree) }
    guard let path else { return }
    try StandbyDirectory.open(context, image, at: path)?.tidy()
  }

  // MARK: The setting

  /// What `maintain` did with the standby trees of an image.
  struct Maintained {
    /// The snapshots whose trees were made or, in a dry run, would be.
    var built: [String] = []
    /// The number of trees that were removed.
    var removed = 0
  }

  /// Makes the standby trees that the setting of an image names, and removes others.
  /// - Parameter deadline: the time after which no further tree is begun, in seconds of the monotonic clock.
  /// - Throws: `ImageError`: `unsupported` if the file system has no reflinks, `snapshotNotFound` or
  ///   `tagNotFound` if the setting names a snapshot that does not exist; errors of the making.
  func maintain(_ image: ImageName, isDryRun: Bool, deadline: Double) throws -> Maintained {
    var result = Maintained()
    let setting = context.settings(of: image).standby?.value
    let path = try rootTree(of: image)
    if !isDryRun { result.removed = try prune(image, at: path) }
    guard let names = setting, let path else { return result }
    let live = try context.store().refs.latestReadable(of: image)?.snapshot.components.rootTree
    var needed: [(CommittedSnapshot, Snapshot.Component)] = []
    for name in names {
      let target = try target("\(image)@\(name)")
      let component = try StandbyBuilder(context).component(of: target)
      if !needed.contains(where: { $0.1 == component }) { needed.append((target, component)) }
    }
    let present = try trees(of: image)
    func isPresent(_ component: Snapshot.Component) -> Bool {
      present.contains { $0.tree.isRecorded(as: component) }
    }
    let missing = needed.filter { $0.1 != live && !isPresent($0.1) }
    let extra = present.filter { item in !needed.contains { item.tree.isRecorded(as: $0.1) } }
    let surplus = max(0, present.count + missing.count - needed.count)
    if isDryRun {
      result.built = missing.map(\.0.name)
      return result
    }
    try remove(Array(extra.prefix(surplus)), of: image, at: path)
    result.removed += min(extra.count, surplus)
    for (target, component) in missing where monotonicSeconds() < deadline {
      result.built.append(
        try StandbyMaker(context).make(target, component, image, at: path).snapshot.name)
    }
    return result
  }

  /// Returns the snapshot that a reference names, with its paths on this machine.
  func target(_ text: String) throws -> CommittedSnapshot {
    let found = try BaselineLookup(context).findBaseline(Reference(text))
    return found.relocated(to: try context.tables().definition(of: found.snapshot.image))
  }
}
