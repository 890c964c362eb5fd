// imgstore tag, untag, pin, unpin: names of snapshots, and the promise to keep one.

import Platform
import Store

extension Workspace {
  /// Gives a snapshot a name.
  /// - Parameter moving: takes the name away from the snapshot that has it, in one step.
  /// - Returns: the snapshot, and the number of the one that had the name.
  /// - Throws: `StoreError` where the name is not allowed, or taken and not to be moved.
  public func tag(
    _ text: String, as tag: String, moving: Bool = false
  ) throws -> (snapshot: CommittedSnapshot, movedFrom: Int?) {
    let old = Monitor<Int?>(nil)
    let snapshot = try mark(text) { image, number, refs in
      let moved = try refs.setTag(tag, of: image, to: number, moving: moving)
      old.withLock { $0 = moved }
    }
    return (snapshot, old.withLock { $0 })
  }

  /// The tags of an image, or of all, by image and name.
  public func tags(of name: String?) throws -> [(tag: String, snapshot: SnapshotName)] {
    let refs = try store().refs
    let images = try name.map { [try image(named: $0)] } ?? refs.images()
    return try images.sorted().flatMap { image in
      try refs.tags(of: image).sorted { $0.key < $1.key }.map {
        ($0.key, SnapshotName(image: image, number: $0.value))
      }
    }
  }

  /// Tags of one snapshot.
  public func tags(of snapshot: CommittedSnapshot) throws -> [String] {
    try store().refs.tags(of: try ImageName(snapshot.snapshot.image))
      .filter { $0.value == snapshot.number }.keys.sorted()
  }

  /// Takes a tag away: IMAGE@TAG. The snapshot stays.
  /// - Returns: the snapshot that it stood for.
  public func untag(_ text: String) throws -> SnapshotName {
    let reference = try Reference(text)
    guard case .tag(let tag) = reference.selector else {
      throw ImageError(.usage, "reference '\(text)'", "is no tag", advice: "Write IMAGE@TAG")
    }
    let store = try store()
    let images = try store.refs.images()
    guard
      let image = reference.image.isEmpty && images.count == 1
        ? images.first : try image(named: reference.image)
    else { throw ImageError(.notFound, "reference '\(text)'", "names no image") }
    let lock = try lock(image, store)
    defer { withExtendedLifetime(lock) {} }
    let number = try store.refs.tags(of: image)[tag]
    try store.refs.removeTag(tag, of: image)
    return SnapshotName(image: image, number: number ?? 0)
  }

  /// Makes a snapshot stay until it is unpinned.
  /// - Parameter why: one line.
  public func pin(_ text: String, why: String = "") throws -> CommittedSnapshot {
    try mark(text) { image, number, refs in try refs.pin(image, number, why: why) }
  }

  /// Takes a pin away.
  /// - Throws: `ImageError` where the snapshot is not pinned.
  public func unpin(_ text: String) throws -> CommittedSnapshot {
    try mark(text) { image, number, refs in
      guard try refs.unpin(image, number) else {
        throw ImageError(.notFound, "snapshot \(image)@\(number)", "is not pinned")
      }
    }
  }

  /// The pins of an image, or of all, by image and number.
  public func pins(of name: String?) throws -> [(snapshot: SnapshotName, reason: String)] {
    let refs = try store().refs
    let images = try name.map { [try image(named: $0)] } ?? refs.images()
    return try images.sorted().flatMap { image in
      try refs.pins(of: image).sorted { $0.key < $1.key }.map {
        (SnapshotName(image: image, number: $0.key), $0.value)
      }
    }
  }

  /// Why a snapshot is pinned; nil where it is not.
  public func pin(of snapshot: CommittedSnapshot) throws -> String? {
    try store().refs.pins(of: try ImageName(snapshot.snapshot.image))[snapshot.number]
  }

  private func mark(
    _ text: String, _ body: (ImageName, Int, RefLog) throws -> Void
  ) throws -> CommittedSnapshot {
    let reference = try Reference(text)
    let store = try store()
    let image = try ImageName(try find(reference).snapshot.image)
    let lock = try lock(image, store)
    defer { withExtendedLifetime(lock) {} }
    // Again, under the lock: it may have been removed.
    let found = try find(reference)
    try body(image, found.number, store.refs)
    return found
  }
}
