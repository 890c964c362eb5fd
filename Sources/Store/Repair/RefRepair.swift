// The refs of a store that is being repaired.
//
// 1. A ref that is unreadable, or not at the place that its record names, moves to quarantine/. Its number
//    is recorded as lost (<n>.lost), until a ref has it again or `remove --force` removes it.
// 2. A ref with a single flipped bit is corrected. The SHA-256 that it contains identifies the bit.
// 3. An intact ref in quarantine/ whose number is free moves back. So swapped and moved refs are restored,
//    and the next repair completes one that was killed.
// 4. A ref of another store is copied for a number that is lost here, if everything that it needs is here
//    afterwards.

import Platform

struct RefRepair: RepairPart {
  let context: RepairContext

  func repairRefs() throws {
    let names = try mapSystemError(
      "the directory refs/", try layout.fileSystem.names(of: layout.refs.raw))
    for name in names.sorted(by: precedes) {
      let stat = try mapSystemError(
        "the directory refs/", try layout.fileSystem.statIfPresent(at: layout.refs.raw, name))
      guard let stat else { continue }
      let image = try? ImageName(String(decoding: name, as: UTF8.self))
      guard stat.kind == .directory, let image, image.bytes == name else {
        try moveToQuarantine(
          layout.refs, name, "refs/\(printable(name))", as: "refs-\(printable(name))")
        continue
      }
      try withHistory(of: image) { directory in try self.quarantineDamage(image, directory) }
    }
    if isDryRun {
      for ref in context.misplacedRefs
      where try isFree(ref.name.image, ref.name.number, ignoring: context.movedRefs) {
        plan(ref.name.image, ref.name.number, ref.bytes)
      }
    }
    try restoreQuarantined()
  }

  /// Runs `body` with the locks under which refs of an image move.
  func withHistory(of image: ImageName, _ body: (Descriptor) throws -> Void) throws {
    guard let directory = try store.refs.open(layout.refs, image) else { return }
    if isDryRun { return try body(directory) }
    let lock = try lockImage(image)
    let refs = try mapSystemError("the refs", try layout.lock(RefLog.lockName, exclusive: true))
    defer { withExtendedLifetime((lock, refs)) {} }
    try body(directory)
  }

  // MARK: Damage

  private func quarantineDamage(_ image: ImageName, _ directory: Descriptor) throws {
    if case .damaged(let reason) = try store.refs.removedRecord(of: image) {
      note(
        "refs/\(image)/removed", "\(reason): the gaps of the history count as removed")
      if !isDryRun {
        let highest = try store.refs.highestNumber(of: image)
        try mapSystemError(
          "the refs of \(image)", try store.refs.recordRemoved(image, directory, highest: highest))
      }
    }
    for name in try store.refs.fileNames(of: image).sorted(by: precedes)
    where RefLog.removedNumber(name) == nil && RefLog.lostNumber(name) == nil
      && name != RefLog.recordName
    {
      let object = "refs/\(image)/\(printable(name))"
      let label = "refs-\(image)-\(printable(name))"
      let number = RefLog.number(name)
      let file = try mapSystemError(
        object, try layout.read(directory, name, limitBytes: RefLog.maxBytes))
      switch file {
      case .absent: continue
      case .unexpected: try moveToQuarantine(directory, name, object, as: label)
      case .content(let bytes):
        let record = try? RefRecord.decode(bytes)
        if let number {
          if let record, (try? record.requireIdentity(image, number)) != nil { continue }
          if record == nil, let corrected = RefRecord.corrected(bytes, image, number) {
            plan(image, number, corrected)
            try replace(directory, name, object, label, by: corrected)
            continue
          }
          let isForeign = try !bytes.starts(with: RefRecord.magic) && isFarOut(number, image)
          let isLost = try !isForeign && !isStray(record, image)
          if isLost, !isDryRun { try mark(number, directory) }
          if !isLost { context.plannedRefs[SnapshotName(image: image, number: number)] = .absent }
        }
        if let number { context.movedRefs.insert(SnapshotName(image: image, number: number)) }
        if let own = record?.number, let image = try? ImageName(record?.snapshot.image ?? "") {
          context.misplacedRefs.append((SnapshotName(image: image, number: own), bytes))
        }
        try moveToQuarantine(directory, name, object, as: label)
      }
    }
  }

  /// Records a ref that a dry run would restore.
  private func plan(_ image: ImageName, _ number: Int, _ bytes: [UInt8]) {
    guard isDryRun, let record = try? RefRecord.decode(bytes) else { return }
    context.plannedRefs[SnapshotName(image: image, number: number)] = .snapshot(record.snapshot)
  }

