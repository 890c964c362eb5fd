// Other stores as sources of tags, pins and records of removed numbers.
//
// 1. A mark is copied only if the snapshot of that number is the same in both stores, and only if the name is
//    free or its file here is damaged. An intact mark is never changed.
// 2. A source cannot tell a lost mark from one that was removed on purpose. So a removed tag or pin of an
//    older copy returns. It keeps a snapshot, and can be removed again.
// 3. Removed numbers are copied if all snapshots that both stores have agree. Only numbers that are lost here
//    without a trace of their ref become removed numbers.

import Codec
import Platform

struct MarkRestoration: RepairPart {
  let context: RepairContext

  // MARK: Tags and pins

  /// Copies the tags and pins that this store lacks or has only as damaged files.
  func restoreMarks(from other: ObjectStore, _ source: String) throws {
    for image in try other.refs.everyImage() {
      let damaged = try other.refs.damagedMarks(of: image)
      func isDamaged(_ kind: MarkKind, _ name: String) -> Bool {
        damaged.contains { $0.kind == kind && $0.name == name }
      }
      var marks: [SourceMark] = []
      for (tag, number) in try other.refs.tags(of: image).sorted(by: { $0.key < $1.key })
      where !isDamaged(.tag, tag)
        && RefLog.isTagName(Array(tag.utf8))
      {
        marks.append(SourceMark(kind: .tag, name: tag, number: number, reason: ""))
      }
      for (number, reason) in try other.refs.pins(of: image).sorted(by: { $0.key < $1.key })
      where !isDamaged(.pin, "\(number)") {
        marks.append(SourceMark(kind: .pin, name: "\(number)", number: number, reason: reason))
      }
      marks = try marks.filter { try isWanted($0, of: image, from: other) }
      if marks.isEmpty { continue }
      let lock = isDryRun ? nil : try lockImage(image)
      defer { withExtendedLifetime(lock) {} }
      for mark in marks where try isWanted(mark, of: image, from: other) {
        try restore(mark, of: image, source)
      }
    }
  }

  /// Returns true if a mark is missing or damaged here, and would keep the same snapshot.
  private func isWanted(
    _ mark: SourceMark, of image: ImageName, from other: ObjectStore
  ) throws -> Bool {
    if try exists(mark, of: image),
      try store.refs.damagedMark(mark.kind, mark.name, of: image) == nil
    {
      return false
    }
    if context.plannedMarks.contains(mark.kind.owner(image, mark.name)) { return false }
    guard let committed = try? other.refs.read(image, mark.number) else { return false }
    switch context.plannedRefs[SnapshotName(image: image, number: mark.number)] {
    case .snapshot(let snapshot): return SHA256.digest(of: snapshot.encode()) == committed.id
    case .complete: return true
    case .absent: return false
    case nil: return (try? store.refs.read(image, mark.number))?.id == committed.id
    }
  }

  private func exists(_ mark: SourceMark, of image: ImageName) throws -> Bool {
    guard let directory = try store.refs.open(store.refs.markDirectory(mark.kind), image) else {
      return false
    }
    return try mapSystemErrors("the marks of \(image)") { () throws(SystemError) in
      try layout.fileSystem.statIfPresent(at: directory.raw, mark.kind.fileName(mark.name)) != nil
    }
  }

  private func restore(_ mark: SourceMark, of image: ImageName, _ source: String) throws {
    let owner = mark.kind.owner(image, mark.name)
    if isDryRun {
      context.plannedMarks.insert(owner)
      return note("\(mark.kind) \(owner)", "is in \(source)")
    }
    if let directory = try store.refs.open(store.refs.markDirectory(mark.kind), image),
      try exists(mark, of: image)
    {
      let label = "\(mark.kind)s"
      let file = printable(mark.kind.fileName(mark.name))
      try moveToQuarantine(
        directory, mark.kind.fileName(mark.name), "\(label)/\(image)/\(file)",
        as: "\(label)-\(image)-\(file)")
    }
    switch mark.kind {
    case .tag: try store.refs.setTag(mark.name, of: image, to: mark.number)
    case .pin: try store.refs.pin(image, mark.number, reason: mark.reason)
    }
    note("\(mark.kind) \(owner)", "was restored from \(source)")
  }

