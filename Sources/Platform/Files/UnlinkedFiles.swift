// The files that lost a name when a tree was removed, and have others. The removal changes their ctime and link
// count, and nothing else.
//
// 1. A file is recorded with its ctime before and after each removal. If something else changed it between two
//    removals, the times do not continue each other, and it is forgotten.
// 2. Both times are read from one open handle, so they belong to the file that lost the name.

/// The change times of files around the removal of some of their names.
public struct UnlinkedFiles: Sendable {
  /// The removals of the names of one file.
  public struct Removal: Sendable {
    /// The ctime before the first removal.
    public let changedBefore: Timestamp
    /// The ctime after the last one.
    public fileprivate(set) var changedAfter: Timestamp
    /// The link count after the last one.
    public fileprivate(set) var links: UInt32
  }

  private var removals: [FileIdentity: Removal?] = [:]

  /// Creates an empty record.
  public init() {}

  public var isEmpty: Bool { removals.isEmpty }

  /// Records the removal of one name of a file.
  /// - Parameters:
  ///   - before: the file's attributes before it.
  ///   - after: its attributes after it, read from the same handle.
  public mutating func add(_ before: FileStat, _ after: FileStat) {
    guard before.kind == .file, after.links > 0 else { return }
    let file = FileIdentity(before)
    // Only the times and the count may differ.
    var expected = before
    (expected.changed, expected.links) = (after.changed, before.links &- 1)
    guard expected == after else {
      removals[file] = .some(nil)
      return
    }
    switch removals[file] {
    case nil:
      removals[file] = Removal(
        changedBefore: before.changed, changedAfter: after.changed, links: after.links)
    case .some(let removal?) where removal.changedAfter == before.changed:
      removals[file]??.changedAfter = after.changed
      removals[file]??.links = after.links
    case .some: removals[file] = .some(nil)
    }
  }

  /// Returns the removals of a file's names; nil if there are none, or if something else changed the file
  /// meanwhile.
  public func removal(of file: FileIdentity) -> Removal? { removals[file] ?? nil }
}