  /// Returns true if a number is more than one above all others of an image, so that no ref can have got it.
  private func isFarOut(_ number: Int, _ image: ImageName) throws -> Bool {
    let others = try store.refs.fileNames(of: image).compactMap {
      RefLog.number($0) ?? RefLog.removedNumber($0) ?? RefLog.lostNumber($0)
    }.filter { $0 != number }
    return number > (others.max() ?? 0) + 1
  }

  /// Returns true if a ref of another image is the only file of an image, which therefore never existed.
  private func isStray(_ record: RefRecord?, _ image: ImageName) throws -> Bool {
    guard let record, record.snapshot.image != image.text else { return false }
    let tags = try store.refs.tags(of: image)
    let pins = try store.refs.pins(of: image)
    return try store.refs.fileNames(of: image).count == 1 && tags.isEmpty && pins.isEmpty
  }

  /// Records that a number had a ref, before the ref moves.
  private func mark(_ number: Int, _ directory: Descriptor) throws {
    try mapSystemErrors("a lost ref") { () throws(SystemError) in
      let name = RefLog.fileName(number) + RefLog.lostSuffix
      let file = try layout.fileSystem.openFile(
        at: directory.raw, name, [.write, .create, .noFollow, .nonBlocking])
      withExtendedLifetime(file) {}
      try layout.fileSystem.sync(directory.raw)
    }
  }

  private func replace(
    _ directory: Descriptor, _ name: [UInt8], _ object: String, _ label: String, by bytes: [UInt8]
  ) throws {
    note(
      object,
      isDryRun ? "has one flipped bit: would be corrected" : "had one flipped bit: corrected")
    if isDryRun { return }
    if let number = RefLog.number(name) { try mark(number, directory) }
    outcome.quarantined.append(
      try mapSystemErrors(object) { () throws(SystemError) in
        try layout.quarantine(directory, name, as: label)
      })
    try publish(bytes, in: directory, as: name, object)
  }

  private func publish(
    _ bytes: [UInt8], in directory: Descriptor, as name: [UInt8], _ object: String
  ) throws {
    try mapSystemErrors(object) { () throws(SystemError) in
      try TemporaryFile.write(bytes, in: directory, as: name, exclusively: true, layout)
      try unmark(name, directory)
    }
  }

  private func unmark(_ name: [UInt8], _ directory: Descriptor) throws(SystemError) {
    let marker = name + RefLog.lostSuffix
    guard try layout.fileSystem.statIfPresent(at: directory.raw, marker) != nil else { return }
    try layout.fileSystem.remove(at: directory.raw, marker, isDirectory: false)
    try layout.fileSystem.sync(directory.raw)
  }

  // MARK: Restoring

  /// Moves intact refs from quarantine/ to their numbers, if these are free.
  private func restoreQuarantined() throws {
    let quarantine = try mapSystemError("the directory quarantine/", try layout.openQuarantine())
    guard let quarantine else { return }
    let prefix = Array("refs-".utf8)
    let names = try mapSystemErrors("the directory quarantine/") { () throws(SystemError) in
      try layout.fileSystem.names(of: quarantine.raw).filter { $0.starts(with: prefix) }
    }
    for file in names.sorted(by: precedes) {
      let content = try mapSystemErrors("quarantine/\(printable(file))") { () throws(SystemError) in
        try layout.read(quarantine, file, limitBytes: RefLog.maxBytes)
      }
      guard case .content(let bytes) = content, let record = try? RefRecord.decode(bytes),
        let number = record.number, let image = try? ImageName(record.snapshot.image)
      else { continue }
      if isDryRun {
        if try isFree(image, number) {
          note("ref \(image)@\(number)", "would be restored from quarantine/")
          plan(image, number, bytes)
        }
        continue
      }
      try mapSystemErrors("refs/\(image)") { () throws(SystemError) in
        try layout.fileSystem.makeDirectoryIfAbsent(at: layout.refs.raw, image.bytes, .private)
      }
      try withHistory(of: image) { directory in
        guard try self.isFree(image, number) else { return }
        let name = RefLog.fileName(number)
        self.note("ref \(image)@\(number)", "was restored from quarantine/")
        try mapSystemErrors("ref \(image)@\(number)") { () throws(SystemError) in
          try self.layout.moveExclusively(quarantine, file, to: directory, name)
          try self.layout.fileSystem.sync(directory.raw)
          try self.layout.fileSystem.sync(quarantine.raw)
          try self.unmark(name, directory)
        }
      }
    }
  }

