// Taking snapshots out of the history.
//
// 1. A ref goes by one rename to <n>.removed: a crash leaves the snapshot whole or gone. The number is
//    then recorded (RemovedNumbers.swift), and the file unlinked, unless it is the image's highest: no
//    later snapshot gets its number. On a full disk the files stay, empty, until a later removal.
// 2. Its tags, its pin and its signatures go first: a crash in between leaves a snapshot without a tag,
//    never a tag without a snapshot.
// 3. The folder is synced before anything that the snapshot alone needed may be collected.
// 4. Refs are removed under locks/refs, held exclusively; a collector reads them holding it shared.
//    So what it reads contains every ref that was there when it began, and a ref that was made
//    from another one (which its maker keeps from going, by the image's lock) is not missed.

import Codec
import Platform

extension RefLog {
  static let lockName = Array("refs".utf8)
  static let removedSuffix = Array(".removed".utf8)
  static let lostSuffix = Array(".lost".utf8)

  /// The number in the name of what a removed snapshot left.
  static func removedNumber(_ name: [UInt8]) -> Int? { number(name, suffix: removedSuffix) }

  /// The number in the name of what `repair` left of a ref that it moved to quarantine/.
  static func lostNumber(_ name: [UInt8]) -> Int? { number(name, suffix: lostSuffix) }

  private static func number(_ name: [UInt8], suffix: [UInt8]) -> Int? {
    guard name.count > suffix.count, name.suffix(suffix.count) == suffix[...] else { return nil }
    return number(name.dropLast(suffix.count))
  }

  /// Removes snapshots of one image, whatever is said of them elsewhere. The caller holds the
  /// image's lock. Numbers that are not there are passed over.
  /// - Returns: the bytes that their refs had.
  @discardableResult
  public func remove(_ image: ImageName, _ numbers: [Int]) throws(StoreError) -> UInt64 {
    try layout.requireWritable("the history of \(image)")
    guard let folder = try open(layout.refs, image) else { return 0 }
    do throws(StoreError) {
      try upgrade()
    } catch {
      // On a full disk the names <n>.removed tell enough, in a store of either version.
      guard case .system(let cause) = error.kind, cause.isOutOfSpace else { throw error }
    }
    let gone = Set(numbers)
    for (tag, number) in try tags(of: image) where gone.contains(number) {
      try removeTag(tag, of: image)
    }
    for number in numbers { _ = try unpin(image, number) }
    try removeSignatures(of: image, gone)
    let lost = Set(try lostNumbers(of: image))
    let highest = try highestNumber(of: image)
    return try explaining("the refs of \(image)") { () throws(SystemError) in
      let fileSystem = layout.fileSystem
      let lock = try layout.lock(RefLog.lockName, exclusive: true)
      defer { withExtendedLifetime(lock) {} }
      var freedBytes: UInt64 = 0
      for number in gone.sorted() {
        let name = RefLog.fileName(number)
        let mark = name + RefLog.removedSuffix
        if let stat = try fileSystem.statIfPresent(at: folder.raw, name) {
          try fileSystem.rename(at: folder.raw, name, to: folder.raw, mark, exclusively: false)
          freedBytes &+= stat.size
        } else if lost.contains(number) {
          let marker = name + RefLog.lostSuffix
          if try fileSystem.statIfPresent(at: folder.raw, marker) != nil {
            try fileSystem.rename(at: folder.raw, marker, to: folder.raw, mark, exclusively: false)
          } else {
            _ = try fileSystem.openFile(
              at: folder.raw, mark, [.write, .create, .noFollow, .nonBlocking])
          }
        }
      }
      try fileSystem.sync(folder.raw)
      try foldRemoved(image, folder, highest: highest)
      return freedBytes
    }
  }

  /// Bytes of a ref; 0 where there is none.
  func sizeBytes(_ image: ImageName, _ number: Int) throws(StoreError) -> UInt64 {
    guard let folder = try open(layout.refs, image) else { return 0 }
    return try explaining("the refs of \(image)") { () throws(SystemError) in
      try layout.fileSystem.statIfPresent(at: folder.raw, RefLog.fileName(number))?.size ?? 0
    }
  }

  /// Calls `body` with every snapshot but those named, as one state of the history (rule 4), whose
  /// removals are durable.
  /// - Throws: `damaged` where a ref cannot be read: what it needs is then not known.
  func readAll(
    except known: Set<SnapshotName> = [], _ body: (CommittedSnapshot) throws -> Void
  ) throws {
    let lock = try explaining("the refs") { () throws(SystemError) in
      try layout.lock(RefLog.lockName, exclusive: false)
    }
    defer { withExtendedLifetime(lock) {} }
    for image in try everyImage() {
      if let folder = try open(layout.refs, image) {
        // A read-only file system may refuse it, and removes nothing.
        if !layout.isReadOnly {
          try explaining("the refs of \(image)") { () throws(SystemError) in
            try layout.fileSystem.sync(folder.raw)
          }
        }
      }
      for number in try numbers(of: image) {
        if known.contains(SnapshotName(image: image, number: number)) { continue }
        do {
          try body(try read(image, number))
        } catch let error as StoreError where error.kind == .damaged {
          throw StoreError(
            .damaged, "\(image)@\(number)",
            "cannot be read, so nobody can tell what it needs: nothing is removed (\(error.finding))",
            advice: "Put the file back, or give the snapshot up with "
              + "'imgstore remove \(image)@\(number) --force'")
        }
      }
    }
  }
}

/// One snapshot among all.
public struct SnapshotName: Hashable, Sendable, CustomStringConvertible {
  public let image: ImageName
  public let number: Int
  public init(image: ImageName, number: Int) {
    self.image = image
    self.number = number
  }
  public var description: String { "\(image)@\(number)" }
}
