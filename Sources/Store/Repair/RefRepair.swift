// The refs of a store that is being repaired.
//
// 1. A ref that cannot be read, or is not where its record says, moves to quarantine/. Its number stays
//    known as lost (<n>.lost), until a ref has it again or `remove --force` gives it up.
// 2. A ref of which one bit rotted is healed: the SHA-256 that it carries tells which.
// 3. A sound ref in quarantine/ whose place is free goes there: so swapped and moved refs come back, and
//    a repair that was killed half-way is completed by the next.
// 4. A ref of another store is taken for a number that is lost here, if all that it needs is here then.

import Codec
import Platform

extension StoreRepair {
  func repairRefs() throws {
    let names = try explaining("the folder refs/") { () throws(SystemError) in
      try layout.fileSystem.names(of: layout.refs.raw)
    }
    for name in names.sorted(by: precedes) {
      let stat = try explaining("the folder refs/") { () throws(SystemError) in
        try layout.fileSystem.statIfPresent(at: layout.refs.raw, name)
      }
      guard let stat else { continue }
      let image = try? ImageName(String(decoding: name, as: UTF8.self))
      guard stat.kind == .directory, let image, image.bytes == name else {
        try setAside(
          layout.refs, name, "refs/\(printable(name))", as: "refs-\(printable(name))")
        continue
      }
      try withHistory(of: image) { folder in try self.clear(image, folder) }
    }
    if isDryRun {
      for ref in misplacedRefs
      where try isFree(ref.name.image, ref.name.number, ignoring: movedRefs) {
        plan(ref.name.image, ref.name.number, ref.bytes)
      }
    }
    try placeQuarantined()
  }

  /// Runs `body` with the locks under which refs of an image move.
  private func withHistory(of image: ImageName, _ body: (Descriptor) throws -> Void) throws {
    guard let folder = try store.refs.open(layout.refs, image) else { return }
    if isDryRun { return try body(folder) }
    let lock = try store.lockImage(image) { _ in
      report("waiting for another imgstore: image \(image)")
    }
    let refs = try explaining("the refs") { () throws(SystemError) in
      try layout.lock(RefLog.lockName, exclusive: true)
    }
    defer { withExtendedLifetime((lock, refs)) {} }
    try body(folder)
  }

  // MARK: What is wrong

  private func clear(_ image: ImageName, _ folder: Descriptor) throws {
    if case .damaged(let reason) = try store.refs.removedRecord(of: image) {
      note(
        "refs/\(image)/removed", "\(reason): the gaps of the history count as removed")
      if !isDryRun {
        let highest = try store.refs.highestNumber(of: image)
        try explaining("the refs of \(image)") { () throws(SystemError) in
          try store.refs.foldRemoved(image, folder, highest: highest)
        }
      }
    }
    for name in try store.refs.fileNames(of: image).sorted(by: precedes)
    where RefLog.removedNumber(name) == nil && RefLog.lostNumber(name) == nil
      && name != RefLog.recordName
    {
      let object = "refs/\(image)/\(printable(name))"
      let label = "refs-\(image)-\(printable(name))"
      let number = RefLog.number(name)
      let file = try explaining(object) { () throws(SystemError) in
        try layout.read(folder, name, limitBytes: RefLog.maxBytes)
      }
      switch file {
      case .absent: continue
      case .odd: try setAside(folder, name, object, as: label)
      case .content(let bytes):
        let record = try? RefRecord.decode(bytes)
        if let number {
          if let record, (try? record.requirePlace(image, number)) != nil { continue }
          if record == nil, let healed = RefRecord.healed(bytes, image, number) {
            plan(image, number, healed)
            try replace(folder, name, object, label, by: healed)
            continue
          }
          let isForeign = try !bytes.starts(with: RefRecord.magic) && isFarOut(number, image)
          let isLost = try !isForeign && !isStray(record, image)
          if isLost, !isDryRun { try mark(number, folder) }
          if !isLost { plannedRefs[SnapshotName(image: image, number: number)] = .absent }
        }
        if let number { movedRefs.insert(SnapshotName(image: image, number: number)) }
        if let own = record?.number, let image = try? ImageName(record?.snapshot.image ?? "") {
          misplacedRefs.append((SnapshotName(image: image, number: own), bytes))
        }
        try setAside(folder, name, object, as: label)
      }
    }
  }

