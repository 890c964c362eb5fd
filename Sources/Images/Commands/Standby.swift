// imgstore standby: makes, lists and removes standby trees (Sources/Images/Standby).

import Ingest
import Platform
import Store

/// A standby tree, for people and programs.
public struct StandbyReport: Sendable {
  public let image: String
  /// The latest snapshot with its state.
  public let snapshot: CommittedSnapshot
  /// The tags of that snapshot.
  public let tags: [String]
  /// The tree's path.
  public let path: String
  /// Whether the tree is as it was verified. A revert does not use it otherwise.
  public let isIntact: Bool
  /// Whether this command made it.
  public var isNew = false
  public let space: StandbySpace
}

/// The space of a standby tree.
public struct StandbySpace: Sendable {
  /// The number of entries.
  public var entries = 0
  /// The sum of the sizes of its files.
  public var contentBytes: UInt64 = 0
  /// The bytes that no other file shares: what a removal frees. Nil if the file system does not report it.
  public var exclusiveBytes: UInt64?
}

/// The outcome of `standby`.
public struct StandbyOutcome: Sendable {
  /// The trees that exist or, after a removal, that existed.
  public var trees: [StandbyReport] = []
  public var isRemoval = false
  public var isDryRun = false
}

extension Workspace {
  /// Makes the standby trees of snapshots. A tree that exists and is intact stays.
  /// - Throws: `ImageError`: `unsupported` if the file system or the snapshot cannot have one, `noSpace`,
  ///   `snapshotNotFound`, `changeUnfinished`; `StoreError`, `SystemError`.
  public func makeStandby(_ references: [String]) throws -> StandbyOutcome {
    try StandbyMaker(context).make(references)
  }

  /// Returns the standby trees of images.
  /// - Parameter names: images or snapshots; empty for all images.
  public func standbyTrees(_ names: [String] = []) throws -> StandbyOutcome {
    try StandbyLister(context).trees(names)
  }

  /// Removes standby trees.
  /// - Parameter names: images or snapshots.
  /// - Throws: `ImageError` (`notFound`) if a snapshot has none; `StoreError` (`busy`).
  public func removeStandby(_ names: [String], dryRun: Bool = false) throws -> StandbyOutcome {
    try StandbyLister(context).remove(names, dryRun: dryRun)
  }
}

/// Makes standby trees.
struct StandbyMaker: Collaborator {
  let context: Context

  func make(_ references: [String]) throws -> StandbyOutcome {
    var outcome = StandbyOutcome()
    for reference in references {
      let found = try StandbyKeeper(context).target(reference)
      let image = try ImageName(found.snapshot.image)
      try PulledSnapshotCheck(context).check(found, PulledSnapshotTrust())
      let lock = try ImageLocks(context).lock(image, try context.store(), usesTree: true)
      defer { withExtendedLifetime(lock) {} }
      let target = try StandbyKeeper(context).target(found.name)
      let component = try StandbyBuilder(context).component(of: target)
      guard let path = try StandbyKeeper(context).rootTree(of: image), path.bytes == component.path
      else {
        throw ImageError(
          .unsupported, "snapshot \(target.name)",
          "has its root tree at \(printable(component.path)), which is not that of the image now")
      }
      outcome.trees.append(try make(target, component, image, at: path))
    }
    return outcome
  }

  /// Makes a standby tree. The caller holds the image's lock.
  func make(
    _ target: CommittedSnapshot, _ component: Snapshot.Component, _ image: ImageName,
    at path: AbsolutePath
  ) throws -> StandbyReport {
    let directories = try DirectoryLocker(context).lockDirectories(image, [path], for: .reads)
    defer { withExtendedLifetime(directories) {} }
    guard let directory = try StandbyDirectory.open(context, image, at: path, create: true) else {
      throw ImageError(
        .filesMissing, path.parent.text, "does not exist, so \(image) cannot have a standby tree")
    }
    do {
      try StandbyBuilder(context).requireClones(directory)
      for tree in try directory.trees() where tree.isRecorded(as: component) {
        let captured = try StandbyCapture(context).capture(
          tree.location, as: path, cache: tree.record)
        if captured.component == component {
          return try StandbyLister(context).report(tree, target, isIntact: true)
        }
        try directory.remove(tree)
      }
      let tree = try StandbyBuilder(context).build(target, component, in: directory)
      var report = try StandbyLister(context).report(tree, target, isIntact: true)
      report.isNew = true
      return report
    } catch {
      try? directory.tidy()
      throw error
    }
  }
}

/// Lists and removes standby trees.
struct StandbyLister: Collaborator {
  let context: Context

  func trees(_ names: [String]) throws -> StandbyOutcome {
    StandbyOutcome(
      trees: try found(names).compactMap { item in
        guard let snapshot = item.snapshot else { return nil }
        let captured = try StandbyCapture(context).capture(
          item.tree.location, as: item.tree.path, cache: item.tree.record)
        return try report(
          item.tree, snapshot,
          isIntact: captured.component == snapshot.snapshot.components.rootTree)
      })
  }

  /// Returns the standby trees of images or snapshots with their sizes, for `du`. They are not compared.
  func measured(_ names: [String]) throws -> [StandbyReport] {
    try found(names).compactMap { item in
      try item.snapshot.map { try report(item.tree, $0, isIntact: true) }
    }
  }

  func remove(_ names: [String], dryRun: Bool) throws -> StandbyOutcome {
    var outcome = StandbyOutcome(isRemoval: true, isDryRun: dryRun)
    for name in names {
      guard let image = try found([name]).first?.tree.image else {
        throw ImageError(
          .notFound, name, "has no standby tree", hint: "'imgstore standby --list' lists them")
      }
      let lock = try ImageLocks(context).lock(image, try context.store(), isDryRun: dryRun)
      defer { withExtendedLifetime(lock) {} }
      let items = try found([name])
      outcome.trees += try items.compactMap { item in
        try item.snapshot.map { try report(item.tree, $0, isIntact: true) }
      }
      let keeper = StandbyKeeper(context)
      if !dryRun { try keeper.remove(items, of: image, at: keeper.rootTree(of: image)) }
    }
    return outcome
  }

  /// Returns the trees of images or snapshots.
  private func found(_ names: [String]) throws -> [OwnedStandbyTree] {
    let keeper = StandbyKeeper(context)
    if names.isEmpty {
      return try ImageLister(context).images().flatMap { try keeper.trees(of: ImageName($0.name)) }
    }
    return try names.flatMap { name -> [OwnedStandbyTree] in
      let reference = try Reference(name)
      if reference.selector == .latest,
        try SnapshotResolver(context).find(idOrName: reference.image) == nil
      {
        return try keeper.trees(of: ImageResolver(context).image(named: name))
      }
      let target = try keeper.target(name)
      let component = target.snapshot.components.rootTree
      return try keeper.trees(of: ImageName(target.snapshot.image)).filter { item in
        component.map { item.tree.isRecorded(as: $0) } ?? false
      }
    }
  }

  func report(
    _ tree: StandbyTree, _ snapshot: CommittedSnapshot, isIntact: Bool
  ) throws -> StandbyReport {
    StandbyReport(
      image: tree.image.text, snapshot: snapshot,
      tags: try context.store().refs.tags(of: tree.image).filter { $0.value == snapshot.number }
        .keys.sorted(),
      path: tree.ownPath.text, isIntact: isIntact,
      space: try StandbySpaceReader(context.fileSystem).space(of: tree.location))
  }
}
