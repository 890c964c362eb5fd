// The limit on the expansion of archives inside a bundle.

import Archive
import Platform

/// Limits the expansion of archives inside the bundle, relative to the size of the bundle. Each of two nested
/// streams may stay within the limit while together they expand a hundred thousand times.
final class ExpansionGuard: Sendable {
  /// The owner of the streams, for messages.
  private let subject: String
  private let counts = Monitor((source: UInt64(0), plain: UInt64(0), holes: UInt64(0)))
  private let limit = ExpansionLimit.standard

  init(subject: String = "the bundle") { self.subject = subject }

  /// Counts bytes as they are read ahead.
  func noteSource(_ bytes: Int) { counts.withLock { $0.source += UInt64(bytes) } }

  func add(_ bytes: UInt64) throws(ArchiveError) {
    let (source, plain) = counts.withLock { counts in
      counts.plain &+= bytes
      return (counts.source, counts.plain)
    }
    guard limit.allows(plain: plain, compressed: source) else {
      throw ArchiveError(
        "\(subject)'s \(source) bytes expand more than \(limit.ratio) times, to "
          + "\(plain) so far", isExpansionLimit: true)
    }
  }

  /// Counts bytes in holes of files in trees.
  func add(holes bytes: UInt64) throws(ArchiveError) {
    let (source, holes) = counts.withLock { counts in
      counts.holes &+= bytes
      return (counts.source, counts.holes)
    }
    guard ExpansionLimit.holes.allows(plain: holes, compressed: source) else {
      throw ArchiveError(
        "\(subject)'s \(source) bytes claim holes of \(holes) bytes, more than "
          + "\(ExpansionLimit.holes.ratio) times as many")
    }
  }
}
