// imgstore forget: removes the snapshots that a retention policy does not keep. `gc` frees their space.
//
// 1. The image's lock is held, so that no running change depends on a removed snapshot.
// 2. All decisions are made and reported, with their reasons, before the first snapshot is removed.
// 3. The estimate of the freed space follows the rules of garbage collection (DiskUse).

import Platform
import Store

extension Workspace {
  /// Removes the snapshots that a policy does not keep.
  /// - Parameters:
  ///   - names: the images; empty for all images. Busy images are then skipped.
  ///   - force: whether tagged and pinned snapshots may be removed, too.
  /// - Throws: `ImageError`: `usage` for a policy without a rule, `imageNotFound` for an image without
  ///   snapshots; `StoreError` (`busy`) if an image is locked.
  public func forget(
    _ names: [String], _ policy: RetentionPolicy, force: Bool = false, dryRun: Bool = false
  ) throws -> ForgetOutcome {
    try Forgetter(context).forget(names, policy, force: force, dryRun: dryRun)
  }

  /// Removes all snapshots of images. An image that is a directory is also removed from the list of images.
  /// The directory itself stays.
  /// - Parameter force: whether pinned snapshots are removed, too.
  /// - Throws: `ImageError`: `snapshotProtected` if a snapshot is pinned, `changeUnfinished` if an unfinished
  ///   change needs it.
  public func forgetEntirely(
    _ names: [String], force: Bool = false, dryRun: Bool = false
  ) throws -> ForgetOutcome {
    try Forgetter(context).forgetEntirely(names, force: force, dryRun: dryRun)
  }
}

/// Removes snapshots by retention rules.
struct Forgetter: Collaborator {
  let context: Context

  func forget(
    _ names: [String], _ policy: RetentionPolicy, force: Bool = false, dryRun: Bool = false
  ) throws -> ForgetOutcome {
    guard policy.hasRule else {
      throw ImageError(
        .usage, "forget", "has no rule, and would keep only the latest snapshots",
        hint: "Add rules such as '--keep-last 10' or '--keep-daily 7 --keep-monthly 12'")
    }
    let store = try context.store()
    let images =
      names.isEmpty
      ? try store.refs.images()
      : try Set(names.map { try ImageResolver(context).image(exactly: $0) }).sorted()
    var locks: [FileLock?] = []
    defer { withExtendedLifetime(locks) {} }
    var locked: [ImageName] = []
    var busy: [BusyImage] = []
    for image in images {
      do {
        locks.append(try lockHistory(image, store, dryRun: dryRun))
        locked.append(image)
      } catch let error as StoreError where error.kind == .busy && names.isEmpty {
        busy.append(BusyImage(image: image.text, error: error))
      }
    }
    if locked.isEmpty, let first = busy.first { throw first.error }
    let inUse = try SnapshotsInUse(context).snapshotsInUse()
    var forgotten: [ForgottenSnapshot] = []
    var kept: [KeptSnapshot] = []
    var unreadable: [SnapshotName] = []
    for image in locked {
      let (candidates, damaged) = try candidates(of: image, inUse)
      unreadable += damaged
      let reasons = policy.reasons(
        for: candidates.map(\.properties), force: force, now: context.now().seconds)
      for (committed, properties) in candidates {
        if let keep = reasons[committed.number], !keep.isEmpty {
          kept.append(KeptSnapshot(snapshot: committed, reasons: keep))
        } else {
          forgotten.append(
            ForgottenSnapshot(
              name: SnapshotName(image: image, number: committed.number), snapshot: committed,
              tags: properties.tags))
        }
      }
    }
    return try drop(forgotten, kept: kept, unreadable: unreadable, busy: busy, dryRun: dryRun)
  }

  /// Returns the snapshots of an image with the properties that a policy considers, and the names of those
  /// that cannot be read.
  private func candidates(
    of image: ImageName, _ inUse: [SnapshotName: String]
  ) throws -> (
    [(committed: CommittedSnapshot, properties: RetentionCandidate)], damaged: [SnapshotName]
  ) {
    let refs = try context.store().refs
    try refs.requireKnownProtection(of: image)
    let tags = try refs.tags(of: image)
    let pins = try refs.pins(of: image)
    var candidates: [(committed: CommittedSnapshot, properties: RetentionCandidate)] = []
    var damaged: [SnapshotName] = []
    for number in try refs.numbers(of: image) {
      do throws(StoreError) {
        let committed = try refs.read(image, number)
        let snapshot = committed.snapshot
        candidates.append(
          (
            committed,
            RetentionCandidate(
              number: number, created: snapshot.created.seconds, isComplete: snapshot.isComplete,
              tags: tags.filter { $0.value == number }.keys.sorted(), pin: pins[number],
              underWay: inUse[SnapshotName(image: image, number: number)],
              isAutomatic: snapshot.origin.isAutomatic)
          ))
      } catch {
        guard error.kind == .damaged else { throw error }
        damaged.append(SnapshotName(image: image, number: number))
      }
    }
    return (candidates, damaged)
  }

