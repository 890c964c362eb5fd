// Tags and pins of a store that is being repaired.
//
// 1. A file whose name cannot be that of a tag or pin moves to quarantine/.
// 2. A file that belongs elsewhere according to its second line goes there, if the name is free. A number
//    that does not match the snapshot is replaced by the snapshot's number.
// 3. Any other damaged mark is a loss. It stays where it is and keeps its name (DamagedMarks.swift), unless
//    another store has it (MarkSources.swift).

import Codec
import Platform

struct MarkRepair: RepairPart {
  let context: RepairContext

  func repairMarks() throws {
    // Marks that were swapped have each other's names, so all of them move before one is restored.
    var misplaced: [MisplacedMark] = []
    for (parent, label) in [(layout.tags, "tags"), (layout.pins, "pins")] {
      let names = try mapSystemError(
        "the directory \(label)/", try layout.fileSystem.names(of: parent.raw))
      for name in names.sorted(by: precedes) {
        let stat = try mapSystemError(
          "\(label)/", try layout.fileSystem.statIfPresent(at: parent.raw, name))
        guard let stat else { continue }
        let image = try? ImageName(String(decoding: name, as: UTF8.self))
        guard stat.kind == .directory, let image, image.bytes == name else {
          try moveToQuarantine(
            parent, name, "\(label)/\(printable(name))", as: "\(label)-\(printable(name))")
          continue
        }
        misplaced += try repairMarks(of: image, in: parent, label)
      }
    }
    for mark in misplaced { try restore(mark) }
  }

  /// Moves the misplaced marks of an image to quarantine/.
  /// - Returns: these marks.
  private func repairMarks(
    of image: ImageName, in parent: Descriptor, _ label: String
  ) throws -> [MisplacedMark] {
    guard let directory = try store.refs.open(parent, image) else { return [] }
    let lock = isDryRun ? nil : try lockImage(image)
    defer { withExtendedLifetime(lock) {} }
    let names = try mapSystemError(
      "\(label)/\(image)", try layout.fileSystem.names(of: directory.raw))
    let kind: MarkKind = label == "pins" ? .pin : .tag
    var misplaced: [MisplacedMark] = []
    for file in names.sorted(by: precedes) {
      let object = "\(label)/\(image)/\(printable(file))"
      let quarantineName = "\(label)-\(image)-\(printable(file))"
      let content = try mapSystemError(object, try store.refs.readMark(file, in: directory))
      if case .absent = content { continue }
      let name = kind.markName(file)
      if case .content(let bytes) = content, case let mark = RefMark(bytes),
        let owner = mark.owner, let snapshot = mark.snapshot
      {
        if let name, try isAtExpectedLocation(mark, kind, name, of: image) { continue }
        if let found = try misplacedMark(of: mark, kind, owner, snapshot) {
          try moveToQuarantine(directory, file, object, as: quarantineName)
          if let name { context.misplacedMarks.insert(kind.owner(image, name)) }
          misplaced.append(found)
          continue
        }
      }
      if name == nil { try moveToQuarantine(directory, file, object, as: quarantineName) }
    }
    return misplaced
  }

  /// Returns true if a mark has its place and its number according to its second line. The snapshot may be
  /// unknown.
  private func isAtExpectedLocation(
    _ mark: RefMark, _ kind: MarkKind, _ name: String, of image: ImageName
  ) throws -> Bool {
    guard mark.owner == kind.owner(image, name), let snapshot = mark.snapshot,
      let number = kind == .pin ? Int(name) : mark.number
    else { return false }
    let target = try self.number(of: snapshot, image, number)
    return target == nil || target == number
  }

  /// Returns the place that the second line of a mark names; nil if no snapshot is there.
  private func misplacedMark(
    of mark: RefMark, _ kind: MarkKind, _ owner: String, _ snapshot: Digest
  ) throws -> MisplacedMark? {
    let words = owner.split(separator: kind == .pin ? "@" : ":", maxSplits: 1).map(String.init)
    guard words.count == 2, let image = try? ImageName(words[0]),
      kind.markName(kind.fileName(words[1])) != nil
    else { return nil }
    let named = kind == .pin ? Int(words[1]) : mark.number
    guard let number = try number(of: snapshot, image, named ?? 0) ?? named,
      try store.refs.isKnown(image, number)
    else { return nil }
    return MisplacedMark(
      kind: kind, image: image, name: kind == .pin ? "\(number)" : words[1], number: number,
      reason: mark.line)
  }

  /// Returns the number of a snapshot in an image's history; `number` is tried first.
  private func number(of id: Digest, _ image: ImageName, _ number: Int) throws -> Int? {
    if let committed = try? store.refs.read(image, number), committed.id == id { return number }
    for other in try store.refs.numbers(of: image) {
      if let committed = try? store.refs.read(image, other), committed.id == id { return other }
    }
    return nil
  }

  /// Gives a mark its place, unless an intact one has it.
  private func restore(_ mark: MisplacedMark) throws {
    let owner = mark.kind.owner(mark.image, mark.name)
    context.plannedMarks.insert(owner)
    if isDryRun { return note("\(mark.kind) \(owner)", "would be restored") }
    let lock = try lockImage(mark.image)
    defer { withExtendedLifetime(lock) {} }
    let refs = store.refs
    let isDamaged = try refs.damagedMark(mark.kind, mark.name, of: mark.image) != nil
    switch mark.kind {
    case .pin:
      if !isDamaged, try refs.pins(of: mark.image)[mark.number] != nil { return }
      if isDamaged { try refs.setAside(.pin, mark.name, of: mark.image) }
      try refs.pin(mark.image, mark.number, reason: mark.reason)
    case .tag:
      if !isDamaged, try refs.tags(of: mark.image)[mark.name] != nil { return }
      try refs.setTag(mark.name, of: mark.image, to: mark.number)
    }
    note("\(mark.kind) \(owner)", "was restored")
  }
}

/// A mark that was not at its place.
private struct MisplacedMark {
  let kind: MarkKind
  /// The place and the snapshot.
  let image: ImageName
  let name: String
  let number: Int
  /// The reason of a pin.
  let reason: String
}
