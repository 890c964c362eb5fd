// Running a plan. Every path is reached component by component without following a link: nothing
// that lies in the tree, and nothing that a tree holds, can lead a write out of it.

import Codec
import Platform
import Store

/// Something that could not be made as the snapshot has it.
public struct ApplyProblem: Sendable, Hashable {
  public let path: [UInt8]
  public let what: String
  /// The entry and its content are right; one of its attributes is not, because this user or file
  /// system cannot set it.
  public let isAttribute: Bool
  /// The store's data for it is damaged, or lost.
  public let isDamage: Bool
  public init(path: [UInt8], what: String, isAttribute: Bool = false, isDamage: Bool = false) {
    self.path = path
    self.what = what
    self.isAttribute = isAttribute
    self.isDamage = isDamage
  }

  /// Returns the same problem, of another path.
  public func moved(to path: [UInt8]) -> ApplyProblem {
    ApplyProblem(path: path, what: what, isAttribute: isAttribute, isDamage: isDamage)
  }
}

/// What a run did.
public struct ApplyReport: Sendable {
  public var writtenFiles = 0
  public var writtenBytes: UInt64 = 0
  /// Entries of a tree built beside the live one that share data with it.
  public var reusedFiles = 0
  public var removed = 0
  public var changedAttributes = 0
  public var problems: [ApplyProblem] = []
  /// Trees that were changed in place, because they could not be built beside, and why.
  public var fallbacks: [ApplyProblem] = []
  /// Files as they are now that they are written: nobody need read them to know their content, while
  /// nothing that the kernel says of them has changed. (A write changes the time, which was set to what
  /// the snapshot says.) Not all of them: no more than `maxAttestedFiles`, none with holes or other links.
  public var attestedFiles: [(path: [UInt8], stat: FileStat, blob: Digest)] = []
  static let maxAttestedFiles = 1 << 16
  public init() {}

  public static func += (a: inout ApplyReport, b: ApplyReport) {
    a.writtenFiles += b.writtenFiles
    a.writtenBytes &+= b.writtenBytes
    a.reusedFiles += b.reusedFiles
    a.removed += b.removed
    a.changedAttributes += b.changedAttributes
    a.problems += b.problems
    a.fallbacks += b.fallbacks
    a.attestedFiles += b.attestedFiles.prefix(max(0, maxAttestedFiles - a.attestedFiles.count))
  }
}

/// What an executor may find where it makes entries.
public enum ConflictPolicy: Sendable {
  /// Nothing: entries are made under their own names at once.
  case empty
  /// What the plan says that it replaces. Anything else is left alone, and is a problem.
  case asPlanned
  /// Whatever is there gives way.
  case any
}

/// Runs plans below one directory.
public final class Executor: Sendable {
  private let fileSystem: any FileSystem
  private let store: ObjectStore
  private let base: Descriptor
  private let donor: Descriptor?
  private let progress: Progress
  private let threads: Int
  private let surroundings: ConflictPolicy
  private let token: String
  private let staged: StagedBlobs?

  /// - Parameters:
  ///   - base: the directory that the plan's paths are relative to.
  ///   - donor: the directory that paths of reused data are relative to; nil for `base`.
  ///   - token: part of the names that entries have until they are complete (`Journal.prefix`).
  ///   - staged: blobs that need a name only.
  public init(
    _ fileSystem: any FileSystem, _ store: ObjectStore, base: Descriptor,
    donor: Descriptor? = nil, surroundings: ConflictPolicy, token: String = randomName(),
    staged: StagedBlobs? = nil, threads: Int = diskThreadCount, progress: Progress
  ) {
    self.staged = staged
    self.fileSystem = fileSystem
    self.store = store
    self.base = base
    self.donor = donor
    self.surroundings = surroundings
    self.token = token
    self.threads = threads
    self.progress = progress
  }

  /// Runs all steps.
  /// - Throws: `SystemError`, `StoreError` for what makes going on senseless (no space, damage);
  ///   attributes that this user or file system cannot set become problems in the report.
  public func run(_ plan: Plan) throws -> ApplyReport {
    try requireProc()
    let worker = makeWorker()
    defer { worker.directories.restoreFlags() }
    // Files first: then the folders, which lie in the order in which they become empty.
    func isFolder(_ step: Step) -> Bool { step.entry.kind == .directory }
    try runOnAllThreads(plan.removals.filter { !isFolder($0) }, worker)
    try worker.run(plan.removals.filter(isFolder))
    try worker.run(plan.directories)
    // Protecting flags forbid links: an inode gets them when it has all its names.
    let flagged = plan.files.filter { $0.entry.linkGroup != 0 && !$0.entry.flags.isEmpty }
    // A large one is written by all threads: many at once would be threads times threads.
    try runOnAllThreads(plan.files.filter { !ContentWriter.isLarge($0.entry) }, worker)
    try worker.run(plan.files.filter { ContentWriter.isLarge($0.entry) })
    try worker.run(plan.links)
    try worker.setFlags(flagged)
    try runOnAllThreads(plan.attributes, worker)
    try worker.run(plan.finished)
    return worker.report
  }

  private func makeWorker() -> StepExecutor {
    StepExecutor(
      fileSystem, store, base: base, donor: donor, surroundings: surroundings, token: token,
      staged: staged,
      progress: progress)
  }

  /// Runs steps that do not depend on each other, on all threads.
  private func runOnAllThreads(_ steps: [Step], _ first: StepExecutor) throws {
    let batches = batches(steps)
    let next = Monitor(0)
    let total = Monitor(ApplyReport())
    let failed = Monitor(false)
    let blocked = first.blocked
    let unprotected = Monitor<[[UInt8]: ProtectingFlags]>([:])
    defer { first.directories.add(unprotected: unprotected.withLock { $0 }) }
    try runThreads(max(1, min(threads, batches.count))) { _ in
      let worker = self.makeWorker()
      worker.blocked = blocked
      defer {
        let flags = worker.directories.takeUnprotected()
        if !flags.isEmpty { unprotected.withLock { $0.merge(flags) { first, _ in first } } }
      }
      do {
        while !failed.withLock({ $0 }) {
          let i = next.withLock { i in
            defer { i += 1 }
            return i
          }
          guard i < batches.count else { break }
          try worker.run(Array(steps[batches[i]]))
        }
      } catch {
        failed.withLock { $0 = true }
        throw error
      }
      let report = worker.report
      total.withLock { $0 += report }
    }
    first.report += total.withLock { $0 }
  }

  /// Runs of neighbours, 2 MiB of them at most: they come from the same frames. Of few steps short ones, for
  /// each may need a frame of its own, and no thread is to be left with the most of them.
  private func batches(_ steps: [Step]) -> [Range<Int>] {
    let maxSteps = min(max(steps.count / (threads * 8), 1), 256)
    var batches: [Range<Int>] = []
    var start = 0
    var bytes: UInt64 = 0
    for (i, step) in steps.enumerated() {
      bytes &+= step.entry.sizeBytes
      if bytes >= 2 << 20 || i + 1 - start >= maxSteps {
        batches.append(start..<i + 1)
        start = i + 1
        bytes = 0
      }
    }
    if start < steps.count { batches.append(start..<steps.count) }
    return batches
  }
}
