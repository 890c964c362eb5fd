// The snapshot that gave each line of a text file its content.
//
// 1. Only the history of the name is followed, not that of other names with the same content.
// 2. Time and memory are bounded: by the size of each version, and by the number of versions.

import Platform
import Store

/// A run of lines with one origin.
public struct BlamedLines: Sendable {
  /// The lines, counted from 1.
  public let lines: ClosedRange<Int>
  /// The first snapshot of the unbroken run of snapshots that have these lines.
  public let origin: CommittedSnapshot
  /// Whether older versions were not read because of a limit: the lines may be older.
  public let isLimit: Bool
}

extension Workspace {
  /// Returns the origin of each line that a text file has in `reference`, in order.
  /// - Throws: `ImageError` (`pathNotFound`) if that snapshot does not have the path, (`unsupported`) if it is
  ///   no file, is binary or is larger than a mebibyte.
  public func lineBlame(_ reference: Reference, path: String) throws -> [BlamedLines] {
    try LineBlame(context).run(reference, path: path)
  }
}

/// Follows the lines of a file through the history.
struct LineBlame: Collaborator {
  let context: Context
  static let maxBytes = 1 << 20
  static let maxVersions = 100

  func run(_ reference: Reference, path: String) throws -> [BlamedLines] {
    let asked = try SnapshotResolver(context).find(reference)
    let reader = try ComparisonReader(context).reader(of: asked)
    let found = try reader.require(path)
    var newer = try text(reader, found)
    var lines = LineOrigins(count: LineDiff([], newer).new.count)
    var (current, blob, versions) = (asked, found.entry.blob, 1)
    let image = try ImageName(asked.snapshot.image)
    let refs = try context.store().refs
    for number in try refs.numbers(of: image).reversed()
    where number < asked.number && !lines.isDone {
      guard let older = try refs.readIfPresent(image, number) else { continue }
      let reader = try ComparisonReader(context).reader(of: older)
      guard let before = try reader.find(path), before.entry.blob != nil else { break }
      if before.entry.blob != blob {
        guard versions < Self.maxVersions, let bytes = try? text(reader, before) else {
          lines.assignRest(current, isLimit: true)
          break
        }
        lines.step(LineDiff(bytes, newer), current)
        (newer, blob, versions) = (bytes, before.entry.blob, versions + 1)
      }
      current = older
    }
    lines.assignRest(current, isLimit: false)
    return lines.runs
  }

  private func text(_ reader: SnapshotReader, _ file: LocatedEntry) throws -> [UInt8] {
    let object = "\(reader.state.name):\(printable(file.path))"
    guard file.entry.blob != nil else {
      throw ImageError(.unsupported, object, "is not a file with content")
    }
    guard file.entry.sizeBytes <= UInt64(Self.maxBytes) else {
      throw ImageError(.unsupported, object, "is larger than a mebibyte")
    }
    let bytes = try reader.bytes(of: file, limitBytes: Self.maxBytes)
    guard !isBinary(bytes) else { throw ImageError(.unsupported, object, "is binary") }
    return bytes
  }
}

/// The origins of the lines of the newest version.
private struct LineOrigins {
  private var origins: [(origin: CommittedSnapshot, isLimit: Bool)?]
  /// The line of the newest version for each line of the version that was looked at last; nil for a line that
  /// the newest version does not have.
  private var lines: [Int?]
  private var openCount: Int

  init(count: Int) {
    origins = Array(repeating: nil, count: count)
    lines = Array(0..<count)
    openCount = count
  }

  var isDone: Bool { openCount == 0 }

  private mutating func assign(_ line: Int?, _ origin: CommittedSnapshot, isLimit: Bool) {
    guard let line, origins[line] == nil else { return }
    origins[line] = (origin, isLimit)
    openCount -= 1
  }

  /// Goes to an older version. The lines that it does not have come from `origin`.
  mutating func step(_ diff: LineDiff, _ origin: CommittedSnapshot) {
    var older = [Int?](repeating: nil, count: diff.old.count)
    var (old, new) = (0, 0)
    func copy(to end: Int) {
      while new < end, old < older.count {
        older[old] = lines[new]
        (old, new) = (old + 1, new + 1)
      }
    }
    for change in diff.changes {
      copy(to: change.new.lowerBound)
      for line in change.new { assign(lines[line], origin, isLimit: false) }
      (old, new) = (change.old.upperBound, change.new.upperBound)
    }
    copy(to: lines.count)
    lines = older
  }

  mutating func assignRest(_ origin: CommittedSnapshot, isLimit: Bool) {
    for line in origins.indices { assign(line, origin, isLimit: isLimit) }
  }

  var runs: [BlamedLines] {
    var runs: [BlamedLines] = []
    var start = 0
    for line in origins.indices {
      guard let this = origins[line] else { continue }
      if line + 1 < origins.count, let next = origins[line + 1],
        next.origin.id == this.origin.id, next.origin.number == this.origin.number,
        next.isLimit == this.isLimit
      {
        continue
      }
      runs.append(
        BlamedLines(lines: (start + 1)...(line + 1), origin: this.origin, isLimit: this.isLimit))
      start = line + 1
    }
    return runs
  }
}
