// Checks a depot: that every snapshot is complete (light), and that every byte of every pack is right (deep).
//
// 1. A light check reads refs, marks and trees, and finds every object that a snapshot needs in the
//    directories of packs.
// 2. A deep check also downloads every pack, compares its SHA-256 with its name, and each object with its id.
//    A recipe is named by the file that it makes: its bytes are checked when the file is read.
// 3. After damage, the files are named that cannot be read because of it (`AffectedFiles`).
// 4. A check changes nothing. What vanishes meanwhile was removed by others, and does not count as damage.

import Codec
import ObjectStorage
import Platform
import Store

/// A problem in a depot.
public struct DepotProblem: Sendable, Equatable {
  public let code: ErrorCode
  /// "compute@3", "pack 3fa9…", "tag compute:golden".
  public let subject: String
  public let reason: String
}

/// What a check has found.
public struct DepotVerification: Sendable {
  public var snapshots = 0
  public var packs = 0
  public var packBytes: UInt64 = 0
  /// The objects of the packs that a deep check has read.
  public var verifiedObjects = 0
  public var problems: [DepotProblem] = []
  /// Keys that no depot has; at most 100 of them.
  public var foreignKeys: [String] = []

  public init() {}
}

extension Depot {
  /// Checks the depot.
  /// - Parameter deep: reads all packs.
  /// - Throws: `StorageError` if the depot cannot be reached. Damage is in the result.
  public func verify(deep: Bool, progress: Progress = Progress()) throws -> DepotVerification {
    var verifier = DepotVerifier(depot: self, progress: progress)
    return try verifier.run(deep: deep)
  }
}

/// One check.
struct DepotVerifier {
  let depot: Depot
  let progress: Progress
  private var result = DepotVerification()

  init(depot: Depot, progress: Progress) { (self.depot, self.progress) = (depot, progress) }

  mutating func run(deep: Bool) throws -> DepotVerification {
    progress.begin("Checking")
    let numbers = try depot.refs.allNumbers()
    let snapshots = try readRefs(numbers)
    try checkMarks(numbers)
    let listing = try depot.refreshListing()
    result.packs = listing.packs.count
    result.packBytes = listing.packs.values.reduce(0, +)
    let incomplete = try checkSnapshots(snapshots)
    try listForeignKeys()
    let damagedPacks = deep ? try checkPacks(listing) : []
    if incomplete || !damagedPacks.isEmpty {
      try nameFiles(of: snapshots, damagedPacks, listing)
    }
    return result
  }

  /// A snapshot whose ref could be read.
  private struct CheckedSnapshot {
    let name: String
    let components: [Snapshot.Component]
  }

  /// Names the files that the damage affects.
  private mutating func nameFiles(
    of snapshots: [CheckedSnapshot], _ damagedPacks: Set<DepotPack>, _ listing: PackListing
  ) throws {
    progress.begin("Looking for the affected files")
    let all = PresentCopies(depot, listing)
    let damaged = try DamagedFrames(depot: depot, present: all).find(in: damagedPacks)
    let readable = PresentCopies(depot, listing) {
      listing.packs[$0.pack] != nil && !damaged.contains($0.frame)
    }
    let roots = snapshots.flatMap { snapshot in
      snapshot.components.map { AffectedFiles.Root(snapshot: snapshot.name, component: $0) }
    }
    for file in try AffectedFiles(depot, readable).find(roots) {
      add(
        .objectMissing, "\(file.snapshot): \(printable(file.path))",
        "cannot be read: its content, or what that is based on, is damaged or missing")
    }
  }

  private mutating func add(_ code: ErrorCode, _ subject: String, _ reason: String) {
    result.problems.append(DepotProblem(code: code, subject: subject, reason: reason))
  }

  /// Records an error of the depot's content. Passes on errors of the connection.
  private mutating func record(_ error: any Error, _ subject: String) throws {
    switch error {
    case let error as DepotError: add(error.errorCode, subject, error.message)
    case let error as StoreError: add(error.errorCode, subject, error.message)
    case let error as StorageError where [.damaged, .tooLarge].contains(error.kind):
      add(error.errorCode, subject, error.message)
    default: throw error
    }
  }

  private mutating func readRefs(
    _ numbers: [ImageName: DepotRefs.Numbers]
  ) throws -> [CheckedSnapshot] {
    var snapshots: [CheckedSnapshot] = []
    for (image, numbers) in numbers.sorted(by: { $0.key < $1.key }) {
      for number in numbers.existing {
        let name = "\(image)@\(number)"
        do {
          if let ref = try depot.refs.read(image, number) {
            snapshots.append(
              CheckedSnapshot(name: name, components: ref.snapshot.components))
          } else if try !depot.refs.isRemoved(image, number) {
            add(.snapshotDamaged, name, "vanished and is not recorded as removed")
          }
        } catch { try record(error, name) }
      }
      try checkGaps(image, numbers)
    }
    result.snapshots = snapshots.count
    return snapshots
  }