  /// Returns true if a repair replaces the file of a mark, or moves it away.
  private func isMoved(_ owner: String) -> Bool {
    context.plannedMarks.contains(owner) || context.misplacedMarks.contains(owner)
  }

  /// Adds the marks that stay damaged to the losses.
  func addDamagedMarks(to losses: inout Losses) throws {
    for image in try store.refs.everyImage() {
      for mark in try store.refs.damagedMarks(of: image)
      where !isDryRun || !isMoved(mark.kind.owner(image, mark.name)) {
        losses.add(mark)
      }
    }
  }

  // MARK: Removed numbers

  /// Returns the images of another store that have no snapshot here.
  func imagesWithoutSnapshots(among other: ObjectStore) throws -> Set<ImageName> {
    Set(
      try other.refs.everyImage().filter { image in
        try store.refs.numbers(of: image).isEmpty
          && !context.plannedRefs.keys.contains { $0.image == image }
      })
  }

  /// Records numbers as removed that another store with the same history records as removed.
  /// - Parameter adopted: the images whose history was restored from that store as a whole; nil for the
  ///   images that have had snapshots in common with it before. Refs that were copied to fill gaps are no
  ///   evidence.
  func restoreRemovedNumbers(
    from other: ObjectStore, _ source: String, adopted: Set<ImageName>? = nil
  ) throws {
    for image in try other.refs.everyImage() where adopted?.contains(image) ?? true {
      guard case .numbers(let recorded) = try other.refs.removedRecord(of: image) else { continue }
      let names = try other.refs.fileNames(of: image)
      let removed = recorded.union(NumberRanges(names.compactMap { RefLog.removedNumber($0) }))
      let marked = Set(try store.refs.fileNames(of: image).compactMap { RefLog.lostNumber($0) })
      let lost = try store.refs.lostNumbers(of: image).filter {
        removed.contains($0) && !marked.contains($0)
          && context.plannedRefs[SnapshotName(image: image, number: $0)] == nil
      }
      guard !lost.isEmpty, try adopted != nil || hasSameHistory(image, as: other) else { continue }
      let ranges = NumberRanges(lost)
      note(
        "refs/\(image)/removed",
        (isDryRun ? "would be restored from \(source): " : "was restored from \(source): ")
          + snapshotRanges(lost.map { SnapshotName(image: image, number: $0) })
          .joined(separator: ", "))
      if isDryRun {
        for number in lost {
          context.plannedRefs[SnapshotName(image: image, number: number)] = .absent
        }
        continue
      }
      let highest = try store.refs.highestNumber(of: image)
      try RefRepair(context: context).withHistory(of: image) { directory in
        try mapSystemErrors("the refs of \(image)") { () throws(SystemError) in
          try self.store.refs.recordRemoved(image, directory, highest: highest, additional: ranges)
        }
      }
    }
  }

  /// Returns true if both stores have a readable snapshot in common, and no number with different ones.
  private func hasSameHistory(_ image: ImageName, as other: ObjectStore) throws -> Bool {
    var common = 0
    for number in Set(try store.refs.numbers(of: image)).intersection(
      try other.refs.numbers(of: image))
    {
      guard let here = try? store.refs.read(image, number),
        let there = try? other.refs.read(image, number)
      else { continue }
      if here.id != there.id { return false }
      common += 1
    }
    return common > 0
  }
}

/// An intact mark of a source.
private struct SourceMark {
  let kind: MarkKind
  let name: String
  let number: Int
  /// The reason of a pin.
  let reason: String
}
