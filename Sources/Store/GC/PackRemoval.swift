// The deletion of packs: they are doomed, and after a grace period deleted or restored
// (GarbageCollection.swift, rules 1 to 5).

import Codec
import Platform

extension GarbageCollection {
  /// Dooms packs, waits, and deletes or restores everything in doomed/.
  /// - Returns: false if the wait for other commands timed out.
  func remove(_ packs: [Digest]) throws -> Bool {
    progress.begin("removing")
    try doom(packs)
    switch try QuiescenceWait(store: store, deadline: deadline, report: report).waitForBothPhases()
    {
    case .finished: break
    case .timedOut(let holders):
      outcome.waitsFor = holders
      outcome.waitingBytes = try doomedFiles().reduce(0) { $0 + $1.sizeBytes }
      return false
    }
    try needed.addAll(of: store, progress: progress)
    try deleteOrRestore()
    return true
  }

  /// The end of the wait for commands that began earlier: by --max-time and --wait, or after a minute.
  private var deadline: Double {
    let byTime = request.maxSeconds.map { start + $0 }
    guard let seconds = request.waiting.maxSeconds else {
      return byTime ?? monotonicSeconds() + Self.maxWaitSeconds
    }
    return min(byTime ?? .infinity, monotonicSeconds() + seconds)
  }

  private func doom(_ packs: [Digest]) throws {
    try store.index.changePacks { () throws(StoreError) in
      try mapSystemErrors("the directory doomed/") { () throws(SystemError) in
        var movedCount = 0
        for pack in packs {
          do throws(SystemError) {
            try store.index.move(pack, from: layout.packs, to: layout.doomed)
            movedCount += 1
          } catch {
            // A rename may need space, too. The packs that have moved already will free some.
            if error.isOutOfSpace, movedCount > 0 { return }
            if error.code != .notFound { throw error }
          }
        }
      }
    }
  }

  struct DoomedFile {
    let pack: Digest
    let sizeBytes: UInt64
  }

  /// Returns all packs in doomed/, including those that are in packs/ as well.
  func doomedFiles() throws(StoreError) -> [DoomedFile] {
    try mapSystemErrors("the directory doomed/") { () throws(SystemError) in
      var files: [DoomedFile] = []
      for name in try layout.fileSystem.names(of: layout.doomed.raw) {
        guard let pack = Digest(hexDigits: name) else { continue }
        let stat = try layout.fileSystem.stat(at: layout.doomed.raw, name, followLink: false)
        files.append(DoomedFile(pack: pack, sizeBytes: stat.size))
      }
      return files.sorted { $0.pack < $1.pack }
    }
  }

  /// Deletes the packs in doomed/, or moves them back. All of them were doomed before the grace period that
  /// has just ended, because only gc dooms packs, and only one gc runs.
  private func deleteOrRestore() throws {
    let files = try doomedFiles()
    if files.isEmpty { return }
    let stillNeeded = try packsStillNeeded(files.map(\.pack))
    let fileSystem = layout.fileSystem
    store.packs.close(files.map(\.pack))
    // A file that the same name in packs/ hides was not scanned, so it must not be deleted.
    var hidden: [Digest] = []
    for file in files where try isHidden(file.pack) { hidden.append(file.pack) }
    if !hidden.isEmpty {
      try store.index.replacePacks { () throws(StoreError) in
        for pack in hidden {
          try store.index.clearDoomedName(pack)
        }
      }
    }
    var removed = 0
    var removedBytes: UInt64 = 0
    try store.index.changePacks { () throws(StoreError) in
      try mapSystemErrors("the directory doomed/") { () throws(SystemError) in
        let restored = files.filter { stillNeeded.contains($0.pack) }
        for file in restored {
          try store.index.move(file.pack, from: layout.doomed, to: layout.packs)
        }
        if !restored.isEmpty { try fileSystem.sync(layout.packs.raw) }
        for file in files where !stillNeeded.contains(file.pack) {
          let name = Array(file.pack.hex.utf8)
          if !hidden.isEmpty, try fileSystem.statIfPresent(at: layout.doomed.raw, name) == nil {
            continue
          }
          try fileSystem.remove(at: layout.doomed.raw, name, isDirectory: false)
          removed += 1
          removedBytes += file.sizeBytes
        }
        try fileSystem.sync(layout.doomed.raw)
      }
    }
    outcome.removedPacks += removed
    outcome.freedBytes += Int64(removedBytes)
  }

