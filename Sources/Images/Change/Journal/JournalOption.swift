// The options that the journal of a change records besides its target, so that `resume` allows and restores
// the same as the interrupted command.

import Platform
import Store

/// The options in the journal of an import or a revert. The keys are on disk: they keep their meaning.
enum JournalOption {
  /// A directory outside the install directory below which the change may write.
  private static let allowed = "allow"
  /// A file in the image's directory that does not belong to the image, and is left alone.
  static let foreign = "foreign"
  /// Present if each replaced file is kept as `FILE.ORIG`.
  private static let originals = "orig"

  /// The path of an image that is a directory.
  private static let directory = "directory"

  /// Returns the facts to record for an import.
  static func facts(_ request: ImportRequest, foreign: [Snapshot.Component]) -> [Snapshot.Fact] {
    request.allowed.map { Snapshot.Fact(allowed, $0) }
      + (request.directory.map { [Snapshot.Fact(directory, $0)] } ?? [])
      + foreign.map { Snapshot.Fact(self.foreign, printable($0.path)) }
      + (request.keepsOriginals ? [Snapshot.Fact(originals, "")] : [])
  }

  /// Present if the revert may change files at any location.
  private static let outside = "outside"
  /// Present if the exclude patterns of the target's definition are restored.
  private static let excludes = "excludes"
  /// Present if the path of the image's directory becomes that of the target.
  private static let locationKey = "place"
  /// An exclude list that was in effect when the change began: its patterns, one a line.
  private static let list = "exclude-list"

  /// Returns the facts to record for a revert.
  static func facts(_ request: RevertRequest) -> [Snapshot.Fact] {
    request.allowed.map { Snapshot.Fact(allowed, $0) }
      + (request.allowsOutside ? [Snapshot.Fact(outside, "")] : [])
      + (request.restoresExcludes ? [Snapshot.Fact(excludes, "")] : [])
      + (request.restoresLocation ? [Snapshot.Fact(locationKey, "")] : [])
  }

  /// A tree that may be exchanged: the inode of its directory, the temporary name of the new tree, and its
  /// path.
  private static let tree = "tree"

  /// A tree that a change may exchange with a new one.
  struct ExchangedTree {
    /// The inode of the old tree's directory.
    let inode: UInt64
    /// The name of the new tree before the exchange, and of the old one after it. A standby tree is in a
    /// directory of its own, so its name has two components.
    let temporaryName: [UInt8]
    /// The path, in printable form.
    let path: String

    /// Returns the path of the new tree, which is next to the old one.
    func temporaryPath(nextTo path: AbsolutePath) -> AbsolutePath {
      temporaryName.split(separator: 0x2f).reduce(path.parent) { $0.appending(Array($1)) }
    }
  }

  /// Returns the options of a journal with the trees that these plans exchange, in place of those of earlier
  /// plans.
  static func options(
    _ options: [Snapshot.Fact], exchanging trees: [ExchangedTree]
  ) -> [Snapshot.Fact] {
    options.filter { $0.key != tree }
      + trees.map {
        Snapshot.Fact(
          tree, "\($0.inode) \(String(decoding: $0.temporaryName, as: UTF8.self)) \($0.path)")
      }
  }

  /// Returns the trees that the change may have exchanged.
  static func exchangedTrees(_ journal: Journal) -> [ExchangedTree] {
    journal.values(tree).compactMap { value in
      let fields = value.split(separator: " ", maxSplits: 2).map(String.init)
      guard fields.count == 3, let inode = UInt64(fields[0]) else { return nil }
      return ExchangedTree(
        inode: inode, temporaryName: Array(fields[1].utf8), path: fields[2])
    }
  }

  /// Returns the facts to record for exclude lists.
  static func facts(excludes: [[String]]) -> [Snapshot.Fact] {
    excludes.map { Snapshot.Fact(list, $0.joined(separator: "\n")) }
  }

  /// Returns the exclude lists that were in effect when the change began. The list in the tree may have been
  /// changed since.
  static func excludes(_ journal: Journal) -> [[String]] {
    journal.values(list).map { $0.split(separator: "\n").map(String.init) }
  }

  /// Returns what the resumed change may modify and restore, as a revert. Only a revert is restricted again:
  /// other changes were checked when they began.
  static func permissions(_ journal: Journal) -> RevertRequest {
    var request = RevertRequest("")
    request.allowed = journal.values(allowed)
    request.restoresExcludes = !journal.values(excludes).isEmpty
    request.restoresLocation =
      journal.operation == .importing || !journal.values(locationKey).isEmpty
    request.allowsOutside = journal.operation != .revert || !journal.values(outside).isEmpty
    return request
  }

  /// Returns the request of a journalled import, as far as it must be known to resume it.
  static func request(_ journal: Journal) -> ImportRequest {
    var request = ImportRequest("")
    request.allowed = journal.values(allowed)
    request.directory = journal.values(directory).first
    request.keepsOriginals = !journal.values(originals).isEmpty
    return request
  }
}
