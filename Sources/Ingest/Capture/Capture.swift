// Runs the stages of a capture: a set of components (trees and single files) becomes the entries of
// a snapshot. They are stored in a session, or held in memory for comparison.

import Codec
import Platform
import Store

/// A component to capture: a role in the image and an absolute path on the management node.
public struct CaptureRoot: Hashable, Sendable {
  /// The component's role in the image.
  public let role: Role
  /// The component's path.
  public let path: AbsolutePath
  /// Creates a request.
  public init(role: Role, path: AbsolutePath) {
    self.role = role
    self.path = path
  }
}

/// A file that this process has just written, with the blob that it wrote.
public struct VerifiedFile: Sendable {
  /// The file's attributes after it was written.
  public let stat: FileStat
  /// All of the file's flags (`FileSystem.inodeFlags(of:_:)`).
  public let flags: InodeFlags
  /// The file's content.
  public let blob: Digest
  /// Creates a record of a written file.
  public init(stat: FileStat, flags: InodeFlags, blob: Digest) {
    self.stat = stat
    self.flags = flags
    self.blob = blob
  }
}

/// Files whose content is known as long as their attributes are unchanged.
public struct VerifiedFiles: Sendable {
  private var components: [[UInt8]: [RelativePath: VerifiedFile]] = [:]

  /// Creates a collection. The last file of a path counts.
  public init(_ files: some Sequence<(path: ImagePath, file: VerifiedFile)> = []) {
    for (path, file) in files { components[path.component, default: [:]][path.path] = file }
  }

  func files(of component: [UInt8]) -> [RelativePath: VerifiedFile] { components[component] ?? [:] }
}

/// The destination of captured objects.
public enum CaptureDestination: Sendable {
  /// Stores all objects. `keeping` also keeps the trees in memory for callers that need them at once.
  case store(WriteSession, keeping: MemoryObjects? = nil)
  /// Stores nothing: contents are hashed only, and trees are kept for comparison.
  case memory(MemoryObjects)
}

/// Captures components of the live image.
public struct Capture: Sendable {
  private let resolver: PathResolver
  /// The store's directory, which is never captured.
  private let store: FileIdentity?
  /// The name prefix of leftovers that are captured like any other entry; nil for none.
  public var capturedLeftovers: [UInt8]?
  /// The excluded paths of one of the trees; nil for none.
  public var excludes: TreeExcludes?
  /// The earlier versions of the files that are stored; nil for none.
  public var predecessors: Predecessors?
  /// Where components are that a change will move to their paths.
  public var locations: [AbsolutePath: ResolvedPath] = [:]
  /// An earlier capture. Its components are not walked again if the same entries are at their paths.
  public var known: CaptureResult?
  private let threads: Int
  private let progress: Progress
  private var fileSystem: any FileSystem { resolver.fileSystem }

  /// Creates a capture.
  /// - Parameters:
  ///   - resolver: resolves the requested paths below the root.
  ///   - store: the store's directory; nil if there is none.
  ///   - threads: the number of threads that walk and read.
  public init(
    _ resolver: PathResolver, store: FileIdentity? = nil, threads: Int = processorCount,
    progress: Progress
  ) {
    self.resolver = resolver
    self.store = store
    self.threads = threads
    self.progress = progress
  }

  /// Captures `requests` in the order of their paths.
  /// - Parameters:
  ///   - cache: skips reading files that it lists as unchanged.
  ///   - verifiedFiles: files that are not read while their attributes are unchanged.
  /// - Returns: the captured components.
  /// - Throws: `StoreError`; `SystemError` for conditions that affect every entry. Single
  ///   unreadable entries become notes.
  public func run(
    _ requests: [CaptureRoot], cache: StatCache?, verifiedFiles: VerifiedFiles = VerifiedFiles(),
    into destination: CaptureDestination
  ) throws -> CaptureResult {
    let scanStart = known.map { min($0.scanStart, now()) } ?? now()
    progress.begin("scanning")
    let walker = Walker(
      fileSystem, store: store, capturedLeftovers: capturedLeftovers, progress: progress)
    var locator = CaptureRootLocator(
      resolver, walker, cache: cache, store: store, excludes: excludes)
    (locator.locations, locator.known) = (locations, known?.live.entries ?? [])
    var located = try locator.locate(requests)
    try walker.walk(located.roots, threads: threads)
    for directory in walker.findings.directoriesWithExcludes {
      directory.recordedTime = try excludes?.recordedTime(directory.relativePath)
    }

    let results = ReadResults()
    let (readFiles, verifiedCount) = try readContents(
      located, verifiedFiles, results, walker, destination)
    located.notes += results.notes
    located.notes += walker.findings.notes
    if walker.findings.leftOut > 0 {
      located.notes.append(
        Snapshot.Note(
          .unreadable, path: [0x2f], detail: "and \(walker.findings.leftOut) more entries"))
    }

    let unreadable =
      UInt64(located.notes.count { $0.kind == .unreadable }) + UInt64(walker.findings.leftOut)
    let build = try build(located.live, results.auxiliary, walker.findings, destination)
    var captured: [Snapshot.Component] = []
    for (request, entry) in zip(located.requests, located.live.entries) {
      if case .vanished = entry.content { continue }
      let childIDs: Tree.IDs? =
        if case .directory(let child) = entry.content { child.ids } else { nil }
      var capturedEntry = build.entry(entry, childIDs, name: [])
      capturedEntry.linkGroup = 0
      captured.append(
        Snapshot.Component(role: request.role, path: request.path.bytes, entry: capturedEntry))
    }
    return CaptureResult(
      components: captured, absent: located.absent,
      notes: located.notes.sorted { precedes($0.path, $1.path) },
      entryCount: build.entryCount + UInt64(captured.count),
      contentBytes: build.contentBytes
        &+ located.live.entries.reduce(0) { $0 &+ ($1.stat.kind == .file ? $1.stat.size : 0) },
      readBytes: results.readBytes, readFiles: readFiles,
      unreadableEntries: unreadable, verifiedCount: verifiedCount,
      live: located.live, scanStart: scanStart)
  }

