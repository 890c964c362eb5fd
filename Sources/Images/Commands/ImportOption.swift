// What the journal of a change says beside.

import Apply
import Platform
import Store

/// What the journal of an import says beside.
enum ImportOption {
  /// Folders beside the install folder that the bundle may write below.
  private static let allowed = "allow"
  /// Files of others in the image's folder, which stay.
  static let foreign = "foreign"
  /// `FILE.ORIG` is kept of each file that is replaced.
  private static let originals = "orig"

  /// The place of the tree of an image that is a directory.
  private static let directory = "directory"

  static func facts(_ request: ImportRequest, foreign: [Snapshot.Component]) -> [Snapshot.Fact] {
    request.allowed.map { Snapshot.Fact(allowed, $0) }
      + (request.directory.map { [Snapshot.Fact(directory, $0)] } ?? [])
      + foreign.map { Snapshot.Fact(self.foreign, printable($0.path)) }
      + (request.keepsOriginals ? [Snapshot.Fact(originals, "")] : [])
  }

  private static let outside = "outside"
  /// What the definition excluded before the change is restored with it.
  private static let excludes = "excludes"
  /// The image's directory becomes that of the target.
  private static let place = "place"
  /// A list that excluded something when the change began, a line each.
  private static let list = "exclude-list"

  static func facts(_ request: RevertRequest) -> [Snapshot.Fact] {
    request.allowed.map { Snapshot.Fact(allowed, $0) }
      + (request.allowsOutside ? [Snapshot.Fact(outside, "")] : [])
      + (request.restoresExcludes ? [Snapshot.Fact(excludes, "")] : [])
      + (request.restoresPlace ? [Snapshot.Fact(place, "")] : [])
  }

  static func facts(excludes: [[String]]) -> [Snapshot.Fact] {
    excludes.map { Snapshot.Fact(list, $0.joined(separator: "\n")) }
  }

  /// What was excluded when the change began: the list in the tree may have been changed since.
  static func excludes(_ journal: Journal) -> [[String]] {
    journal.values(list).map { $0.split(separator: "\n").map(String.init) }
  }

  /// What the journal of a revert allows. Other changes were checked when they began.
  static func reach(_ journal: Journal) -> RevertRequest {
    var request = RevertRequest("")
    request.allowed = journal.values(allowed)
    request.restoresExcludes = !journal.values(excludes).isEmpty
    request.restoresPlace = journal.operation == .importing || !journal.values(place).isEmpty
    request.allowsOutside = journal.operation != .revert || !journal.values(outside).isEmpty
    return request
  }

  static func request(_ journal: Journal) -> ImportRequest {
    var request = ImportRequest("")
    request.allowed = journal.values(allowed)
    request.directory = journal.values(directory).first
    request.keepsOriginals = !journal.values(originals).isEmpty
    return request
  }
}

extension Workspace {
  /// Where the pieces of a change lead: those of a bundle never through links.
  func targetResolver(
    _ journal: Journal, isBack: Bool
  ) throws -> (AbsolutePath) throws -> ResolvedPath {
    guard journal.operation == .importing, !isBack else {
      return { try self.locate($0, create: true) }
    }
    let targets = try ImportTargets(self, ImportOption.request(journal))
    return { try targets.resolve($0) }
  }

  /// Keeps the originals that an import had not come to keep.
  func keepOriginals(_ journal: Journal, _ target: Snapshot, _ live: LiveImage) throws {
    guard journal.operation == .importing else { return }
    let request = ImportOption.request(journal)
    _ = try ImportTargets(self, request).keepOriginals(target.pieces, live, request)
  }
}