  /// Notes a ref that a dry run would have put into its place.
  private func plan(_ image: ImageName, _ number: Int, _ bytes: [UInt8]) {
    guard isDryRun, let record = try? RefRecord.decode(bytes) else { return }
    plannedRefs[SnapshotName(image: image, number: number)] = .snapshot(record.snapshot)
  }

  /// Whether a number is more than one above all others of an image: no ref can have got it.
  private func isFarOut(_ number: Int, _ image: ImageName) throws -> Bool {
    let others = try store.refs.fileNames(of: image).compactMap {
      RefLog.number($0) ?? RefLog.removedNumber($0) ?? RefLog.lostNumber($0)
    }.filter { $0 != number }
    return number > (others.max() ?? 0) + 1
  }

  /// Whether a ref of another image is all that an image has: then there was no such image.
  private func isStray(_ record: RefRecord?, _ image: ImageName) throws -> Bool {
    guard let record, record.snapshot.image != image.text else { return false }
    let tags = try store.refs.tags(of: image)
    let pins = try store.refs.pins(of: image)
    return try store.refs.fileNames(of: image).count == 1 && tags.isEmpty && pins.isEmpty
  }

  /// Notes that a number had a ref, before that goes.
  private func mark(_ number: Int, _ folder: Descriptor) throws {
    try explaining("a lost ref") { () throws(SystemError) in
      let name = RefLog.fileName(number) + RefLog.lostSuffix
      let file = try layout.fileSystem.openFile(
        at: folder.raw, name, [.write, .create, .noFollow, .nonBlocking])
      withExtendedLifetime(file) {}
      try layout.fileSystem.sync(folder.raw)
    }
  }

  private func replace(
    _ folder: Descriptor, _ name: [UInt8], _ object: String, _ label: String, by bytes: [UInt8]
  ) throws {
    note(object, isDryRun ? "has one wrong bit: would be healed" : "had one wrong bit: healed")
    if isDryRun { return }
    if let number = RefLog.number(name) { try mark(number, folder) }
    outcome.quarantined.append(
      try explaining(object) { () throws(SystemError) in
        try layout.quarantine(folder, name, as: label)
      })
    try publish(bytes, in: folder, as: name, object)
  }

  private func publish(
    _ bytes: [UInt8], in folder: Descriptor, as name: [UInt8], _ object: String
  ) throws {
    try explaining(object) { () throws(SystemError) in
      try TemporaryFile.write(bytes, in: folder, as: name, exclusively: true, layout)
      try unmark(name, folder)
    }
  }

  private func unmark(_ name: [UInt8], _ folder: Descriptor) throws(SystemError) {
    let marker = name + RefLog.lostSuffix
    guard try layout.fileSystem.statIfPresent(at: folder.raw, marker) != nil else { return }
    try layout.fileSystem.remove(at: folder.raw, marker, isDirectory: false)
    try layout.fileSystem.sync(folder.raw)
  }

  // MARK: What can be put back

  /// Puts sound refs in quarantine/ into their places, where these are free.
  private func placeQuarantined() throws {
    let quarantine = try explaining("the folder quarantine/") { () throws(SystemError) in
      try layout.openQuarantine()
    }
    guard let quarantine else { return }
    let prefix = Array("refs-".utf8)
    let names = try explaining("the folder quarantine/") { () throws(SystemError) in
      try layout.fileSystem.names(of: quarantine.raw).filter { $0.starts(with: prefix) }
    }
    for file in names.sorted(by: precedes) {
      let content = try explaining("quarantine/\(printable(file))") { () throws(SystemError) in
        try layout.read(quarantine, file, limitBytes: RefLog.maxBytes)
      }
      guard case .content(let bytes) = content, let record = try? RefRecord.decode(bytes),
        let number = record.number, let image = try? ImageName(record.snapshot.image)
      else { continue }
      if isDryRun {
        if try isFree(image, number) {
          note("ref \(image)@\(number)", "would be put back from quarantine/")
          plan(image, number, bytes)
        }
        continue
      }
      try explaining("refs/\(image)") { () throws(SystemError) in
        try makeDirectoryIfAbsent(layout.fileSystem, layout.refs, image.bytes)
      }
      try withHistory(of: image) { folder in
        guard try self.isFree(image, number) else { return }
        let name = RefLog.fileName(number)
        self.note("ref \(image)@\(number)", "was put back from quarantine/")
        try explaining("ref \(image)@\(number)") { () throws(SystemError) in
          try self.layout.moveExclusively(quarantine, file, to: folder, name)
          try self.layout.fileSystem.sync(folder.raw)
          try self.layout.fileSystem.sync(quarantine.raw)
          try self.unmark(name, folder)
        }
      }
    }
  }

