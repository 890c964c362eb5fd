// imgstore repair: restores lost objects of the store from sources that still have them: other stores,
// archives, directories and the live images.

import Ingest
import Platform
import Store

/// The parameters of `repair`.
public struct RepairOptions: Sendable {
  /// The other stores, bundles, packed images, archives, files and directories to search.
  public var sources: [String] = []
  /// Whether the live images are searched, too.
  public var readsLive = true
  public var isDryRun = false
  /// Creates the parameters of a plain `repair`.
  public init() {}
}

extension Workspace {
  /// Repairs the store.
  /// - Throws: `ImageError` if a source cannot be opened; nothing is changed then.
  public func repair(_ options: RepairOptions = RepairOptions()) throws -> RepairOutcome {
    try StoreRepairer(context).repair(options)
  }
}

/// Repairs the store.
struct StoreRepairer: Collaborator {
  let context: Context

  func repair(_ options: RepairOptions = RepairOptions()) throws -> RepairOutcome {
    let store = try context.store(odd: options.isDryRun ? .passOver : .replace)
    // All named sources are opened before anything is changed.
    var sources = try options.sources.map { try RepairSources(context).repairSource($0) }
    if options.readsLive { sources.append(liveSource(store)) }
    var request = RepairRequest()
    request.isDryRun = options.isDryRun
    request.waiting = context.lockWait
    var outcome = try store.repair(
      request, from: sources, progress: context.progress, report: context.reporter.inform)
    outcome.problems += try StoreVerifier(context).journalProblems()
    return outcome
  }

  /// Returns the source for the live images: all files at the paths that snapshots and definitions name.
  private func liveSource(_ store: ObjectStore) -> RepairSource {
    .content(name: "the live images") { [self] session in
      var requests: [[UInt8]: CaptureRoot] = [:]
      for image in try store.refs.images() {
        let latest = try store.refs.latestReadable(of: image)?.snapshot
        // If the tables cannot be read, only the snapshots name paths.
        if let definition = try? context.tables().definition(of: image.text),
          let named = try? ImageCapturer(context).requests(definition, latest: latest).all
        {
          for request in named { requests[request.path.bytes] = request }
        }
        for number in try store.refs.numbers(of: image) {
          guard let committed = try? store.refs.read(image, number) else { continue }
          for request in committed.snapshot.requests {
            requests[request.path.bytes] = requests[request.path.bytes] ?? request
          }
        }
      }
      try RepairSources(context).offer(Array(requests.values), in: context.resolver, to: session)
      for request in requests.values where request.role == .packed {
        guard let location = try? context.resolver.resolve(request.path),
          let file = try? context.fileSystem.openFile(
            at: location.directory.raw, location.name, [.read, .noFollow, .nonBlocking])
        else { continue }
        try? ArchiveSource(store, context.progress).offer(file, to: session)
      }
    }
  }
}
