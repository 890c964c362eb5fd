// Removal of snapshots from the history.
//
// 1. One rename to <n>.removed removes a ref, so a crash leaves the snapshot complete or removed. Then the
//    number is recorded (RemovedNumbers.swift) and the file deleted. The file of the image's highest number
//    stays, so that no later snapshot gets that number. On a full disk the files stay, truncated, until a
//    later removal.
// 2. The tags, pin and signatures of a snapshot are deleted first. A crash leaves a snapshot without a tag,
//    never a tag without a snapshot.
// 3. The directory is synced before gc may delete objects that only the removed snapshot needed.
// 4. Refs are removed under locks/refs, held exclusively; gc reads them under the shared lock. So gc sees
//    every ref that existed when it began reading. A ref that was created from another one is not missed
//    either: its creator protects the other one by the image's lock.

import Platform

extension RefLog {
  static let lockName = Array("refs".utf8)
  static let removedSuffix = Array(".removed".utf8)
  static let lostSuffix = Array(".lost".utf8)

  /// Returns the number in the name of a removed snapshot's file.
  static func removedNumber(_ name: [UInt8]) -> Int? { number(name, suffix: removedSuffix) }

  /// Returns the number in the name of a file that replaces a ref which `repair` moved to quarantine/.
  static func lostNumber(_ name: [UInt8]) -> Int? { number(name, suffix: lostSuffix) }

  private static func number(_ name: [UInt8], suffix: [UInt8]) -> Int? {
    guard name.count > suffix.count, name.suffix(suffix.count) == suffix[...] else { return nil }
    return number(name.dropLast(suffix.count))
  }

  /// Removes snapshots of one image with their tags, pins and signatures. The caller holds the image's lock
  /// and has checked that they may be removed. Numbers that do not exist are ignored.
  /// - Returns: the size of their refs in bytes.
  /// - Throws: `refused` if the store is read-only; `system`.
  @discardableResult
  public func remove(_ image: ImageName, _ numbers: [Int]) throws(StoreError) -> UInt64 {
    try layout.requireWritable("the history of \(image)")
    guard let directory = try open(layout.refs, image) else { return 0 }
    do throws(StoreError) {
      try upgrade()
    } catch {
      // On a full disk the names <n>.removed are enough, in a store of either version.
      guard case .system(let cause) = error.kind, cause.isOutOfSpace else { throw error }
    }
    let removed = Set(numbers)
    let damaged = try damagedMarks(of: image)
    let damagedTags = Set(damaged.filter { $0.kind == .tag }.map(\.name))
    for (tag, number) in try tags(of: image)
    where removed.contains(number) && !damagedTags.contains(tag) {
      try removeTag(tag, of: image)
    }
    if try removed.isSuperset(of: self.numbers(of: image)) {
      // Without snapshots, damaged marks keep nothing.
      for mark in damaged { try setAside(mark.kind, mark.name, of: image) }
    }
    for number in numbers { _ = try unpin(image, number) }
    try removeSignatures(of: image, removed)
    let lost = Set(try lostNumbers(of: image))
    let highest = try highestNumber(of: image)
    return try mapSystemErrors("the refs of \(image)") { () throws(SystemError) in
      let fileSystem = layout.fileSystem
      let lock = try layout.lock(RefLog.lockName, exclusive: true)
      defer { withExtendedLifetime(lock) {} }
      var freedBytes: UInt64 = 0
      for number in removed.sorted() {
        let name = RefLog.fileName(number)
        let mark = name + RefLog.removedSuffix
        if let stat = try fileSystem.statIfPresent(at: directory.raw, name) {
          try fileSystem.rename(
            at: directory.raw, name, to: directory.raw, mark, exclusively: false)
          freedBytes &+= stat.size
        } else if lost.contains(number) {
          let marker = name + RefLog.lostSuffix
          if try fileSystem.statIfPresent(at: directory.raw, marker) != nil {
            try fileSystem.rename(
              at: directory.raw, marker, to: directory.raw, mark, exclusively: false)
          } else {
            _ = try fileSystem.openFile(
              at: directory.raw, mark, [.write, .create, .noFollow, .nonBlocking])
          }
        }
      }
      try fileSystem.sync(directory.raw)
      try recordRemoved(image, directory, highest: highest)
      return freedBytes
    }
  }

  /// Returns the size of a ref in bytes; 0 if it does not exist.
  func sizeBytes(_ image: ImageName, _ number: Int) throws(StoreError) -> UInt64 {
    guard let directory = try open(layout.refs, image) else { return 0 }
    return try mapSystemErrors("the refs of \(image)") { () throws(SystemError) in
      try layout.fileSystem.statIfPresent(at: directory.raw, RefLog.fileName(number))?.size ?? 0
    }
  }

  /// Calls `body` with every snapshot except `known`, as one state of the history (invariant 4). The
  /// removals in it are durable.
  /// - Parameter onDamage: receives the refs that cannot be read; nil if they are an error.
  /// - Throws: `damaged` if a ref cannot be read, because the objects that it needs are unknown; errors of
  ///   `body`.
  func readAll(
    except known: Set<SnapshotName> = [],
    onDamage: ((SnapshotName, StoreError) throws -> Void)? = nil,
    _ body: (CommittedSnapshot) throws -> Void
  ) throws {
    let lock = try mapSystemError("the refs", try layout.lock(RefLog.lockName, exclusive: false))
    defer { withExtendedLifetime(lock) {} }
    for image in try everyImage() {
      if let directory = try open(layout.refs, image) {
        // A read-only file system may refuse the sync, and nothing is removed there.
        if !layout.isReadOnly {
          try mapSystemError("the refs of \(image)", try layout.fileSystem.sync(directory.raw))
        }
      }
      for number in try numbers(of: image) {
        if known.contains(SnapshotName(image: image, number: number)) { continue }
        let committed: CommittedSnapshot
        do throws(StoreError) { committed = try read(image, number) } catch {
          guard error.kind == .damaged else { throw error }
          if let onDamage {
            try onDamage(SnapshotName(image: image, number: number), error)
            continue
          }
          throw StoreError(
            .damaged, "\(image)@\(number)",
            "cannot be read, so its references are unknown; nothing was removed (\(error.reason))",
            hint: "Restore the file, or remove the snapshot with "
              + "'imgstore remove \(image)@\(number) --force'", code: .snapshotDamaged)
        }
        try body(committed)
      }
    }
  }
}

/// Identifies a snapshot in a store.
public struct SnapshotName: Hashable, Sendable, CustomStringConvertible {
  public let image: ImageName
  public let number: Int
  /// Creates an identifier; the snapshot need not exist.
  public init(image: ImageName, number: Int) {
    self.image = image
    self.number = number
  }
  public var description: String { "\(image)@\(number)" }
}
