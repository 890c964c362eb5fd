// The numbers of an image's refs, listed once for an unchanged directory. A command asks for them several
// times, and a directory of 5,000 refs takes a millisecond.
//
// 1. A listing is valid while the directory's inode, mtime and ctime are unchanged: the kernel changes them
//    when a name is added, removed or renamed.
// 2. A listing is kept only if the last change of the directory was older than the resolution of file times
//    when the listing began. A later change then has other times.
// 3. Only the latest listing is kept.

import Platform

/// Remembers the latest listing of a directory of refs.
final class RefListings: Sendable {
  /// The numbers in a directory of refs.
  struct Listing: Sendable {
    /// The numbers of the refs, ascending.
    let numbers: [Int]
    /// The numbers that have a mark of their removal, or a mark that they are lost.
    let removed: [Int]
    let lost: [Int]

    /// The highest number of a snapshot that exists, was removed or is lost; 0 if there is none.
    var highest: Int { max(numbers.last ?? 0, removed.max() ?? 0, lost.max() ?? 0) }

    init(_ names: [[UInt8]]) {
      var numbers: [Int] = []
      var removed: [Int] = []
      var lost: [Int] = []
      numbers.reserveCapacity(names.count)
      for name in names {
        if let number = RefLog.number(name) {
          numbers.append(number)
        } else if let number = RefLog.removedNumber(name) {
          removed.append(number)
        } else if let number = RefLog.lostNumber(name) {
          lost.append(number)
        }
      }
      numbers.sort()
      self.numbers = numbers
      self.removed = removed
      self.lost = lost
    }
  }

  /// The state of a directory.
  private struct State: Equatable {
    let identity: FileIdentity
    let modified: Timestamp
    let changed: Timestamp

    init(_ stat: FileStat) {
      (identity, modified, changed) = (FileIdentity(stat), stat.modified, stat.changed)
    }
  }

  /// The resolution of times on all file systems but those without nanoseconds.
  private static let granuleNanoseconds: Int64 = 20_000_000

  private let latest = Monitor<(state: State, listing: Listing)?>(nil)

  /// Returns the numbers in an open directory of refs.
  /// - Throws: `SystemError` if the directory cannot be read.
  func listing(
    of directory: Descriptor, _ fileSystem: any FileSystem
  ) throws(SystemError) -> Listing {
    let start = now()
    let state = State(try fileSystem.stat(directory.raw))
    if let known = latest.withLock({ $0 }), known.state == state { return known.listing }
    let listing = Listing(try fileSystem.names(of: directory.raw))
    if isOld(state, at: start), State(try fileSystem.stat(directory.raw)) == state {
      latest.withLock { $0 = (state, listing) }
    }
    return listing
  }

  private func isOld(_ state: State, at time: Timestamp) -> Bool {
    guard state.changed.nanoseconds != 0, state.modified.nanoseconds != 0 else { return false }
    func age(_ changed: Timestamp) -> Int64 {
      let (seconds, isTooLarge) = time.seconds.subtractingReportingOverflow(changed.seconds)
      guard !isTooLarge, abs(seconds) < 1 << 32 else { return -1 }
      return seconds * 1_000_000_000 + Int64(time.nanoseconds) - Int64(changed.nanoseconds)
    }
    return min(age(state.changed), age(state.modified)) > RefListings.granuleNanoseconds
  }
}
