// The part of a verification that reads what names snapshots: refs, the record of removed numbers, tags and
// pins, and whatever else lies in their folders.
//
// 1. Every number up to the highest has a ref, or is recorded as removed (format version 2).
// 2. A ref is where its record says; a snapshot's parent has a lower number.
// 3. A tag and a pin name a snapshot that is there, and are where their second lines say.
// 4. Anything else in these folders is named: a ref under another name is a ref that is missing elsewhere.

import Codec
import Platform

extension VerifyRun {
  /// Checks an image's history.
  /// - Returns: its readable snapshots, ascending.
  func checkHistory(_ image: ImageName) throws -> [CommittedSnapshot] {
    let refs = store.refs
    var snapshots: [CommittedSnapshot] = []
    for number in try refs.numbers(of: image) {
      do throws(StoreError) {
        guard let committed = try refs.readIfPresent(image, number) else { continue }
        snapshots.append(committed)
      } catch {
        add(error.object, error.finding, ("\(image)@\(number)", []))
      }
      found.withLock { $0.snapshots += 1 }
    }
    if case .damaged(let reason) = try refs.removedRecord(of: image) {
      add("refs/\(image)/removed", "cannot be read: \(reason)")
    }
    for number in try refs.lostNumbers(of: image) {
      // Between listing and asking another process may have removed it.
      if try refs.removedSince(image, number) { continue }
      add("ref \(image)@\(number)", "is missing, and was not removed", ("\(image)@\(number)", []))
    }
    checkParents(snapshots)
    try checkNames(image)
    return snapshots
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
        "was made from \(committed.snapshot.image)@\(number), which came later: refs were swapped",
        (committed.name, []))
    }
  }

  /// Files in refs/<image>/ that are no refs.
  private func checkNames(_ image: ImageName) throws {
    for name in try store.refs.fileNames(of: image)
    where RefLog.number(name) == nil && RefLog.removedNumber(name) == nil
      && RefLog.lostNumber(name) == nil && name != RefLog.recordName
    {
      add("refs/\(image)/\(printable(name))", "is not the name of a ref")
    }
  }

  /// Checks tags, pins, and what lies where images' folders do.
  func checkMarks() throws {
    let layout = store.layout
    for (folder, label) in [(layout.refs, "refs"), (layout.tags, "tags"), (layout.pins, "pins")] {
      let names = try explaining("the folder \(label)/") { () throws(SystemError) in
        try layout.fileSystem.names(of: folder.raw)
      }
      for name in names.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
        let object = "\(label)/\(printable(name))"
        let stat = try explaining(object) { () throws(SystemError) in
          try layout.fileSystem.statIfPresent(at: folder.raw, name)
        }
        guard let stat else { continue }
        guard let image = try? ImageName(String(decoding: name, as: UTF8.self)),
          image.bytes == name, stat.kind == .directory
        else {
          add(object, "is a \(stat.kind.noun), not the folder of an image")
          continue
        }
        if label == "tags" { try checkMarks(of: image, in: folder, isPin: false) }
        if label == "pins" { try checkMarks(of: image, in: folder, isPin: true) }
      }
    }
  }

  private func checkMarks(of image: ImageName, in parent: Descriptor, isPin: Bool) throws {
    guard let folder = try store.refs.open(parent, image) else { return }
    let names = try explaining("the marks of \(image)") { () throws(SystemError) in
      try store.layout.fileSystem.names(of: folder.raw)
    }
    for name in names.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
      let text = printable(name)
      let object = isPin ? "pin pins/\(image)/\(text)" : "tag \(text) of \(image)"
      let file = try explaining(object) { () throws(SystemError) in
        try store.refs.readMark(name, in: folder)
      }
      switch file {
      case .absent: continue
      case .odd(let reason): add(object, reason)
      case .content(let bytes):
        let mark = RefMark(bytes)
        guard let number = isPin ? RefLog.number(name) : Int(mark.line) else {
          add(object, isPin ? "its name is not the number of a snapshot" : "names no number")
          continue
        }
        let owner = isPin ? "\(image)@\(number)" : "\(image):\(text)"
        if let named = mark.owner, named != owner {
          add(object, "is that of \(named): it was moved, copied or swapped")
        }
        try checkTarget(object, image, number, mark.snapshot)
      }
    }
  }

  private func checkTarget(
    _ object: String, _ image: ImageName, _ number: Int, _ snapshot: Digest?
  ) throws {
    let committed: CommittedSnapshot?
    do throws(StoreError) {
      committed = try store.refs.readIfPresent(image, number)
    } catch {
      return  // The ref is a finding of its own.
    }
    guard let committed else {
      add(object, "names \(image)@\(number), which has no ref", ("\(image)@\(number)", []))
      return
    }
    if let snapshot, snapshot != committed.id {
      add(
        object,
        "was made for snapshot \(snapshot.shortHex), and \(image)@\(number) is "
          + committed.id.shortHex)
    }
  }
}

extension RefLog {
  /// Whether a number that was lost a moment ago was removed meanwhile.
  fileprivate func removedSince(_ image: ImageName, _ number: Int) throws(StoreError) -> Bool {
    try !lostNumbers(of: image).contains(number)
  }
}