  func forgetEntirely(
    _ names: [String], force: Bool = false, dryRun: Bool = false
  ) throws -> ForgetOutcome {
    let store = try context.store()
    let images = try Set(
      names.map { name -> ImageName in
        // An added directory without snapshots has no history.
        if let image = try? ImageName(name),
          try context.tables().definition(of: name)?.isDirectory == true
        {
          return image
        }
        return try ImageResolver(context).image(exactly: name)
      }
    ).sorted()
    let locks = try images.map { try lockHistory($0, store, dryRun: dryRun) }
    defer { withExtendedLifetime(locks) {} }
    let inUse = try SnapshotsInUse(context).snapshotsInUse()
    var forgotten: [ForgottenSnapshot] = []
    for image in images {
      let pins = try store.refs.pins(of: image)
      let tags = try store.refs.tags(of: image)
      for number in try store.refs.numbers(of: image) {
        let name = SnapshotName(image: image, number: number)
        if let user = inUse[name] {
          throw ImageError(
            .changeUnfinished, "snapshot \(name)", "is needed by \(user)",
            hint: "Complete or roll back that change first with 'imgstore resume'")
        }
        if let reason = pins[number], !force {
          throw ImageError(
            .snapshotProtected,
            "snapshot \(name)", "is \(KeepReason.pinned(reason: reason))",
            hint: "Use '--force' to remove it anyway")
        }
        forgotten.append(
          ForgottenSnapshot(
            name: name, snapshot: try? store.refs.read(image, number),
            tags: tags.filter { $0.value == number }.keys.sorted()))
      }
    }
    // The rows first: if they cannot be written, no snapshot is removed.
    let undefined = try undefine(images, dryRun: dryRun)
    var outcome = try drop(forgotten, kept: [], unreadable: [], dryRun: dryRun)
    outcome.undefined = undefined
    return outcome
  }

  /// Removes the images that are directories from the list of images.
  private func undefine(_ images: [ImageName], dryRun: Bool) throws -> [UndefinedImage] {
    let store = try context.store()
    var undefined: [UndefinedImage] = []
    for image in images where !dryRun || !store.layout.isReadOnly {
      guard let definition = try context.tables().definition(of: image.text), definition.isDirectory
      else { continue }
      let changes = definition.removalOfDirectory(image)
      if dryRun {
        try context.tables().validate(changes)
      } else {
        try LiveRows(context).applyRows(changes)
      }
      undefined.append(
        UndefinedImage(
          image: image.text, path: definition.directoryPath?.text ?? "",
          excludes: definition.excludes))
    }
    return undefined
  }

  /// Locks the image, even if it has an unfinished change: snapshots that the change needs are not removed.
  /// - Returns: nil in a dry run on a read-only store.
  func lockHistory(
    _ image: ImageName, _ store: ObjectStore, dryRun: Bool
  ) throws -> FileLock? {
    if dryRun, store.layout.isReadOnly { return nil }
    return try ImageLocks(context).lockImage(image, store)
  }

  /// Removes the snapshots or, in a dry run, computes the space that this would free.
  func drop(
    _ forgotten: [ForgottenSnapshot], kept: [KeptSnapshot], unreadable: [SnapshotName],
    busy: [BusyImage] = [], dryRun: Bool
  ) throws -> ForgetOutcome {
    let store = try context.store()
    var usage: DiskUse.Use?
    var collectable: UInt64?
    let refusal = try DryRunRefusal(context).refusal(isDryRun: dryRun) {
      let name = forgotten.first?.name.image.text ?? kept.first?.snapshot.snapshot.image
      if dryRun { try store.layout.requireWritable("the history of \(name ?? "images")") }
    }
    if dryRun {
      // While a snapshot cannot be read, gc frees nothing.
      let diskUse = try store.diskUse(isTolerant: true, progress: context.progress)
      if diskUse.isComplete {
        usage = try diskUse.use(of: forgotten.map(\.name))
        collectable = diskUse.collectableBytes
      }
    } else {
      context.progress.begin("forgetting")
      var done = (snapshots: 0, images: 0)
      for (image, removed) in Dictionary(grouping: forgotten, by: \.name.image)
        .sorted(by: { $0.key < $1.key })
      {
        let keeper = StandbyKeeper(context)
        let tree = try keeper.rootTree(of: image)
        try store.refs.remove(image, removed.map(\.name.number))
        keeper.pruneAfterRemoval(image, at: tree)
        done = (done.snapshots + removed.count, done.images + 1)
        Interruption.announce(
          "interrupted: forgot \(done.snapshots) snapshot\(done.snapshots == 1 ? "" : "s") of "
            + "\(done.images) image\(done.images == 1 ? "" : "s") so far; run it again to continue")
      }
    }
    return ForgetOutcome(
      forgotten: forgotten, kept: kept, unreadable: unreadable, busy: busy,
      freedBytes: usage?.freedBytes,
      collectableBytes: collectable, isDryRun: dryRun, refusal: refusal)
  }
}
