// Chooses the frames that give up their bases when a store is recompressed. A delta keeps earlier versions
// that no snapshot has: those between it and the last version that is stored whole. After `forget`, they can
// take as much space as the version that they lead to.
//
//     version 1 ◀─ version 2 ◀─ version 3 ◀─ version 4     only 3 and 4 are in snapshots:
//      (whole)      (delta)      (delta)      (delta)      1 and 2 go, if 3 is stored whole
//
// 1. A frame is chosen if its objects, stored whole, take considerably less than the versions that it alone
//    keeps. Sizes are estimated: a wrong estimate costs space, and nothing else.
// 2. Only `optimize` does this: what `gc` frees, `du` has said before.
// 3. Nothing is deleted here. The objects get a second copy, of depth 0, which is the one that is read from
//    then on. The next marking finds that the versions below are unneeded.
// 4. Memory: about 60 bytes for each chunk that only bases need, and 8 for each mention in a base.

import Codec

/// Chooses frames of a store.
struct BaseRelease {
  private let store: ObjectStore
  private let needed: Reachability
  private let usage: PackUsage

  /// A chunk that only bases need.
  private struct Chunk {
    /// Its part of the stored bytes of its frame.
    let storedBytes: Double
    let rawBytes: Int
    /// The number of its frame if that has a base.
    let frame: Int?
  }

  /// A frame with objects that snapshots need, and a base that they do not.
  private struct Candidate {
    let frame: Int
    let address: FrameAddress
    /// The bytes that storing the objects whole costs.
    let cost: Double
    /// The bytes that its base keeps, directly and through other bases.
    let keptBytes: Double
  }

  private var chunks: [UInt64: Chunk] = [:]
  private var numbers: [FrameAddress: Int] = [:]
  /// For each frame: the chunks of its base that only bases need.
  private var bases: [[UInt64]] = []
  private let packNumbers: [Digest: Int]

  init(_ store: ObjectStore, _ needed: Reachability, _ usage: PackUsage) {
    (self.store, self.needed, self.usage) = (store, needed, usage)
    packNumbers = Dictionary(
      usage.packs.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// Returns the frames that shall give up their bases; none if that saves less than a twentieth of the store.
  /// - Throws: `StoreError` if the directory of a frame cannot be read.
  mutating func frames() throws -> Set<FrameAddress> {
    let candidates = try self.candidates()
    if candidates.isEmpty { return [] }
    // The bases that keep least for their use stay first. What they keep does not count against others.
    var kept: Set<UInt64> = []
    var released: [Candidate] = []
    for candidate in candidates.sorted(by: { $0.keptBytes * $1.cost < $1.keptBytes * $0.cost }) {
      let closure = self.closure(of: candidate.frame, leavingOut: kept)
      if bytes(closure) * 4 < candidate.cost * 5 {
        kept.formUnion(closure)
      } else {
        released.append(candidate)
      }
    }
    let freed = chunks.reduce(0.0) { $0 + (kept.contains($1.key) ? 0 : $1.value.storedBytes) }
    let cost = released.reduce(0.0) { $0 + $1.cost }
    let packBytes = usage.packs.reduce(0.0) { $0 + Double($1.sizeBytes) }
    return (freed - cost) * 20 >= packBytes ? Set(released.map(\.address)) : []
  }

  private mutating func candidates() throws -> [Candidate] {
    var found: [(address: FrameAddress, header: FrameHeader, rawBytes: Int)] = []
    for address in try store.index.framesWithBases() {
      guard isRewritable(address), let header = try store.index.directory(of: address),
        let base = header.base, header.objects.contains(where: { needed.contains($0.kind, $0.id) })
      else { continue }
      let number = number(of: address)
      for chunk in base.chunks where needed.isOnlyBase(chunk.id) {
        let key = prefixKey(.chunk, chunk.id)
        bases[number].append(key)
        if chunks[key] == nil { chunks[key] = try self.chunk(chunk.id) }
      }
      let rawBytes = header.objects.reduce(0) {
        needed.contains($1.kind, $1.id) && !needed.isOnlyBase($1.id) ? $0 + $1.length : $0
      }
      if rawBytes > 0, !bases[number].isEmpty { found.append((address, header, rawBytes)) }
    }
    return found.map { address, header, rawBytes in
      let number = numbers[address] ?? 0
      let closure = closure(of: number, leavingOut: [])
      let share = Double(rawBytes) / Double(max(1, header.rawBytes))
      let whole = Double(rawBytes) * ratio(closure)
      return Candidate(
        frame: number, address: address, cost: max(1, whole - Double(header.storedBytes) * share),
        keptBytes: bytes(closure))
    }
  }

  private func isRewritable(_ address: FrameAddress) -> Bool {
    packNumbers[address.pack].map { !usage.packs[$0].isDoomed } ?? false
  }

  private mutating func number(of address: FrameAddress) -> Int {
    if let known = numbers[address] { return known }
    numbers[address] = bases.count
    bases.append([])
    return bases.count - 1
  }

  private mutating func chunk(_ id: Digest) throws -> Chunk? {
    guard let location = try store.index.location(.chunk, id),
      let pack = packNumbers[location.address.pack]
    else { return nil }
    let frames = usage.packs[pack].frames
    let index = frames.partitioningIndex { $0.offset >= location.address.offset }
    guard index < frames.count, frames[index].offset == location.address.offset else { return nil }
    let part = Double(location.length) / Double(max(1, frames[index].rawBytes))
    return Chunk(
      storedBytes: Double(location.frameBytes) * part, rawBytes: location.length,
      frame: location.depth > 0 ? number(of: location.address) : nil)
  }

  /// Returns the chunks that the base of a frame keeps, directly and through other bases.
  private func closure(of frame: Int, leavingOut kept: Set<UInt64>) -> Set<UInt64> {
    var found: Set<UInt64> = []
    var visited: Set<Int> = [frame]
    var pending = [frame]
    while let next = pending.popLast() {
      for key in bases[next] where !kept.contains(key) && found.insert(key).inserted {
        if let frame = chunks[key]?.frame, visited.insert(frame).inserted { pending.append(frame) }
      }
    }
    return found
  }

  private func bytes(_ keys: Set<UInt64>) -> Double {
    keys.reduce(0.0) { $0 + (chunks[$1]?.storedBytes ?? 0) }
  }

  /// Returns the stored bytes of a raw byte without a base, from the versions that are stored whole.
  private func ratio(_ closure: Set<UInt64>) -> Double {
    var (stored, raw) = (0.0, 0.0)
    for key in closure {
      guard let chunk = chunks[key], chunk.frame == nil else { continue }
      stored += chunk.storedBytes
      raw += Double(chunk.rawBytes)
    }
    // Without one, an object may compress by half.
    return raw > 0 ? stored / raw : 0.5
  }
}