  /// Returns true if a file in doomed/ does not match its name, and packs/ has the same name.
  private func isHidden(_ pack: Digest) throws(StoreError) -> Bool {
    guard try store.index.isPresent(pack, in: layout.packs) else { return false }
    return try !store.index.isSound(pack, in: layout.doomed)
  }

  /// A copy in packs/ that must be verified before the doomed pack is deleted.
  private struct RequiredCopy {
    let object: ObjectName
    let location: ObjectLocation
    let doomed: Digest
  }

  /// Returns the doomed packs that still hold the only copy of a needed object (rule 5).
  private func packsStillNeeded(_ doomed: [Digest]) throws -> Set<Digest> {
    try store.index.refresh()
    var packsStillNeeded: Set<Digest> = []
    var requiredCopies: [RequiredCopy] = []
    // Objects in packs that will be restored. Other packs need not be restored for them.
    var returning: [ObjectName: ObjectLocation] = [:]
    for pack in doomed {
      let contents: FinishedPack
      do throws(StoreError) {
        contents = try store.packs.scan(pack)
      } catch {
        // The contents of a damaged pack are unknown, so it stays, for attempts to rescue the rest.
        guard error.kind == .damaged else { throw error }
        outcome.damaged.append((pack.hex, error.reason))
        packsStillNeeded.insert(pack)
        continue
      }
      let locations = shortestLocations(in: contents, pack)
      for (object, own) in locations where needed.contains(object.kind, object.id) {
        // A blob's longer recipe does not replace its shorter one, because the shorter one was marked.
        let others = [try store.index.keptLocation(object.kind, object.id), returning[object]]
        if let location = others.compactMap(\.self).first(where: { $0.length <= own.length }) {
          requiredCopies.append(RequiredCopy(object: object, location: location, doomed: pack))
        } else {
          packsStillNeeded.insert(pack)
          returning.merge(locations) { $1.length < $0.length ? $1 : $0 }
          break
        }
      }
    }
    requiredCopies.sort { a, b in
      (a.location.address.pack, a.location.address.offset, a.location.start)
        < (b.location.address.pack, b.location.address.offset, b.location.start)
    }
    for requiredCopy in requiredCopies where !packsStillNeeded.contains(requiredCopy.doomed) {
      do {
        try verify(requiredCopy.object, at: requiredCopy.location)
      } catch let damage as DamagedPackError {
        outcome.damaged.append((damage.name.hex, damage.reason))
        packsStillNeeded.insert(requiredCopy.doomed)
      }
    }
    return packsStillNeeded
  }

  /// Returns where a pack holds each of its objects. Of several recipes of a blob, the shortest counts.
  private func shortestLocations(
    in contents: FinishedPack, _ pack: Digest
  ) -> [ObjectName: ObjectLocation] {
    var locations: [ObjectName: ObjectLocation] = [:]
    for frame in contents.frames {
      var start = 0
      for (kind, id, length) in frame.objects {
        let object = ObjectName(kind: kind, id: id)
        if locations[object].map({ length < $0.length }) ?? true {
          locations[object] = ObjectLocation(
            address: FrameAddress(pack: pack, offset: frame.offset),
            frameBytes: frame.frameBytes, start: start, length: length)
        }
        start += length
      }
    }
    return locations
  }

  /// Reads an object and verifies it against its id.
  /// - Throws: `DamagedPackError` if it is not there.
  private func verify(_ object: ObjectName, at location: ObjectLocation) throws {
    let pack = location.address.pack
    let frame = try reading(pack) { () throws(StoreError) in
      try store.packs.frame(location.address, frameBytes: location.frameBytes)
    }
    guard
      frame.header.holds(object.kind, object.id, start: location.start, length: location.length)
    else {
      throw DamagedPackError(
        name: pack, reason: "\(object.id.hex) is not at the location that the index lists")
    }
    try frame.withBytes(start: location.start, length: location.length) {
      try check(object.kind, object.id, $0, in: pack)
    }
  }
}
