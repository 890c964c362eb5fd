// Runs a plan. Every path is opened component by component without following links. No entry of the
// live tree or of the plan can therefore lead a write outside the tree.

import Codec
import Platform
import Store

/// A difference from the snapshot that could not be removed.
public struct ApplyProblem: Sendable, Hashable {
  /// The affected path.
  public let path: [UInt8]
  /// The problem, as a clause that follows the path.
  public let what: String
  /// Whether only an attribute differs, because this user or file system cannot set it.
  public let isAttribute: Bool
  /// Whether the store's data for the entry is damaged or missing.
  public let isDamage: Bool
  /// Creates a problem.
  public init(path: [UInt8], what: String, isAttribute: Bool = false, isDamage: Bool = false) {
    self.path = path
    self.what = what
    self.isAttribute = isAttribute
    self.isDamage = isDamage
  }
}

/// The result of running a plan.
public struct ApplyReport: Sendable {
  /// The number of entries that were written.
  public var writtenFiles = 0
  /// The number of content bytes that were written.
  public var writtenBytes: UInt64 = 0
  /// The number of entries of a staged tree that share data with the live tree.
  public var reusedFiles = 0
  /// The number of removed entries.
  public var removed = 0
  /// The number of entries whose attributes were set.
  public var changedAttributes = 0
  /// The differences that could not be removed.
  public var problems: [ApplyProblem] = []
  /// Trees that were changed in place because they could not be staged, with the reason.
  public var fallbacks: [ApplyProblem] = []
  /// Written files with their current attributes. While these are unchanged, a file's content is
  /// known without reading it: a write would change the mtime, which was set to the snapshot's. The
  /// list has at most `maxWrittenFileStates` files, none with holes or several links.
  public var writtenFileStates:
    [(path: ImagePath, stat: FileStat, flags: InodeFlags, blob: Digest)] = []
  static let maxWrittenFileStates = 1 << 16
  /// Whether nothing was changed, and nothing went wrong.
  public var isEmpty: Bool {
    writtenFiles == 0 && reusedFiles == 0 && removed == 0 && changedAttributes == 0
      && problems.isEmpty && fallbacks.isEmpty
  }

  /// Creates an empty report.
  public init() {}

  /// Adds the counts and lists of `b` to `a`.
  public static func += (a: inout ApplyReport, b: ApplyReport) {
    a.writtenFiles += b.writtenFiles
    a.writtenBytes &+= b.writtenBytes
    a.reusedFiles += b.reusedFiles
    a.removed += b.removed
    a.changedAttributes += b.changedAttributes
    a.problems += b.problems
    a.fallbacks += b.fallbacks
    a.writtenFileStates += b.writtenFileStates.prefix(
      max(0, maxWrittenFileStates - a.writtenFileStates.count))
  }
}

/// The existing entries that an executor accepts where it creates entries.
public enum ConflictPolicy: Sendable {
  /// None. Entries are created under their final names.
  case assumeEmpty
  /// The entries that the plan replaces. Any other entry is left alone and reported as a problem.
  case failIfChanged
  /// Any. Existing entries are overwritten.
  case overwrite
}

/// Returns an open file without a name that contains a blob, once; nil if there is none.
public typealias StagedFiles = @Sendable (_ blob: Digest, _ sizeBytes: UInt64) -> Descriptor?

/// The component that a plan changes.
public struct ExecutionTarget: Sendable {
  let location: ResolvedPath
  let component: [UInt8]
  let cloneSource: ResolvedPath?

  /// Creates a target.
  /// - Parameters:
  ///   - location: the entry that the plan's paths are relative to.
  ///   - component: the path of the component, which begins the paths in the report.
  ///   - cloneSource: the tree that the paths of reused data are relative to; nil for `location`.
  public init(_ location: ResolvedPath, component: [UInt8], cloneSource: ResolvedPath? = nil) {
    self.location = location
    self.component = component
    self.cloneSource = cloneSource
  }