  /// No ref has the number, and none was removed that had it.
  /// - Parameter moved: refs that will not be in their places any more.
  private func isFree(
    _ image: ImageName, _ number: Int, ignoring moved: Set<SnapshotName> = []
  ) throws -> Bool {
    let names = try store.refs.fileNames(of: image)
    if names.contains(RefLog.fileName(number)),
      !moved.contains(SnapshotName(image: image, number: number))
    {
      return false
    }
    if names.contains(RefLog.fileName(number) + RefLog.removedSuffix) { return false }
    guard case .numbers(let removed) = try store.refs.removedRecord(of: image) else { return false }
    return !removed.contains(number)
  }

  /// Takes refs of another store that are lost here.
  ///
  /// A number above all that are known here is taken as well, if both stores have the same history so
  /// far, or this one has none of that image: the newest ref leaves no gap.
  func restoreRefs(from other: ObjectStore, _ source: String) throws {
    for image in try other.refs.images() {
      let here = try store.refs.numbers(of: image)
      let lost = Set(try store.refs.lostNumbers(of: image))
      let highest = try store.refs.highestNumber(of: image)
      var isSame = here.isEmpty
      if let last = here.last(where: { (try? other.refs.read(image, $0)) != nil }) {
        isSame = try (try? store.refs.read(image, last))?.id == other.refs.read(image, last).id
      }
      for number in try other.refs.numbers(of: image)
      where lost.contains(number) || (number > highest && isSame) {
        guard let committed = try? other.refs.read(image, number) else { continue }
        try restore(committed, image, from: other, source)
      }
    }
  }

  private func restore(
    _ committed: CommittedSnapshot, _ image: ImageName, from other: ObjectStore, _ source: String
  ) throws {
    if isDryRun {
      let isWhole = try LossSurvey(other, progress: progress).check(
        committed.snapshot, committed.name)
      if isWhole {
        plannedRefs[SnapshotName(image: image, number: committed.number)] = .complete
      }
      return note(
        "ref \(committed.name)",
        "is in \(source)" + (isWhole ? "" : ", which lacks some of its content"))
    }
    let session = try store.beginSession()
    try StoreSource(other, store, session, progress).copy(committed.snapshot)
    try session.finish()
    guard try LossSurvey(store, progress: progress).check(committed.snapshot, committed.name) else {
      note("ref \(committed.name)", "is in \(source), which lacks some of its content: not taken")
      return
    }
    try explaining("refs/\(image)") { () throws(SystemError) in
      try makeDirectoryIfAbsent(layout.fileSystem, layout.refs, image.bytes)
      try layout.fileSystem.sync(layout.refs.raw)
    }
    try withHistory(of: image) { folder in
      guard try self.isFree(image, committed.number) else { return }
      self.note("ref \(committed.name)", "came back from \(source)")
      let bytes = committed.snapshot.encode()
      try self.publish(
        RefRecord.encode(bytes, committed.id, image, committed.number), in: folder,
        as: RefLog.fileName(committed.number), "ref \(committed.name)")
    }
  }
}

extension RefRecord {
  /// More than this is not searched for a wrong bit.
  private static let maxHealedBytes = 16 << 10

  /// The bytes of a ref with the one wrong bit put right; nil where no single bit explains the damage.
  static func healed(_ bytes: [UInt8], _ image: ImageName, _ number: Int) -> [UInt8]? {
    guard bytes.count <= maxHealedBytes else { return nil }
    var copy = bytes
    for i in copy.indices {
      for bit in 0..<UInt8(8) {
        copy[i] ^= 1 << bit
        if let record = try? decode(copy), record.number != nil || i > magic.count,
          (try? record.requirePlace(image, number)) != nil
        {
          return copy
        }
        copy[i] ^= 1 << bit
      }
    }
    return nil
  }
}
