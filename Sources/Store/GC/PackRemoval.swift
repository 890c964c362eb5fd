// The end of packs: doomed, and after a grace period removed or put back (GarbageCollection.swift,
// rules 1 to 5).

import Codec
import Platform

extension GarbageCollection {
  /// Dooms packs, waits, and settles everything that is doomed.
  /// - Returns: false where others had to be waited for too long.
  func remove(_ packs: [Digest]) throws -> Bool {
    progress.begin("removing")
    try doom(packs)
    switch try QuiescenceWait(store: store, giveUpAt: giveUpAt, report: report).pass() {
    case .over: break
    case .timedOut(let holders):
      outcome.waitsFor = holders
      outcome.waitingBytes = try doomedFiles().reduce(0) { $0 + $1.sizeBytes }
      return false
    }
    try needed.addAll(of: store, progress: progress)
    try settle()
    return true
  }

  /// When to stop waiting for commands that began before: by --max-time and --wait, or after a minute.
  private var giveUpAt: Double {
    let byTime = request.maxSeconds.map { start + $0 }
    switch request.waiting {
    case .forever: return byTime ?? monotonicSeconds() + Self.patienceSeconds
    case .atMost(let seconds): return min(byTime ?? .infinity, monotonicSeconds() + seconds)
    }
  }

  private func doom(_ packs: [Digest]) throws {
    try store.index.changePacks { () throws(StoreError) in
      try explaining("the folder doomed/") { () throws(SystemError) in
        var done = 0
        for pack in packs {
          do throws(SystemError) {
            try store.index.move(pack, from: layout.packs, to: layout.doomed)
            done += 1
          } catch {
            // Even a name may need space: then those that have moved make room.
            if error.isOutOfSpace, done > 0 { return }
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

  /// Everything in doomed/, also what is in packs/ as well.
  func doomedFiles() throws(StoreError) -> [DoomedFile] {
    try explaining("the folder doomed/") { () throws(SystemError) in
      var files: [DoomedFile] = []
      for name in try layout.fileSystem.names(of: layout.doomed.raw) {
        guard let pack = Digest(hexDigits: name) else { continue }
        let stat = try layout.fileSystem.stat(at: layout.doomed.raw, name, followLink: false)
        files.append(DoomedFile(pack: pack, sizeBytes: stat.size))
      }
      return files.sorted { $0.pack < $1.pack }
    }
  }

  /// Removes what is in doomed/, or puts it back. All of it was doomed before the grace period that
  /// has just ended: only collectors doom, and there is one.
  private func settle() throws {
    let files = try doomedFiles()
    if files.isEmpty { return }
    let isMissed = try packsStillNeeded(files.map(\.pack))
    let fileSystem = layout.fileSystem
    store.packs.forget(files.map(\.pack))
    // What another file of the same name in packs/ hides was not looked at: it is not what is removed.
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
      try explaining("the folder doomed/") { () throws(SystemError) in
        let back = files.filter { isMissed.contains($0.pack) }
        for file in back {
          try store.index.move(file.pack, from: layout.doomed, to: layout.packs)
        }
        if !back.isEmpty { try fileSystem.sync(layout.packs.raw) }
        for file in files where !isMissed.contains(file.pack) {
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

  /// Whether a file in doomed/ is not the pack that its name says, and packs/ has the name as well.
  private func isHidden(_ pack: Digest) throws(StoreError) -> Bool {
    guard try store.index.isPresent(pack, in: layout.packs) else { return false }
    return try !store.index.isSound(pack, in: layout.doomed)
  }

  private struct Proof {
    let object: ObjectName
    let place: ObjectPlace
    let doomed: Digest
  }

  /// The doomed packs without which something would be missed (rule 5).
  private func packsStillNeeded(_ doomed: [Digest]) throws -> Set<Digest> {
    try store.index.refresh()
    var packsStillNeeded: Set<Digest> = []
    var proofs: [Proof] = []
    // What packs have that go back: others need not go back for it.
    var returning: [ObjectName: ObjectPlace] = [:]
    for pack in doomed {
      let contents: FinishedPack
      do throws(StoreError) {
        contents = try store.packs.scan(pack)
      } catch {
        // What it holds cannot be told, so it stays, for whoever wants to save the rest of it.
        guard error.kind == .damaged else { throw error }
        outcome.damaged.append((pack.hex, error.finding))
        packsStillNeeded.insert(pack)
        continue
      }
      var places: [ObjectName: ObjectPlace] = [:]
      for frame in contents.frames {
        var start = 0
        for (kind, id, length) in frame.objects {
          let object = ObjectName(kind: kind, id: id)
          if places[object].map({ length < $0.length }) ?? true {
            places[object] = ObjectPlace(
              address: FrameAddress(pack: pack, offset: frame.offset),
              frameBytes: frame.frameBytes, start: start, length: length)
          }
          start += length
        }
      }
      for (object, own) in places where needed.contains(object.kind, object.id) {
        // A blob's longer recipe does not stand for its shorter one, which is what was marked.
        let others = [try store.index.keptPlace(object.kind, object.id), returning[object]]
        if let place = others.compactMap(\.self).first(where: { $0.length <= own.length }) {
          proofs.append(Proof(object: object, place: place, doomed: pack))
        } else {
          packsStillNeeded.insert(pack)
          returning.merge(places) { $1.length < $0.length ? $1 : $0 }
          break
        }
      }
    }
    proofs.sort { a, b in
      (a.place.address.pack, a.place.address.offset, a.place.start)
        < (b.place.address.pack, b.place.address.offset, b.place.start)
    }
    for proof in proofs where !packsStillNeeded.contains(proof.doomed) {
      let place = proof.place
      do {
        let frame = try reading(place.address.pack) { () throws(StoreError) in
          try store.packs.frame(place.address, frameBytes: place.frameBytes)
        }
        guard
          frame.header.holds(
            proof.object.kind, proof.object.id, start: place.start, length: place.length)
        else {
          throw DamagedPackError(
            name: place.address.pack, finding: "\(proof.object.id.hex) is not where the index says")
        }
        try frame.withBytes(start: place.start, length: place.length) {
          try check(proof.object.kind, proof.object.id, $0, in: place.address.pack)
        }
      } catch let damage as DamagedPackError {
        outcome.damaged.append((damage.name.hex, damage.finding))
        packsStillNeeded.insert(proof.doomed)
      }
    }
    return packsStillNeeded
  }
}
