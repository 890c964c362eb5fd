// imgstore remove.

import Platform
import Store

extension Workspace {
  /// Removes snapshots: all of them, or none.
  /// - Parameter force: also the latest, a tagged or a pinned one, and one that cannot be read.
  /// - Throws: `ImageError` where one must stay, saying why.
  public func remove(
    _ texts: [String], force: Bool = false, dryRun: Bool = false
  ) throws -> ForgetOutcome {
    let store = try store()
    var names: [SnapshotName] = []
    for text in try references(texts) {
      let name = try named(text, force: force).0
      if !names.contains(name) { names.append(name) }
    }
    let locks = try Set(names.map(\.image)).sorted().map {
      try lockHistory($0, store, dryRun: dryRun)
    }
    defer { withExtendedLifetime(locks) {} }
    let forgotten = try names.map { try removable($0, force: force, store) }
    return try drop(forgotten, kept: [], unreadable: [], dryRun: dryRun)
  }

  /// A snapshot that may go.
  private func removable(
    _ name: SnapshotName, force: Bool, _ store: ObjectStore
  ) throws -> ForgottenSnapshot {
    let image = name.image
    guard try store.refs.isKnown(image, name.number) else {
      throw ImageError(.notFound, "snapshot \(name)", "has just been removed by another imgstore")
    }
    if let what = try snapshotsInUse()[name] {
      throw ImageError(
        .unfinished, "snapshot \(name)", "is needed by \(what)",
        advice: "Finish that, or take it back, first: 'imgstore resume' says how")
    }
    let tags = try store.refs.tags(of: image).filter { $0.value == name.number }.keys.sorted()
    if !force {
      var reasons: [KeepReason] = []
      if try store.refs.numbers(of: image).last == name.number {
        reasons.append(.latest)
      } else if try latestComplete(of: image, store)?.number == name.number {
        reasons.append(.latestComplete)
      }
      if let why = try store.refs.pins(of: image)[name.number] {
        reasons.append(.pinned(why: why))
      }
      if !tags.isEmpty { reasons.append(.tagged(tags)) }
      if !reasons.isEmpty {
        let why = reasons.map { reason in
          switch reason {
          case .latest: "the latest of its image"
          case .latestComplete: "the latest complete one of its image"
          default: "\(reason)"
          }
        }
        throw ImageError(
          "snapshot \(name)", "is " + why.joined(separator: ", and "),
          advice: "'--force' removes it all the same")
      }
    }
    return ForgottenSnapshot(
      name: name, snapshot: try? store.refs.read(image, name.number), tags: tags)
  }

  /// The latest snapshot that holds everything; nil where no readable one does.
  private func latestComplete(
    of image: ImageName, _ store: ObjectStore
  ) throws -> CommittedSnapshot? {
    for number in try store.refs.numbers(of: image).reversed() {
      if let found = try? store.refs.read(image, number), found.snapshot.isComplete { return found }
    }
    return nil
  }

  /// The snapshot that a reference means. With `force`, IMAGE@NUMBER need not be readable.
  private func named(_ text: String, force: Bool) throws -> (SnapshotName, ImageName) {
    let reference = try Reference(text)
    if force, case .number(let number) = reference.selector, !reference.image.isEmpty,
      let image = try? ImageName(reference.image),
      try store().refs.isKnown(image, number)
    {
      return (SnapshotName(image: image, number: number), image)
    }
    // Which snapshot goes is never guessed, whatever is forced: the latest may be the last thing meant.
    guard try reference.selector != .latest || find(idOrName: reference.image) != nil else {
      let image = reference.image.isEmpty ? "IMAGE" : shellQuoted(reference.image)
      throw ImageError(
        .usage, "reference '\(text)'", "names an image, where one snapshot is asked for",
        advice: "'imgstore remove \(image)@N' removes one snapshot, 'imgstore forget \(image) "
          + "--entirely' all of them; 'imgstore remove \(image) --definition' takes a directory off the "
          + "list of images and keeps its snapshots")
    }
    if !reference.image.isEmpty, try find(idOrName: reference.image) == nil {
      _ = try image(exactly: reference.image)
    }
    let found = try find(reference)
    let image = try ImageName(found.snapshot.image)
    return (SnapshotName(image: image, number: found.number), image)
  }
}
