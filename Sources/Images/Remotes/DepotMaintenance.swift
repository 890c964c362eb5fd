// The maintenance of depots: `gc`, `verify`, `du`, `forget`, `tag` and `untag` with --remote.

import Depot
import Platform
import Store
import Transfer

/// The outcome of `forget --remote`.
public struct DepotForgetOutcome: Sendable {
  public let remote: String
  /// The removed snapshots, or those that a dry run would remove.
  public let removed: [SnapshotName]
  /// The number of the kept snapshots.
  public let keptCount: Int
  public let isDryRun: Bool
}

/// The outcome of `gc --remote`.
public struct DepotCollectionOutcome: Sendable {
  public let remote: String
  public let report: CollectionReport
  public let isDryRun: Bool
}

/// The outcome of `verify --remote`.
public struct DepotVerifyOutcome: Sendable {
  public let remote: String
  public let isDeep: Bool
  public let report: DepotVerification
  public let seconds: Double
}

/// The outcome of `du --remote`.
public struct DepotUsageOutcome: Sendable {
  public let remote: String
  public let usage: DepotUsage
}

extension Workspace {
  /// Deletes the packs of a depot that no snapshot needs.
  /// - Parameters:
  ///   - waitSeconds: how long to wait for writers that are running.
  ///   - evict: the id of a writer that has died without removing its registration.
  /// - Throws: `DepotError`, `StorageError`; `ImageError` (`usage`) for a remote that is a store.
  public func collectDepot(
    _ name: String, waitSeconds: Double = 60, evict: String? = nil, dryRun: Bool = false
  ) throws -> DepotCollectionOutcome {
    try DepotMaintainer(context).collect(name, waitSeconds, evict, dryRun: dryRun)
  }

  /// Checks that every snapshot of a depot is complete.
  public func verifyDepot(_ name: String, deep: Bool) throws -> DepotVerifyOutcome {
    let start = monotonicSeconds()
    let depot = try DepotConnector(context).depot(name)
    return DepotVerifyOutcome(
      remote: name, isDeep: deep, report: try depot.verify(deep: deep, progress: progress),
      seconds: monotonicSeconds() - start)
  }

  /// Returns the space that the images of a depot need.
  public func depotUsage(_ name: String) throws -> DepotUsageOutcome {
    DepotUsageOutcome(remote: name, usage: try DepotConnector(context).depot(name).usage())
  }

  /// Removes the snapshots of a depot that a policy does not keep.
  /// - Parameter names: the images; empty for all images.
  /// - Throws: `ImageError`: `usage` for a policy without a rule, `imageNotFound`.
  public func forgetAtDepot(
    _ name: String, _ names: [String], _ policy: RetentionPolicy, dryRun: Bool = false
  ) throws -> DepotForgetOutcome {
    try DepotMaintainer(context).forget(name, names, policy, dryRun: dryRun)
  }

  /// Gives a snapshot of a depot a tag.
  /// - Throws: `ImageError` (`alreadyExists`) if the tag names another snapshot.
  public func tagAtDepot(_ name: String, _ text: String, as tag: String) throws -> SnapshotName {
    try DepotMaintainer(context).tag(name, text, as: tag)
  }

  /// Deletes a tag of a depot, given as IMAGE@TAG.
  /// - Throws: `ImageError`: `invalidReference`, `tagNotFound`.
  public func untagAtDepot(_ name: String, _ text: String) throws {
    try DepotMaintainer(context).untag(name, text)
  }
}

/// Maintains depots.
struct DepotMaintainer: Collaborator {
  let context: Context

  func collect(
    _ name: String, _ waitSeconds: Double, _ evict: String?, dryRun: Bool
  ) throws -> DepotCollectionOutcome {
    let depot = try DepotConnector(context).depot(name)
    if let evict {
      guard let id = WriterID(evict), try depot.evict(id) else {
        throw ImageError(
          .notFound, "writer '\(printable(evict.utf8))'", "is not registered in \(depot.name)",
          hint: "'imgstore gc --remote \(name)' lists the writers that it waits for")
      }
    }
    var options = CollectionOptions(waitSeconds: dryRun ? 0 : waitSeconds)
    options.isDryRun = dryRun
    return DepotCollectionOutcome(
      remote: name, report: try depot.collect(options), isDryRun: dryRun)
  }

  func forget(
    _ name: String, _ names: [String], _ policy: RetentionPolicy, dryRun: Bool
  ) throws -> DepotForgetOutcome {
    guard policy.hasRule else {
      throw ImageError(
        .usage, "forget", "has no rule, and would keep only the latest snapshots",
        hint: "Add rules such as '--keep-last 10' or '--keep-daily 7 --keep-monthly 12'")
    }
    let depot = try DepotConnector(context).depot(name)
    let source = DepotSource(depot)
    let images =
      names.isEmpty
      ? try source.images()
      : try names.map { text in
        let image = try ImageName(text)
        guard try !source.history(of: image).snapshots.isEmpty else {
          throw ImageError(.imageNotFound, "image \(image)", "has no snapshot in \(depot.name)")
        }
        return image
      }
    var removed: [SnapshotName] = []
    var keptCount = 0
    for image in images {
      let history = try source.history(of: image)
      let candidates = try history.snapshots.map { item in
        let snapshot = try source.snapshot(image, item.number).snapshot
        return RetentionCandidate(
          number: item.number, created: snapshot.created.seconds, isComplete: snapshot.isComplete,
          tags: history.tags.filter { $0.value == item.number }.keys.sorted(),
          pin: history.pins[item.number], isAutomatic: snapshot.origin.isAutomatic)
      }
      let reasons = policy.reasons(for: candidates, force: false, now: context.now().seconds)
      for candidate in candidates {
        if let keep = reasons[candidate.number], !keep.isEmpty {
          keptCount += 1
          continue
        }
        if !dryRun { try depot.forget(image, candidate.number) }
        removed.append(SnapshotName(image: image, number: candidate.number))
      }
    }
    return DepotForgetOutcome(
      remote: name, removed: removed, keptCount: keptCount, isDryRun: dryRun)
  }

  func tag(_ name: String, _ text: String, as tag: String) throws -> SnapshotName {
    let depot = try DepotConnector(context).depot(name)
    let (history, item) = try HistorySelection(source: DepotSource(depot)).item(Reference(text))
    let number = try depot.tag(tag, of: history.image, item.number)
    guard number == item.number else {
      throw ImageError(
        .alreadyExists, "tag '\(tag)' of \(history.image)",
        "names snapshot \(number) in \(depot.name)",
        hint: "Remove it with 'imgstore untag --remote \(name) \(history.image)@\(tag)'")
    }
    return SnapshotName(image: history.image, number: number)
  }

  func untag(_ name: String, _ text: String) throws {
    let reference = try Reference(text)
    guard case .tag(let tag) = reference.selector else {
      throw ImageError(
        .invalidReference, "reference '\(text)'", "is not a tag", hint: "Write IMAGE@TAG")
    }
    let depot = try DepotConnector(context).depot(name)
    let image = try HistorySelection(source: DepotSource(depot)).image(named: reference.image)
    guard try depot.untag(tag, of: image) else {
      throw ImageError(.tagNotFound, "tag '\(tag)'", "is not a tag of \(image) in \(depot.name)")
    }
  }
}