  // MARK: Contents

  /// Reads all files that must be read.
  /// - Returns: the number of files that were read, and that of those whose content was known.
  private func readContents(
    _ located: LocatedRoots, _ verifiedFiles: VerifiedFiles, _ results: ReadResults,
    _ walker: Walker, _ destination: CaptureDestination
  ) throws -> (readFiles: Int, verifiedCount: Int) {
    var schedule = ReadSchedule()
    try schedule.addFiles(of: located.live, verifiedFiles)
    progress.begin("reading", totalBytes: schedule.totalBytes)
    try read(schedule.jobs, results, walker, located.descriptors, destination)
    try results.complete(located.live)
    // Read the remaining names of inodes whose first name meanwhile belongs to another file.
    var rest = ReadSchedule()
    try rest.addFiles(of: located.live, VerifiedFiles(), sharesInodes: false)
    if !rest.jobs.isEmpty {
      try read(rest.jobs, results, walker, located.descriptors, destination)
      try results.complete(located.live)
    }
    return (schedule.fileCount + rest.fileCount, schedule.verifiedCount)
  }

  private func read(
    _ jobs: [ReadJob], _ results: ReadResults, _ walker: Walker, _ descriptors: RootDescriptors,
    _ destination: CaptureDestination
  ) throws {
    if jobs.isEmpty { return }
    let indices = SharedIndices(jobs.indices)
    let fileSystem = fileSystem
    let progress = progress
    let predecessors = predecessors
    let work: @Sendable (SessionWorker?) throws -> Void = { worker in
      var reader = ContentReader(
        fileSystem, walker, descriptors: descriptors, worker: worker, predecessors: predecessors,
        progress: progress)
      while worker?.shouldStop != true, let i = indices.take() {
        try reader.run(jobs[i], results)
      }
      results.add(reader.auxiliaryObjects)
    }
    switch destination {
    case .store(let session, _): try session.run { try work($0) }
    case .memory: try runThreads(threads) { _ in try work(nil) }
    }
  }

  // MARK: Trees

  private func build(
    _ live: ScannedDirectory, _ auxiliary: [AuxiliaryObject], _ findings: Walker.Findings,
    _ destination: CaptureDestination
  ) throws -> TreeBuilder {
    var objects: [AuxiliaryObject] = auxiliary
    objects += findings.xattrSets.sorted { $0.key < $1.key }
      .map { AuxiliaryObject(kind: .xattrs, id: $0.key, bytes: $0.value) }
    switch destination {
    case .memory(let memory):
      for object in objects { memory.put(object.id, object.bytes) }
      return try buildTrees(live) { memory.put($0.id, $0.bytes) }
    case .store(let session, let memory):
      return try session.withWorker { worker in
        for object in objects {
          memory?.put(object.id, object.bytes)
          try worker.add(object.kind, object.id, object.bytes)
        }
        return try buildTrees(live) { object in
          memory?.put(object.id, object.bytes)
          try worker.add(object.kind, object.id, object.bytes)
        }
      }
    }
  }

  private func buildTrees(
    _ live: ScannedDirectory, _ output: @escaping (Tree.EncodedObject) throws -> Void
  ) throws -> TreeBuilder {
    var builder = TreeBuilder(output)
    for case .directory(let tree) in live.entries.map(\.content) { _ = try builder.build(tree) }
    return builder
  }
}
