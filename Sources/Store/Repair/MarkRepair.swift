// Tags and pins of a store that is being repaired.
//
// 1. A file that cannot be a tag or pin moves to quarantine/.
// 2. A file that belongs elsewhere according to its second line goes there, if the name is free. A number
//    that does not match the snapshot is replaced by the snapshot's number.

import Codec
import Platform

extension StoreRepair {
  func repairMarks() throws {
    for (parent, label) in [(layout.tags, "tags"), (layout.pins, "pins")] {
      let names = try mapSystemErrors("the directory \(label)/") { () throws(SystemError) in
        try layout.fileSystem.names(of: parent.raw)
      }
      for name in names.sorted(by: precedes) {
        let stat = try mapSystemErrors("\(label)/") { () throws(SystemError) in
          try layout.fileSystem.statIfPresent(at: parent.raw, name)
        }
        guard let stat else { continue }
        let image = try? ImageName(String(decoding: name, as: UTF8.self))
        guard stat.kind == .directory, let image, image.bytes == name else {
          try moveToQuarantine(
            parent, name, "\(label)/\(printable(name))", as: "\(label)-\(printable(name))")
          continue
        }
        try repairMarks(of: image, in: parent, label)
      }
    }
  }

  private func repairMarks(of image: ImageName, in parent: Descriptor, _ label: String) throws {
    guard let folder = try store.refs.open(parent, image) else { return }
    let lock = isDryRun ? nil : try store.lockImage(image) { _ in }
    defer { withExtendedLifetime(lock) {} }
    let names = try mapSystemErrors("\(label)/\(image)") { () throws(SystemError) in
      try layout.fileSystem.names(of: folder.raw)
    }
    let isPin = label == "pins"
    for name in names.sorted(by: precedes) {
      let object = "\(label)/\(image)/\(printable(name))"
      let file = try mapSystemErrors(object) { () throws(SystemError) in
        try store.refs.readMark(name, in: folder)
      }
      guard case .content(let bytes) = file else {
        if case .absent = file { continue }
        try moveToQuarantine(folder, name, object, as: "\(label)-\(image)-\(printable(name))")
        continue
      }
      let mark = RefMark(bytes)
      guard let number = isPin ? RefLog.number(name) : Int(mark.line) else {
        try moveToQuarantine(folder, name, object, as: "\(label)-\(image)-\(printable(name))")
        continue
      }
      guard let owner = mark.owner, let snapshot = mark.snapshot else { continue }
      let here = isPin ? "\(image)@\(number)" : "\(image):\(printable(name))"
      let target = try self.number(of: snapshot, image, number)
      if owner == here, target == nil || target == number { continue }
      try moveToQuarantine(folder, name, object, as: "\(label)-\(image)-\(printable(name))")
      try restore(mark, isPin: isPin, owner, snapshot)
    }
  }

  /// Returns the number of a snapshot in an image's history; `number` is tried first.
  private func number(of id: Digest, _ image: ImageName, _ number: Int) throws -> Int? {
    if let committed = try? store.refs.read(image, number), committed.id == id { return number }
    for other in try store.refs.numbers(of: image) {
      if let committed = try? store.refs.read(image, other), committed.id == id { return other }
    }
    return nil
  }

  private func restore(
    _ mark: RefMark, isPin: Bool, _ owner: String, _ snapshot: Digest
  ) throws {
    let words = owner.split(separator: isPin ? "@" : ":", maxSplits: 1).map(String.init)
    guard words.count == 2, let image = try? ImageName(words[0]) else { return }
    let named = isPin ? Int(words[1]) : Int(mark.line)
    guard let number = try self.number(of: snapshot, image, named ?? 0) ?? named else { return }
    note("\(isPin ? "pin" : "tag") \(owner)", isDryRun ? "would be restored" : "was restored")
    if isDryRun { return }
    if isPin {
      if try store.refs.pins(of: image)[number] == nil {
        try store.refs.pin(image, number, why: mark.line)
      }
    } else if try store.refs.tags(of: image)[words[1]] == nil {
      try store.refs.setTag(words[1], of: image, to: number)
    }
  }

  /// Moves a file to quarantine/ and records the action.
  func moveToQuarantine(
    _ folder: Descriptor, _ name: [UInt8], _ object: String, as label: String
  ) throws {
    note(object, isDryRun ? "would be moved to quarantine/" : "was moved to quarantine/")
    if isDryRun { return }
    outcome.quarantined.append(
      try mapSystemErrors(object) { () throws(SystemError) in
        try layout.quarantine(folder, name, as: label)
      })
  }
}