  /// Every number up to the highest has a ref or a record of its removal.
  private mutating func checkGaps(_ image: ImageName, _ numbers: DepotRefs.Numbers) throws {
    let existing = Set(numbers.existing)
    // A hostile ref with a huge number must not make this loop endless.
    let limit = min(numbers.highest, numbers.existing.count + 1_000_000)
    guard numbers.highest > 0, limit > 0 else { return }
    for number in 1...limit where !existing.contains(number) {
      guard try !depot.refs.isRemoved(image, number) else { continue }
      guard try depot.storage.size(of: DepotKeys.ref(image, number)) == nil else { continue }
      add(.snapshotDamaged, "\(image)@\(number)", "has neither a ref nor a record of its removal")
      if result.problems.count > 1000 { return }
    }
  }

  private mutating func checkMarks(_ numbers: [ImageName: DepotRefs.Numbers]) throws {
    for section in ["tags", "pins"] {
      var images: Set<ImageName> = []
      try DepotRefs.forEachKey(section, depot.storage) { image, _ in images.insert(image) }
      for image in images.sorted() {
        let existing = Set(numbers[image]?.existing ?? [])
        let targets =
          section == "tags"
          ? try depot.marks.tags(of: image).map { ("tag \(image):\($0.key)", $0.value) }
          : try depot.marks.pins(of: image).map { ("pin of \(image)@\($0.key)", $0.key) }
        for (name, number) in targets.sorted(by: { $0.0 < $1.0 }) where !existing.contains(number) {
          if try depot.refs.read(image, number) != nil { continue }
          add(.tagNotFound, name, "names a snapshot that does not exist")
        }
      }
    }
  }

  /// Checks that the depot has everything that the snapshots need.
  /// - Returns: whether it lacks something.
  private mutating func checkSnapshots(_ snapshots: [CheckedSnapshot]) throws -> Bool {
    var reachable = try DepotReachability(depot)
    var isIncomplete = false
    for snapshot in snapshots {
      let name = snapshot.name
      progress.add(items: 1)
      do {
        try reachable.add(snapshot.components.map(\.entry))
      } catch {
        // A removal and a collection may have overtaken this check.
        if try isGone(name) { continue }
        try record(error, name)
        isIncomplete = true
        // The visited objects may be incomplete.
        reachable = try DepotReachability(depot)
      }
    }
    return isIncomplete
  }

  private func isGone(_ name: String) throws -> Bool {
    guard let at = name.lastIndex(of: "@"), let image = try? ImageName(String(name[..<at])),
      let number = Int(name[name.index(after: at)...])
    else { return false }
    return try depot.refs.isRemoved(image, number)
  }

  private mutating func listForeignKeys() throws {
    let sections: Set<Substring> = [
      "packs", "doomed", "dirs", "refs", "removed", "forgetting", "adopted", "tags", "pins",
      "signatures", "writers", "format",
    ]
    var foreign: [String] = []
    try depot.storage.list("") { page in
      for object in page where foreign.count < 100 {
        let section = object.key.text.split(separator: "/").first ?? ""
        if !sections.contains(section) { foreign.append(object.key.text) }
      }
      return foreign.count < 100
    }
    result.foreignKeys = foreign
  }

  // MARK: Packs

  /// Reads all packs.
  /// - Returns: the damaged ones.
  private mutating func checkPacks(_ listing: PackListing) throws -> Set<DepotPack> {
    progress.begin("Reading", totalBytes: result.packBytes)
    let packs = listing.packs.keys.sorted()
    let found = Monitor<(problems: [DepotProblem], objects: Int, packs: Set<DepotPack>)>(
      ([], 0, []))
    let depot = depot
    let present = PresentCopies(depot, listing)
    let progress = progress
    let threads = max(1, depot.options.requestCount / 2)
    @Sendable func check(_ pack: DepotPack) throws {
      let size = listing.packs[pack] ?? 0
      do {
        let check = PackDownloadCheck(
          depot: depot, pack: pack, sizeBytes: size, present: present)
        let count = try check.run(progress)
        found.withLock { $0.objects += count }
      } catch let error as DepotError {
        let problem = DepotProblem(
          code: error.errorCode, subject: pack.shortName, reason: error.reason)
        found.withLock { found in
          found.problems.append(problem)
          found.packs.insert(pack)
        }
      }
    }
    if threads == 1 {
      for pack in packs { try check(pack) }
    } else {
      try parallelForEach(packs.count, threads: threads, makeWorker: {}, { try check(packs[$1]) })
    }
    let (problems, objects, damaged) = found.withLock { $0 }
    result.problems += problems.sorted { $0.subject < $1.subject }
    result.verifiedObjects = objects
    return damaged
  }
}
