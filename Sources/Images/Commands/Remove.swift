// imgstore remove: removes snapshots that are named one by one. Either all of them are removed or none. The
// invariants of Forget.swift hold.

import Platform
import Store

extension Workspace {
  /// Removes snapshots: all of them, or none.
  /// - Parameter force: whether the latest, tagged, pinned and unreadable snapshots may be removed, too, and
  ///   those of an image with a damaged tag.
  /// - Throws: `ImageError` if a snapshot is missing, must stay, or is needed by an unfinished change.
  public func remove(
    _ texts: [String], force: Bool = false, dryRun: Bool = false
  ) throws -> ForgetOutcome {
    try SnapshotRemover(context).remove(texts, force: force, dryRun: dryRun)
  }
}

/// Removes snapshots.
struct SnapshotRemover: Collaborator {
  let context: Context

  func remove(
    _ texts: [String], force: Bool = false, dryRun: Bool = false
  ) throws -> ForgetOutcome {
    let store = try context.store()
    var names: [SnapshotName] = []
    for text in try RangeExpander(context).references(texts, includingLost: force) {
      let name = try named(text, force: force).0
      if !names.contains(name) { names.append(name) }
    }
    let locks = try Set(names.map(\.image)).sorted().map {
      try Forgetter(context).lockHistory($0, store, dryRun: dryRun)
    }
    defer { withExtendedLifetime(locks) {} }
    if !force {
      for image in Set(names.map(\.image)).sorted() {
        try store.refs.requireKnownProtection(of: image)
      }
    }
    let forgotten = try names.map { try removable($0, force: force, store) }
    return try Forgetter(context).drop(forgotten, kept: [], unreadable: [], dryRun: dryRun)
  }

  /// Returns a snapshot that may be removed.
  /// - Throws: `ImageError`: `snapshotNotFound`, `changeUnfinished`, or `snapshotProtected` with the reasons
  ///   to keep it.
  private func removable(
    _ name: SnapshotName, force: Bool, _ store: ObjectStore
  ) throws -> ForgottenSnapshot {
    let image = name.image
    guard try store.refs.isKnown(image, name.number) else {
      throw ImageError(
        .snapshotNotFound, "snapshot \(name)", "has just been removed by another imgstore process")
    }
    if let user = try SnapshotsInUse(context).snapshotsInUse()[name] {
      throw ImageError(
        .changeUnfinished, "snapshot \(name)", "is needed by \(user)",
        hint: "Complete or roll back that change first with 'imgstore resume'")
    }
    let tags = try store.refs.tags(of: image).filter { $0.value == name.number }.keys.sorted()
    if !force {
      var reasons: [KeepReason] = []
      if try store.refs.numbers(of: image).last == name.number {
        reasons.append(.latest)
      } else if try latestComplete(of: image, store)?.number == name.number {
        reasons.append(.latestComplete)
      }
      if let reason = try store.refs.pins(of: image)[name.number] {
        reasons.append(.pinned(reason: reason))
      }
      if !tags.isEmpty { reasons.append(.tagged(tags)) }
      if !reasons.isEmpty {
        let clauses = reasons.map { reason in
          switch reason {
          case .latest: "the latest of its image"
          case .latestComplete: "the latest complete one of its image"
          default: "\(reason)"
          }
        }
        throw ImageError(
          .snapshotProtected,
          "snapshot \(name)", "is " + clauses.joined(separator: ", and "),
          hint: "Use '--force' to remove it anyway")
      }
    }
    return ForgottenSnapshot(
      name: name, snapshot: try? store.refs.read(image, name.number), tags: tags)
  }

  /// Returns the latest complete snapshot of an image; nil if no readable snapshot is complete.
  private func latestComplete(
    of image: ImageName, _ store: ObjectStore
  ) throws -> CommittedSnapshot? {
    for number in try store.refs.numbers(of: image).reversed() {
      if let committed = try? store.refs.read(image, number), committed.snapshot.isComplete {
        return committed
      }
    }
    return nil
  }

  /// Returns the name of the snapshot that a reference means.
  /// - Parameter force: whether IMAGE@NUMBER may be a snapshot that cannot be read.
  private func named(_ text: String, force: Bool) throws -> (SnapshotName, ImageName) {
    let reference = try Reference(text)
    if force, let number = reference.number, !reference.image.isEmpty,
      let image = try? ImageName(reference.image),
      try context.store().refs.isKnown(image, number)
    {
      return (SnapshotName(image: image, number: number), image)
    }
    // An image's name never means its latest snapshot here, not even with `force`.
    guard
      try reference.selector != .latest
        || SnapshotResolver(context).find(idOrName: reference.image) != nil
    else {
      let image = reference.image.isEmpty ? "IMAGE" : shellQuoted(reference.image)
      throw ImageError(
        .invalidReference, "reference '\(text)'", "names an image, but a snapshot is expected",
        hint: "'imgstore remove \(image)@N' removes one snapshot, 'imgstore forget \(image) "
          + "--entirely' all of them. 'imgstore remove \(image) --definition' removes a directory "
          + "from the list of images, and keeps its snapshots")
    }
    if !reference.image.isEmpty,
      try SnapshotResolver(context).find(idOrName: reference.image) == nil
    {
      _ = try ImageResolver(context).image(exactly: reference.image)
    }
    let committed = try SnapshotResolver(context).find(reference)
    let image = try ImageName(committed.snapshot.image)
    return (SnapshotName(image: image, number: committed.number), image)
  }
}
