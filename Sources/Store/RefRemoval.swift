// Taking snapshots out of the history.
//
// 1. A ref goes by one unlink, or, where it is the highest of its image, by one rename to
//    <n>.removed: the number is then still seen to be used, and no later snapshot gets it. A crash
//    leaves the snapshot whole or gone.
// 2. Its tags and its pin go first: a crash in between leaves a snapshot without a tag, never a tag
//    without a snapshot.
// 3. The folder is synced before anything that the snapshot alone needed may be collected.
// 4. Refs are removed under locks/refs, held exclusively; a collector reads them holding it shared.
//    So what it reads contains every ref that was there when it began, and a ref that was made
//    from another one (which its maker keeps from going, by the image's lock) is not missed.

import Codec
import Platform

extension RefLog {
  private static let lockName = Array("refs".utf8)
  private static let removedSuffix = Array(".removed".utf8)

  /// The number in the name of what a removed snapshot left.
  static func removedNumber(_ name: [UInt8]) -> Int? {
    guard name.count > removedSuffix.count, name.suffix(removedSuffix.count) == removedSuffix[...]
    else { return nil }
    return number(name.dropLast(removedSuffix.count))
  }

  /// Removes snapshots of one image, whatever is said of them elsewhere. The caller holds the
  /// image's lock. Numbers that are not there are passed over.
  /// - Returns: the bytes that their refs had.
  @discardableResult
  public func remove(_ image: ImageName, _ numbers: [Int]) throws(StoreError) -> UInt64 {
    guard let folder = try open(layout.refs, image) else { return 0 }
    let gone = Set(numbers)
    for (tag, number) in try tags(of: image) where gone.contains(number) {
      try removeTag(tag, of: image)
    }
    for number in numbers { _ = try unpin(image, number) }
    let highest = try highestNumber(of: image)
    return try explaining("the refs of \(image)") { () throws(SystemError) in
      let fileSystem = layout.fileSystem
      let lock = try FileLock.acquire(
        fileSystem, at: layout.locks.raw, RefLog.lockName, exclusive: true)
      defer { withExtendedLifetime(lock) {} }
      var freedBytes: UInt64 = 0
      for number in gone.sorted() {
        let name = RefLog.fileName(number)
        guard let stat = try fileSystem.statIfPresent(at: folder.raw, name) else { continue }
        if number == highest {
          let mark = name + RefLog.removedSuffix
          try fileSystem.rename(at: folder.raw, name, to: folder.raw, mark, exclusively: false)
          // Its name is what counts; its content is only space.
          let file = try fileSystem.openFile(at: folder.raw, mark, [.write, .truncate])
          withExtendedLifetime(file) {}
        } else {
          try fileSystem.remove(at: folder.raw, name, isDirectory: false)
        }
        freedBytes &+= stat.size
      }
      // Only the highest number must be remembered.
      for name in try fileSystem.names(of: folder.raw) {
        if let number = RefLog.removedNumber(name), number < highest {
          try fileSystem.remove(at: folder.raw, name, isDirectory: false)
        }
      }
      try fileSystem.sync(folder.raw)
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
  /// - Throws: `refused` where a ref cannot be read: what it needs is then not known.
  func readAll(
    except known: Set<SnapshotName> = [], _ body: (CommittedSnapshot) throws -> Void
  ) throws {
    let lock = try explaining("the refs") { () throws(SystemError) in
      try FileLock.acquire(
        layout.fileSystem, at: layout.locks.raw, RefLog.lockName, exclusive: false)
    }
    defer { withExtendedLifetime(lock) {} }
    for image in try everyImage() {
      if let folder = try open(layout.refs, image) {
        try explaining("the refs of \(image)") { () throws(SystemError) in
          try layout.fileSystem.sync(folder.raw)
        }
      }
      for number in try numbers(of: image) {
        if known.contains(SnapshotName(image: image, number: number)) { continue }
        do {
          try body(try read(image, number))
        } catch let error as StoreError where error.kind == .damaged {
          throw StoreError(
            .refused, "\(image)@\(number)",
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
