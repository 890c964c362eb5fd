// The part of a verification that reads packs: all of them, or those that have not been read for the
// longest time, within a budget.
//
// 1. The order and the record (VerifyRecord) are an optimization. Without the record every pack counts as
//    never read.
// 2. Only intact packs are recorded. Every run reads damaged packs again, first.

import Codec
import Platform

/// The parameters of a verification.
public struct VerifyRequest: Sendable {
  /// Whether to read every byte of every pack, and every file of several chunks as a whole.
  public var deep = false
  /// The time in seconds after which no pack is started; nil for no limit. A limit implies reading packs.
  public var maxSeconds: Double?
  /// The number of pack bytes after which no pack is started; nil for no limit. A limit implies reading
  /// packs.
  public var maxBytes: UInt64?
  /// The source of the time at which packs count as checked.
  public var clock = WallClock.system
  /// Creates the parameters of a verification of the whole store.
  public init(deep: Bool = false) { self.deep = deep }

  var readsPacks: Bool { deep || isPartial }
  var isPartial: Bool { maxSeconds != nil || maxBytes != nil }
}

/// The part of a store that has been read, and when.
public struct VerifyCoverage: Sendable {
  public var packs = 0
  public var bytes: UInt64 = 0
  /// The packs that were never found intact, and their bytes.
  public var uncheckedPacks = 0
  public var uncheckedBytes: UInt64 = 0
  /// The oldest of the packs' latest checks, in seconds since 1970; nil if no pack was checked.
  public var oldestCheck: Int64?
}

extension VerifyCoverage {
  fileprivate init(_ packs: [Digest], _ sizes: [Digest: UInt64], _ record: VerifyRecord) {
    for pack in packs {
      self.packs += 1
      bytes &+= sizes[pack] ?? 0
      if let time = record.times[pack] {
        oldestCheck = min(oldestCheck ?? time, time)
      } else {
        uncheckedPacks += 1
        uncheckedBytes &+= sizes[pack] ?? 0
      }
    }
  }
}

extension VerifyRun {
  func checkPacks(_ request: VerifyRequest) throws {
    let start = monotonicSeconds()
    let listing = try store.index.packs()
    // gc may delete packs that it doomed before this verification started.
    let mayDisappear = Set(listing.doomed)
    let now = request.clock.now().seconds
    var record = VerifyRecord.load(store.layout, now: now)
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
          let check = try self.check(packs[i])
          if check.isSound { sound.withLock { $0.append(packs[i]) } }
          if check.hasUnreadableFrames { hasUnreadableFrames.withLock { $0 = true } }
          self.record(check)
        } catch {
          if error.kind == .missing, mayDisappear.contains(packs[i]) { continue }
          self.add(error.subject, error.reason)
        }
      }
    }
    if hasUnreadableFrames.withLock({ $0 }) {
      // The rebuilt index lacks the unreadable objects, which shows the snapshots that need them.
      try store.index.rebuildOnce("index: rebuilt without the unreadable parts of damaged packs")
    }
    for pack in sound.withLock({ $0 }) { record.times[pack] = now }
    record.keep(Set(packs))
    record.save(store.layout)
    let coverage = VerifyCoverage(packs, sizes, record)
    let checked = next.withLock { $0.pack }
    reportState.withLock { report in
      report.packs = checked
      report.coverage = coverage
    }
  }

  /// Reads a pack. If a base cannot be read, the index may be wrong about its place.
  private func check(_ pack: Digest) throws(StoreError) -> PackCheck {
    let check = try PackCheck.run(pack, store.packs, progress: progress)
    if check.unresolvedFrames.isEmpty { return check }
    try store.index.rebuildOnce("index: rebuilt because it may have listed a wrong location")
    return try PackCheck.run(pack, store.packs, progress: Progress())
  }

  private func record(_ check: PackCheck) {
    for problem in check.problems { add(problem.object, problem.reason) }
    if !check.badObjects.isEmpty {
      damaged.withLock { $0.merge(check.badObjects) { first, _ in first } }
      badFrames.withLock { frames in
        for frame in check.badFrames + check.unresolvedFrames {
          frames.insert(FrameAddress(pack: check.name, offset: frame.offset))
        }
      }
    }
    reportState.withLock {
      $0.objects += check.objects
      $0.checkedBytes += check.checkedBytes
    }
  }

  /// Removes objects that have an intact copy elsewhere from the list of damaged ones.
  func dropHealedObjects() throws {
    let bad = badFrames.withLock { $0 }
    for name in damaged.withLock({ Array($0.keys) }) {
      let locations = try store.index.locations(name.kind, name.id)
      if locations.contains(where: { !bad.contains($0.address) }) {
        damaged.withLock { $0[name] = nil }
      }
    }
  }
}

/// The times at which packs were last found intact: cache/verified. It can be lost without harm.
struct VerifyRecord {
  private static let fileName = Array("verified".utf8)
  private static let title = "verified 1"
  private static let maxBytes = 64 << 20

  var times: [Digest: Int64] = [:]

  static func load(_ layout: Layout, now: Int64) -> VerifyRecord {
    var record = VerifyRecord()
    guard
      case .content(let bytes)? = try? layout.read(layout.cache, fileName, limitBytes: maxBytes)
    else { return record }
    let lines = bytes.split(separator: 0x0a)
    guard let first = lines.first, String(decoding: first, as: UTF8.self) == title else {
      return record
    }
    for line in lines.dropFirst() {
      let words = line.split(separator: 0x20)
      // A time in the future comes from a wrong clock, so the pack counts as never read.
      guard words.count == 2, let pack = Digest(hexDigits: Array(words[0])),
        let time = Int64(String(decoding: words[1], as: UTF8.self)), time <= now
      else { continue }
      record.times[pack] = time
    }
    return record
  }

  /// Sorts packs: first those never found intact, then by the age of their checks.
  func oldestFirst(_ packs: [Digest]) -> [Digest] {
    packs.sorted { a, b in
      let (x, y) = (times[a] ?? .min, times[b] ?? .min)
      return x == y ? a < b : x < y
    }
  }

  /// Drops the times of packs that no longer exist.
  mutating func keep(_ packs: Set<Digest>) { times = times.filter { packs.contains($0.key) } }

  /// Writes the record. A failure only affects the order of the next run.
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