  func address(_ path: RelativePath) -> ImagePath { ImagePath(component: component, path: path) }
}

/// The way to run a plan.
public struct ExecutionOptions: Sendable {
  let conflictPolicy: ConflictPolicy
  let token: String
  let staged: StagedFiles?
  let threads: Int

  /// Creates options.
  /// - Parameters:
  ///   - conflictPolicy: the existing entries that are accepted.
  ///   - token: a part of the temporary names of entries (`TemporaryName.prefix`).
  ///   - staged: returns files with content that only need a name.
  ///   - threads: the number of threads.
  public init(
    _ conflictPolicy: ConflictPolicy, token: String = randomName(), staged: StagedFiles? = nil,
    threads: Int = diskThreadCount
  ) {
    self.conflictPolicy = conflictPolicy
    self.token = token
    self.staged = staged
    self.threads = threads
  }
}

/// Runs plans of one component.
public final class Executor: Sendable {
  private let fileSystem: any FileSystem
  private let store: ObjectStore
  private let target: ExecutionTarget
  private let options: ExecutionOptions
  private let progress: Progress

  /// Creates an executor.
  public init(
    _ fileSystem: any FileSystem, _ store: ObjectStore, _ target: ExecutionTarget,
    _ options: ExecutionOptions, progress: Progress
  ) {
    self.fileSystem = fileSystem
    self.store = store
    self.target = target
    self.options = options
    self.progress = progress
  }

  /// Runs all steps.
  /// - Returns: the counts and problems. Attributes that this user or file system cannot set are problems.
  /// - Throws: `SystemError`, `StoreError` for errors that affect all further steps, such as a full disk.
  public func run(_ plan: Plan) throws -> ApplyReport {
    try requireProc()
    let worker = makeWorker()
    defer { worker.directories.restoreFlags() }
    // Remove files first, then directories in the order in which they become empty.
    func isDirectory(_ step: Step) -> Bool { step.entry.kind == .directory }
    try runOnAllThreads(plan.removals.filter { !isDirectory($0) }, worker)
    try worker.run(plan.removals.filter(isDirectory))
    try worker.run(plan.directories)
    // Protecting flags forbid links, so an inode gets them after all its names. A name may have become a copy.
    let linked = plan.files.filter { $0.entry.linkGroup != 0 } + plan.links
    // All threads write each large file, so large files are written one at a time.
    try runOnAllThreads(plan.files.filter { !ContentWriter.isLarge($0.entry) }, worker)
    try worker.run(plan.files.filter { ContentWriter.isLarge($0.entry) })
    try worker.run(plan.links)
    try worker.setFlags(linked)
    try runOnAllThreads(plan.attributes, worker)
    try worker.run(plan.finished)
    return worker.report
  }

  private func makeWorker() -> StepExecutor {
    StepExecutor(fileSystem, store, target, options, progress)
  }

  /// Runs independent steps on all threads.
  private func runOnAllThreads(_ steps: [Step], _ first: StepExecutor) throws {
    let batches = batches(steps)
    let blocked = first.blocked
    let workers = Monitor<[StepExecutor]>([])
    defer {
      for worker in workers.withLock({ $0 }) {
        first.directories.add(unprotected: worker.directories.takeUnprotected())
      }
    }
    try parallelForEach(
      batches.count, threads: options.threads,
      makeWorker: {
        let worker = self.makeWorker()
        worker.blocked = blocked
        workers.withLock { $0.append(worker) }
        return worker
      }, { worker, i in try worker.run(Array(steps[batches[i]])) })
    for worker in workers.withLock({ $0 }) { first.report += worker.report }
  }

  /// Returns runs of neighbouring steps of at most 2 MiB, because neighbours share frames. If there are few
  /// steps the runs are short: each step may need its own frame, and the load must be balanced.
  private func batches(_ steps: [Step]) -> [Range<Int>] {
    let maxSteps = min(max(steps.count / (options.threads * 8), 1), 256)
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