  /// Returns true if no ref has the number, and no removed ref had it.
  /// - Parameter moved: refs that the repair moves away.
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

  /// Copies refs from another store for numbers that are lost here.
  ///
  /// A number above all known ones is copied as well, if both stores have the same history so far, or this
  /// one has no snapshots of the image: a lost newest ref leaves no gap. Gaps are filled only from a store
  /// that has a snapshot in common, or one that a snapshot of the other store names as its parent.
  func restoreRefs(from other: ObjectStore, _ source: String) throws {
    for image in try other.refs.images() {
      let here = try store.refs.numbers(of: image)
      let lost = Set(try store.refs.lostNumbers(of: image))
      let highest = try store.refs.highestNumber(of: image)
      var isSame = here.isEmpty
      if let last = here.last(where: { (try? other.refs.read(image, $0)) != nil }) {
        isSame = try (try? store.refs.read(image, last))?.id == other.refs.read(image, last).id
      }
      guard try here.isEmpty || isRelated(image, to: other) else { continue }
      for number in try other.refs.numbers(of: image)
      where lost.contains(number) || (number > highest && isSame) {
        guard let committed = try? other.refs.read(image, number) else { continue }
        try restore(committed, image, from: other, source)
      }
    }
  }

  /// Returns true if the histories of an image in both stores have a snapshot in common, or are linked by a
  /// parent.
  private func isRelated(_ image: ImageName, to other: ObjectStore) throws -> Bool {
    let here = try store.refs.numbers(of: image).compactMap { try? store.refs.read(image, $0) }
    let there = try other.refs.numbers(of: image).compactMap { try? other.refs.read(image, $0) }
    let (own, foreign) = (Set(here.map(\.id)), Set(there.map(\.id)))
    return !own.isDisjoint(with: foreign)
      || here.contains { $0.snapshot.parent.map(foreign.contains) ?? false }
      || there.contains { $0.snapshot.parent.map(own.contains) ?? false }
  }

  private func restore(
    _ committed: CommittedSnapshot, _ image: ImageName, from other: ObjectStore, _ source: String
  ) throws {
    if isDryRun {
      let isWhole = try LossScanner(other, progress: progress).check(
        committed.snapshot, committed.name)
      if isWhole {
        context.plannedRefs[SnapshotName(image: image, number: committed.number)] = .complete
      }
      return note(
        "ref \(committed.name)",
        "is in \(source)" + (isWhole ? "" : ", which lacks some of its content"))
    }
    let session = try store.beginSession()
    try StoreSource(other, store, session, progress).copy(committed.snapshot)
    try session.finish()
    guard try LossScanner(store, progress: progress).check(committed.snapshot, committed.name)
    else {
      note("ref \(committed.name)", "is in \(source), which lacks some of its content: not copied")
      return
    }
    try mapSystemErrors("refs/\(image)") { () throws(SystemError) in
      try layout.fileSystem.makeDirectoryIfAbsent(at: layout.refs.raw, image.bytes, .private)
      try layout.fileSystem.sync(layout.refs.raw)
    }
    try withHistory(of: image) { directory in
      guard try self.isFree(image, committed.number) else { return }
      self.note("ref \(committed.name)", "was restored from \(source)")
      try RecordRestoration(context: self.context).restoreOrigin(
        of: SnapshotName(image: image, number: committed.number), from: other)
      let bytes = committed.snapshot.encode()
      try self.publish(
        RefRecord.encode(bytes, committed.id, image, committed.number), in: directory,
        as: RefLog.fileName(committed.number), "ref \(committed.name)")
    }
  }
}

extension RefRecord {
  /// Larger refs are not searched for a flipped bit.
  private static let maxCorrectedBytes = 16 << 10

  /// Returns the bytes of a ref with one flipped bit corrected; nil if no single bit explains the damage.
  static func corrected(_ bytes: [UInt8], _ image: ImageName, _ number: Int) -> [UInt8]? {
    guard bytes.count <= maxCorrectedBytes else { return nil }
    var copy = bytes
    for i in copy.indices {
      for bit in 0..<UInt8(8) {
        copy[i] ^= 1 << bit
        if let record = try? decode(copy), record.number != nil || i > magic.count,
          (try? record.requireIdentity(image, number)) != nil
        {
          return copy
        }
        copy[i] ^= 1 << bit
      }
    }
    return nil
  }
}
