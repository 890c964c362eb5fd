// The part of a verification that reads packs: all of them, or those that were not read for the longest
// time, as far as a budget goes.
//
// 1. The order and the record are a convenience (VerifyRecord): without it every pack counts as never
//    read.
// 2. A pack is recorded only when it was sound; a damaged one is read again by each run, first.

import Codec
import Platform

/// What a verification shall read.
public struct VerifyRequest: Sendable {
  /// Read every byte of every pack, and every file of several chunks as a whole.
  public var deep = false
  /// Seconds after which no further pack is begun; nil for no limit. Implies reading packs.
  public var maxSeconds: Double?
  /// Bytes of packs after which no further one is begun. Implies reading packs.
  public var maxBytes: UInt64?
  public init(deep: Bool = false) { self.deep = deep }

  var readsPacks: Bool { deep || isPartial }
  var isPartial: Bool { maxSeconds != nil || maxBytes != nil }
}

/// How much of a store has been read, and when.
public struct VerifyCoverage: Sendable {
  public var packs = 0
  public var bytes: UInt64 = 0
  /// Packs that were never found sound, with their bytes.
  public var uncheckedPacks = 0
  public var uncheckedBytes: UInt64 = 0
  /// When the pack was read that was not read for the longest time: seconds since 1970.
  public var oldestCheck: Int64?
}

extension VerifyRun {
  func checkPacks(_ request: VerifyRequest) throws {
    let start = monotonicSeconds()
    let listing = try store.index.packs()
    // A collector may remove what it has doomed before we began.
    let mayGo = Set(listing.doomed)
    var record = VerifyRecord.load(store.layout)
    let sizes = try store.index.packSizes()
    let packs =
      request.isPartial
      ? record.oldestFirst(listing.kept + listing.doomed)
      : listing.kept + listing.doomed
    progress.begin(
      "reading packs",
      totalBytes: min(request.maxBytes ?? .max, sizes.values.reduce(0) { $0 &+ $1 }))
    let next = Monitor((pack: 0, bytes: UInt64(0)))
    let sound = Monitor<[Digest]>([])
    let hasUnreadableFrames = Monitor(false)
    let now = now().seconds
    try runThreads(max(1, min(processorCount, packs.count))) { _ in
      while true {
        let i = next.withLock { next -> Int? in
          guard next.pack < packs.count else { return nil }
          if next.pack > 0 {
            if let limit = request.maxSeconds, monotonicSeconds() - start >= limit { return nil }
            if let limit = request.maxBytes, next.bytes >= limit { return nil }
          }
          defer {
            next.bytes &+= sizes[packs[next.pack]] ?? 0
            next.pack += 1
          }
          return next.pack
        }
        guard let i else { return }
        do throws(StoreError) {
          let check = try PackCheck.run(packs[i], self.store.packs, progress: self.progress)
          if check.isSound { sound.withLock { $0.append(packs[i]) } }
          if check.hasUnreadableFrames { hasUnreadableFrames.withLock { $0 = true } }
          self.take(check)
        } catch {
          if error.kind == .missing, mayGo.contains(packs[i]) { continue }
          self.add(error.object, error.finding)
        }
      }
    }
    if hasUnreadableFrames.withLock({ $0 }) {
      // The snapshots that need them are found by what a new index lacks.
      try store.index.rebuildOnce("index: rebuilt without what cannot be read of damaged packs")
    }
    for pack in sound.withLock({ $0 }) { record.times[pack] = now }
    record.keep(Set(packs))
    record.save(store.layout)
    var coverage = VerifyCoverage()
    for pack in packs {
      coverage.packs += 1
      coverage.bytes &+= sizes[pack] ?? 0
      if let time = record.times[pack] {
        coverage.oldestCheck = min(coverage.oldestCheck ?? time, time)
      } else {
        coverage.uncheckedPacks += 1
        coverage.uncheckedBytes &+= sizes[pack] ?? 0
      }
    }
    let checked = next.withLock { $0.pack }
    found.withLock { report in
      report.packs = checked
      report.coverage = coverage
    }
  }

  private func take(_ check: PackCheck) {
    for problem in check.problems { add(problem.object, problem.finding) }
    if !check.badObjects.isEmpty {
      damaged.withLock { $0.merge(check.badObjects) { first, _ in first } }
      badFrames.withLock { frames in
        for frame in check.badFrames {
          frames.insert(FrameAddress(pack: check.name, offset: frame.offset))
        }
      }
    }
    found.withLock {
      $0.objects += check.objects
      $0.checkedBytes += check.checkedBytes
    }
  }

  /// Objects that have a sound copy in another place are read from there.
  func dropHealedObjects() throws {
    let bad = badFrames.withLock { $0 }
    for name in damaged.withLock({ Array($0.keys) }) {
      let places = try store.index.places(name.kind, name.id)
      if places.contains(where: { !bad.contains($0.address) }) {
        damaged.withLock { $0[name] = nil }
      }
    }
  }
}

/// When each pack was last read and found sound: cache/verified. Losing it loses nothing.
struct VerifyRecord {
  private static let fileName = Array("verified".utf8)
  private static let title = "verified 1"
  private static let maxBytes = 64 << 20

  var times: [Digest: Int64] = [:]

  static func load(_ layout: Layout) -> VerifyRecord {
    var record = VerifyRecord()
    guard
      case .content(let bytes)? = try? layout.read(layout.cache, fileName, limitBytes: maxBytes)
    else { return record }
    let lines = bytes.split(separator: 0x0a)
    guard let first = lines.first, String(decoding: first, as: UTF8.self) == title else {
      return record
    }
    let latest = now().seconds
    for line in lines.dropFirst() {
      let words = line.split(separator: 0x20)
      // A time that has not come yet is a clock's error: the pack counts as never read.
      guard words.count == 2, let pack = Digest(hexDigits: Array(words[0])),
        let time = Int64(String(decoding: words[1], as: UTF8.self)), time <= latest
      else { continue }
      record.times[pack] = time
    }
    return record
  }

  /// Packs that were never found sound come first, then those whose check is the oldest.
  func oldestFirst(_ packs: [Digest]) -> [Digest] {
    packs.sorted { a, b in
      let (x, y) = (times[a] ?? .min, times[b] ?? .min)
      return x == y ? a < b : x < y
    }
  }

  mutating func keep(_ packs: Set<Digest>) { times = times.filter { packs.contains($0.key) } }

  /// A failure loses the order of the next run, nothing else.
  func save(_ layout: Layout) {
    if layout.isReadOnly { return }
    var text = "\(VerifyRecord.title)\n"
    for (pack, time) in times.sorted(by: { $0.key < $1.key }) { text += "\(pack.hex) \(time)\n" }
    guard let temporary = try? TemporaryFile(layout) else { return }
    do throws(SystemError) {
      try layout.fileSystem.write(temporary.file.raw, Array(text.utf8))
      try temporary.publish(in: layout.cache, as: VerifyRecord.fileName, exclusively: false)
    } catch {
      temporary.discard()
    }
  }
}
