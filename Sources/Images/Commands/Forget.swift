// imgstore forget, remove: snapshots leave the history. Their space is free after `gc`.
//
// 1. The image's lock is held, so that no change of the image rests on what goes.
// 2. What goes and what stays, and why, is decided before anything is removed, and told.
// 3. What it frees is foretold by the rules that the collection follows (DiskUse).

import Platform
import Store
import XCAT

extension Workspace {
  /// Removes what a policy does not keep.
  /// - Parameters:
  ///   - names: images; all where there are none: then one that is busy is left alone, and the others are done.
  ///   - force: tagged and pinned snapshots may go, too.
  /// - Throws: `ImageError` for a policy without a rule, and for an image that has no snapshots.
  public func forget(
    _ names: [String], _ policy: RetentionPolicy, force: Bool = false, dryRun: Bool = false
  ) throws -> ForgetOutcome {
    guard policy.hasRule else {
      throw ImageError(
        .usage, "forget", "is given no rule, and would keep only the latest snapshots",
        advice: "Say what to keep: '--keep-last 10', '--keep-daily 7 --keep-monthly 12' …")
    }
    let store = try store()
    let images =
      names.isEmpty
      ? try store.refs.images()
      : try Set(names.map { try image(exactly: $0) }).sorted()
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
    let inUse = try snapshotsInUse()
    var forgotten: [ForgottenSnapshot] = []
    var kept: [KeptSnapshot] = []
    var unreadable: [SnapshotName] = []
    for image in locked {
      try store.refs.requireReadableTags(of: image)
      let allTags = try store.refs.tags(of: image)
      let pins = try store.refs.pins(of: image)
      var all: [CommittedSnapshot] = []
      for number in try store.refs.numbers(of: image) {
        do throws(StoreError) {
          all.append(try store.refs.read(image, number))
        } catch {
          guard error.kind == .damaged else { throw error }
          unreadable.append(SnapshotName(image: image, number: number))
        }
      }
      func tags(of number: Int) -> [String] {
        allTags.filter { $0.value == number }.keys.sorted()
      }
      let reasons = policy.reasons(
        for: all.map {
          RetentionCandidate(
            number: $0.number, created: $0.snapshot.created.seconds,
            isComplete: $0.snapshot.isComplete, tags: tags(of: $0.number), pin: pins[$0.number],
            underWay: inUse[SnapshotName(image: image, number: $0.number)],
            isAutomatic: $0.snapshot.origin.isAutomatic)
        }, force: force, now: now().seconds)
      for committed in all {
        if let why = reasons[committed.number], !why.isEmpty {
          kept.append(KeptSnapshot(snapshot: committed, reasons: why))
        } else {
          forgotten.append(
            ForgottenSnapshot(
              name: SnapshotName(image: image, number: committed.number), snapshot: committed,
              tags: tags(of: committed.number)))
        }
      }
    }
    return try drop(forgotten, kept: kept, unreadable: unreadable, busy: busy, dryRun: dryRun)
  }

  /// Removes all snapshots of images, and an image that is a directory from the images. The directory itself stays.
  /// - Parameter force: pinned ones go as well.
  /// - Throws: `ImageError` where one is pinned or needed by an unfinished change.
  public func forgetEntirely(
    _ names: [String], force: Bool = false, dryRun: Bool = false
  ) throws -> ForgetOutcome {
    let store = try store()
    let images = try Set(
      names.map { name -> ImageName in
        // A directory that was added and never snapshotted has no history.
        if let image = try? ImageName(name), try tables().definition(of: name)?.isDirectory == true
        {
          return image
        }
        return try image(exactly: name)
      }
    ).sorted()
    let locks = try images.map { try lockHistory($0, store, dryRun: dryRun) }
    defer { withExtendedLifetime(locks) {} }
    let inUse = try snapshotsInUse()
    var forgotten: [ForgottenSnapshot] = []
    for image in images {
      let pins = try store.refs.pins(of: image)
      let tags = try store.refs.tags(of: image)
      for number in try store.refs.numbers(of: image) {
        let name = SnapshotName(image: image, number: number)
        if let what = inUse[name] {
          throw ImageError(
            .unfinished, "snapshot \(name)", "is needed by \(what)",
            advice: "Finish that, or take it back, first: 'imgstore resume' says how")
        }
        if let why = pins[number], !force {
          throw ImageError(
            "snapshot \(name)", "is \(KeepReason.pinned(why: why))",
            advice: "'--force' removes it all the same")
        }
        forgotten.append(
          ForgottenSnapshot(
            name: name, snapshot: try? store.refs.read(image, number),
            tags: tags.filter { $0.value == number }.keys.sorted()))
      }
    }
    let outcome = try drop(forgotten, kept: [], unreadable: [], dryRun: dryRun)
    if !dryRun {
      for image in images {
        guard let definition = try tables().definition(of: image.text), definition.isDirectory
        else { continue }
        try applyRows(definition.removalOfDirectory(image))
      }
    }
    return outcome
  }

  /// The image's lock, also while a change of it is unfinished: what that needs stays.
  func lockHistory(
    _ image: ImageName, _ store: ObjectStore, dryRun: Bool
  ) throws -> FileLock? {
    if dryRun, store.layout.isReadOnly { return nil }
    return try lockImage(image, store)
  }

  func drop(
    _ forgotten: [ForgottenSnapshot], kept: [KeptSnapshot], unreadable: [SnapshotName],
    busy: [BusyImage] = [], dryRun: Bool
  ) throws -> ForgetOutcome {
    let store = try store()
    var use: DiskUse.Use?
    var collectable: UInt64?
    if dryRun {
      let account = try store.diskUse(progress: progress)
      use = try account.use(of: forgotten.map(\.name))
      collectable = account.collectableBytes
    } else {
      progress.begin("forgetting")
      for (image, gone) in Dictionary(grouping: forgotten, by: \.name.image)
        .sorted(by: { $0.key < $1.key })
      {
        try store.refs.remove(image, gone.map(\.name.number))
      }
    }
    return ForgetOutcome(
      forgotten: forgotten, kept: kept, unreadable: unreadable, busy: busy,
      freedBytes: use?.freedBytes,
      collectableBytes: collectable, isDryRun: dryRun)
  }
}
