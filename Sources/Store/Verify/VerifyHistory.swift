// The part of a verification that reads the history: refs, the record of removed numbers, tags and pins,
// and other files in their directories.
//
// 1. Every number up to the highest has a ref, or is recorded as removed (format version 2).
// 2. A ref is at the place that its record names; a snapshot's parent has a lower number.
// 3. A tag and a pin name an existing snapshot, and are not damaged (DamagedMarks.swift).
// 4. Any other file in these directories is reported: a ref under another name is missing elsewhere.

import Platform

extension VerifyRun {
  /// Checks an image's history.
  /// - Returns: its readable snapshots in ascending order.
  func checkHistory(_ image: ImageName) throws -> [CommittedSnapshot] {
    let refs = store.refs
    var snapshots: [CommittedSnapshot] = []
    for number in try refs.numbers(of: image) {
      do throws(StoreError) {
        guard let committed = try refs.readIfPresent(image, number) else { continue }
        snapshots.append(committed)
      } catch {
        add(error.subject, error.reason, ("\(image)@\(number)", []))
      }
      reportState.withLock { $0.snapshots += 1 }
    }
    if case .damaged(let reason) = try refs.removedRecord(of: image) {
      add("refs/\(image)/removed", "cannot be read: \(reason)")
    }
    try checkLostNumbers(image)
    checkParents(snapshots)
    try checkNames(image)
    return snapshots
  }

  /// Reports lost numbers, consecutive ones as one problem.
  private func checkLostNumbers(_ image: ImageName) throws {
    let listed = try store.refs.lostNumbers(of: image)
    if listed.isEmpty { return }
    // Another process may have removed some since the listing.
    let lost = Set(listed).intersection(try store.refs.lostNumbers(of: image))
    reportState.withLock { report in
      report.lost += lost.sorted().map { SnapshotName(image: image, number: $0) }
    }
    for range in NumberRanges(lost).ranges {
      for number in range {
        add(
          "\(range.count == 1 ? "ref" : "refs") \(rangeText(image, range))",
          range.count == 1
            ? "is missing, but was not removed" : "are missing, but were not removed",
          ("\(image)@\(number)", []))
      }
    }
  }

  private func checkParents(_ snapshots: [CommittedSnapshot]) {
    let numbers = Dictionary(
      snapshots.map { ($0.id, $0.number) }, uniquingKeysWith: { first, _ in first })
    for committed in snapshots {
      guard let parent = committed.snapshot.parent, let number = numbers[parent],
        number >= committed.number
      else { continue }
      add(
        "ref \(committed.name)",
        "has the later snapshot \(committed.snapshot.image)@\(number) as its parent: refs were swapped",
        (committed.name, []))
    }
  }

  /// Checks for files in refs/<image>/ that are not refs.
  private func checkNames(_ image: ImageName) throws {
    for name in try store.refs.fileNames(of: image)
    where RefLog.number(name) == nil && RefLog.removedNumber(name) == nil
      && RefLog.lostNumber(name) == nil && name != RefLog.recordName
    {
      add("refs/\(image)/\(printable(name))", "is not the name of a ref")
    }
  }

  /// Checks tags, pins, and other files next to the images' directories.
  func checkMarks() throws {
    let layout = store.layout
    for (directory, label) in [(layout.refs, "refs"), (layout.tags, "tags"), (layout.pins, "pins")]
    {
      let names = try mapSystemError(
        "the directory \(label)/", try layout.fileSystem.names(of: directory.raw))
      for name in names.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
        let object = "\(label)/\(printable(name))"
        let stat = try mapSystemError(
          object, try layout.fileSystem.statIfPresent(at: directory.raw, name))
        guard let stat else { continue }
        guard let image = try? ImageName(String(decoding: name, as: UTF8.self)),
          image.bytes == name, stat.kind == .directory
        else {
          add(object, "is a \(stat.kind.noun), not the directory of an image")
          continue
        }
        if label == "tags" { try checkMarks(of: image, in: directory, isPin: false) }
        if label == "pins" { try checkMarks(of: image, in: directory, isPin: true) }
      }
    }
  }

  private func checkMarks(of image: ImageName, in parent: Descriptor, isPin: Bool) throws {
    guard let directory = try store.refs.open(parent, image) else { return }
    let kind: MarkKind = isPin ? .pin : .tag
    let names = try mapSystemError(
      "the marks of \(image)", try store.layout.fileSystem.names(of: directory.raw))
    for file in names.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
      guard let name = kind.markName(file) else {
        let object = "\(kind)s/\(image)/\(printable(file))"
        add(object, "is not the name of a \(kind)")
        continue
      }
      if let mark = try store.refs.damagedMark(kind, name, of: image) {
        add(mark.object, mark.reason, (mark.reference, []))
        continue
      }
      let number = isPin ? Int(name) : try store.refs.tags(of: image)[name]
      if let number { try checkTarget(kind, name, image, number) }
    }
  }

  private func checkTarget(
    _ kind: MarkKind, _ name: String, _ image: ImageName, _ number: Int
  ) throws {
    do throws(StoreError) {
      if try store.refs.readIfPresent(image, number) != nil { return }
    } catch {
      return  // The damaged ref is reported separately.
    }
    add(
      kind == .tag ? "tag '\(name)' of \(image)" : "the pin of \(image)@\(name)",
      "names \(image)@\(number), which has no ref", ("\(image)@\(number)", []))
  }
}
