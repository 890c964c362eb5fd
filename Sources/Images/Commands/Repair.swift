// imgstore repair: what the store has lost comes back from what still has it.

import Ingest
import Platform
import Store
import XCAT

/// What `repair` is asked for.
public struct RepairOptions: Sendable {
  /// Other stores, bundles, packed images, archives, files and folders to look in.
  public var sources: [String] = []
  /// Whether the live images are looked through as well.
  public var readsLive = true
  public var isDryRun = false
  public init() {}
}

extension Workspace {
  /// Repairs the store.
  /// - Throws: `ImageError` where a source cannot be opened: nothing is changed then.
  public func repair(_ options: RepairOptions = RepairOptions()) throws -> RepairOutcome {
    let store = try store(odd: options.isDryRun ? .passOver : .replace)
    // Everything that was named is opened before anything is changed.
    var sources = try options.sources.map { try repairSource($0) }
    if options.readsLive { sources.append(liveSource(store)) }
    var request = RepairRequest()
    request.isDryRun = options.isDryRun
    request.waiting = self.options.lockWait
    var outcome = try store.repair(request, from: sources, progress: progress, report: mention)
    outcome.problems += try journalProblems()
    return outcome
  }

  /// The live images: everything at the paths that snapshots and definitions name.
  private func liveSource(_ store: ObjectStore) -> RepairSource {
    .content(name: "the live images") { [self] session in
      var requests: [[UInt8]: CaptureRoot] = [:]
      for image in try store.refs.images() {
        let latest = try store.refs.latestReadable(of: image)?.snapshot
        // Tables that cannot be read say nothing; the snapshots name paths as well.
        if let definition = try? tables().definition(of: image.text),
          let named = try? self.requests(definition, latest: latest).all
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
      try offer(Array(requests.values), in: resolver, to: session)
      for request in requests.values where request.role == ImageFiles.packed {
        guard let place = try? resolver.resolve(request.path),
          let file = try? fileSystem.openFile(
            at: place.directory.raw, place.name, [.read, .noFollow, .nonBlocking])
        else { continue }
        try? ArchiveSource(store, progress).offer(file, to: session)
      }
    }
  }
}
