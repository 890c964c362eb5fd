// imgstore tag, untag, pin, unpin: names for snapshots, and marks that keep them from retention policies.

import Platform
import Store

extension Workspace {
  /// Tags a snapshot.
  /// - Parameter moving: whether the tag may be moved from another snapshot, in one step.
  /// - Returns: the snapshot, and the number of the one that had the tag before.
  /// - Throws: `ImageError`; `StoreError` if the name is not allowed, or in use and `moving` is false.
  public func tag(
    _ text: String, as tag: String, moving: Bool = false
  ) throws -> (snapshot: CommittedSnapshot, movedFrom: Int?) {
    try MarkEditor(context).tag(text, as: tag, moving: moving)
  }

  /// Returns the tags of an image, or of all images, sorted by image and name. Damaged tags are left out.
  public func tags(of name: String?) throws -> [(tag: String, snapshot: SnapshotName)] {
    try MarkEditor(context).tags(of: name)
  }

  /// Returns the damaged tags and pins of an image, or of all images. Lists name them, because each keeps a
  /// snapshot or has lost its reason.
  public func damagedMarks(of name: String?) throws -> [DamagedMark] {
    let refs = try context.store().refs
    let images = try name.map { [try ImageResolver(context).image(named: $0)] } ?? refs.everyImage()
    return try images.sorted().flatMap { try refs.damagedMarks(of: $0) }
  }

  /// Returns the tags of a snapshot, sorted.
  public func tags(of snapshot: CommittedSnapshot) throws -> [String] {
    try MarkEditor(context).tags(of: snapshot)
  }

  /// Removes a tag, given as IMAGE@TAG, even a damaged one. The snapshot stays.
  /// - Returns: the snapshot that had the tag; number 0 if the tag was damaged.
  /// - Throws: `ImageError`: `invalidReference`, `imageNotFound`; `StoreError` if there is no such tag.
  public func untag(_ text: String) throws -> SnapshotName {
    try MarkEditor(context).untag(text)
  }

  /// Pins a snapshot, so that it is kept until it is unpinned.
  /// - Parameter reason: the reason, as one line of text.
  public func pin(_ text: String, reason: String = "") throws -> CommittedSnapshot {
    try MarkEditor(context).pin(text, reason: reason)
  }

  /// Unpins a snapshot.
  /// - Throws: `ImageError` (`notFound`) if the snapshot is not pinned.
  public func unpin(_ text: String) throws -> CommittedSnapshot {
    try MarkEditor(context).unpin(text)
  }

  /// Returns the pins of an image, or of all images, sorted by image and number.
  public func pins(of name: String?) throws -> [(snapshot: SnapshotName, reason: String)] {
    let refs = try context.store().refs
    let images = try name.map { [try ImageResolver(context).image(named: $0)] } ?? refs.images()
    return try images.sorted().flatMap { image in
      try refs.pins(of: image).sorted { $0.key < $1.key }.map {
        (SnapshotName(image: image, number: $0.key), $0.value)
      }
    }
  }

  /// Returns the reason of a snapshot's pin; nil if it is not pinned.
  public func pin(of snapshot: CommittedSnapshot) throws -> String? {
    if snapshot.remote != nil { return nil }
    return try context.store().refs.pins(of: try ImageName(snapshot.snapshot.image))[
      snapshot.number]
  }
}

/// Sets and removes tags and pins.
struct MarkEditor: Collaborator {
  let context: Context

  func tag(
    _ text: String, as tag: String, moving: Bool = false
  ) throws -> (snapshot: CommittedSnapshot, movedFrom: Int?) {
    let old = Monitor<Int?>(nil)
    let snapshot = try mark(text) { image, number, refs in
      let moved = try refs.setTag(tag, of: image, to: number, moving: moving)
      old.withLock { $0 = moved }
    }
    return (snapshot, old.withLock { $0 })
  }

  func tags(of name: String?) throws -> [(tag: String, snapshot: SnapshotName)] {
    let refs = try context.store().refs
    let images = try name.map { [try ImageResolver(context).image(named: $0)] } ?? refs.images()
    return try images.sorted().flatMap { image in
      try intactTags(of: image).sorted { $0.key < $1.key }.map {
        ($0.key, SnapshotName(image: image, number: $0.value))
      }
    }
  }

  /// Returns the tags of an image that are not damaged.
  func intactTags(of image: ImageName) throws -> [String: Int] {
    let refs = try context.store().refs
    let damaged = Set(
      try refs.damagedMarks(of: image).filter { $0.kind == .tag }.map(\.name))
    return try refs.tags(of: image).filter { !damaged.contains($0.key) }
  }

  func tags(of snapshot: CommittedSnapshot) throws -> [String] {
    if let remote = snapshot.remote {
      return try RemoteReader(context).tags(of: snapshot, at: remote)
    }
    return try context.store().refs.tags(of: try ImageName(snapshot.snapshot.image))
      .filter { $0.value == snapshot.number }.keys.sorted()
  }

  func untag(_ text: String) throws -> SnapshotName {
    let reference = try Reference(text)
    guard case .tag(let tag) = reference.selector else {
      throw ImageError(
        .invalidReference, "reference '\(text)'", "is not a tag", hint: "Write IMAGE@TAG")
    }
    let store = try context.store()
    let images = try store.refs.images()
    guard
      let image = reference.image.isEmpty && images.count == 1
        ? images.first : try ImageResolver(context).image(named: reference.image)
    else { throw ImageError(.notFound, "reference '\(text)'", "does not name an image") }
    return try ImageLocks(context).withLock(image, store) {
      let isDamaged = try store.refs.damagedMark(.tag, tag, of: image) != nil
      let number = isDamaged ? nil : try store.refs.tags(of: image)[tag]
      try store.refs.removeTag(tag, of: image)
      return SnapshotName(image: image, number: number ?? 0)
    }
  }

  func pin(_ text: String, reason: String = "") throws -> CommittedSnapshot {
    try mark(text) { image, number, refs in try refs.pin(image, number, reason: reason) }
  }

  func unpin(_ text: String) throws -> CommittedSnapshot {
    try mark(text) { image, number, refs in
      guard try refs.unpin(image, number) else {
        throw ImageError(.notFound, "snapshot \(image)@\(number)", "is not pinned")
      }
    }
  }

  /// Runs `body` for a snapshot, with the image's lock held.
  private func mark(
    _ text: String, _ body: (ImageName, Int, RefLog) throws -> Void
  ) throws -> CommittedSnapshot {
    let reference = try Reference(text)
    let store = try context.store()
    let image = try ImageName(try SnapshotResolver(context).find(reference).snapshot.image)
    return try ImageLocks(context).withLock(image, store) {
      // The snapshot may have been removed before the lock was taken.
      let committed = try SnapshotResolver(context).find(reference)
      try body(image, committed.number, store.refs)
      return committed
    }
  }
}
