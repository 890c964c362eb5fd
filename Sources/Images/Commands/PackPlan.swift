// imgstore pack --dry-run: what packing would write, and where. Nothing is written: neither the packed file
// nor a snapshot of unsaved changes.

import Platform
import Render
import Store

/// The plan of packing.
public struct PackPlan: Sendable {
  public let image: String
  /// The name of the snapshot to pack. If unsaved changes would be recorded first, it does not exist yet. A
  /// change of the live tree (`changesLiveTree`) is recorded after it.
  public let snapshot: String
  /// Whether unsaved changes would be recorded as that snapshot.
  public let needsSnapshot: Bool
  public let method: PackMethod
  public let codec: SegmentCodec
  /// The path of the packed file.
  public let destination: String
  /// The permission bits of the packed file.
  public let mode: UInt16
  /// The size in bytes of the file that would be replaced; nil if there is none.
  public let replacedBytes: UInt64?
  /// Whether the live tree would be changed, too.
  public let changesLiveTree: Bool
  /// Observations that do not prevent packing.
  public let remarks: [String]
  /// The error that would refuse to pack; nil if there is none.
  public let refusal: (any ExplainedError)?
  public let seconds: Double
}

extension Workspace {
  /// Plans packing.
  /// - Throws: as `pack`, as far as it can be known without compressing the tree.
  public func planPack(_ request: PackRequest) throws -> PackPlan {
    try PackPlanner(context).planPack(request)
  }
}

/// Plans packing.
struct PackPlanner: Collaborator {
  let context: Context

  func planPack(_ request: PackRequest) throws -> PackPlan {
    let start = monotonicSeconds()
    let source = try PackSources(context).packSource(request)
    let destination = try PackDestinations(context).packDestination(source, request)
    let replaced = try context.fileSystem.statIfPresent(
      at: destination.resolved.directory.raw, destination.resolved.name)
    let store = try context.store()
    var needsSnapshot = false
    var snapshot = source.snapshot
    if let tree = source.tree {
      let lock = try ImageLocks(context).lock(source.image, store, isDryRun: true)
      defer { withExtendedLifetime(lock) {} }
      let latest = try store.refs.latestReadable(of: source.image)
      try MountedDirectories(context).requireMounted(
        latest?.snapshot.notes ?? [], image: source.image.text)
      snapshot = latest
      needsSnapshot =
        try latest.map {
          try !PackSources(context).hasLiveTree($0, source, tree, replacing: destination, request)
        } ?? true
    }
    let refusal = try DryRunRefusal(context).refusal(isDryRun: true) {
      try requirePackable(source, snapshot, request, needsSnapshot: needsSnapshot)
    }
    let name =
      try needsSnapshot
      ? "\(SnapshotName(image: source.image, number: store.refs.nextNumber(of: source.image)))"
      : snapshot?.name ?? source.image.text
    return PackPlan(
      image: source.image.text, snapshot: name, needsSnapshot: needsSnapshot,
      method: request.method, codec: request.codec, destination: destination.text,
      mode: destination.mode.bits, replacedBytes: replaced.map { UInt64(clamping: $0.size) },
      changesLiveTree: request.changesLiveTree,
      remarks: PackDestinations(context).conflictingImages(destination),
      refusal: refusal, seconds: monotonicSeconds() - start)
  }

  /// Checks that a snapshot, or the live tree that would be recorded as one, can be packed.
  private func requirePackable(
    _ source: PackInput, _ snapshot: CommittedSnapshot?, _ request: PackRequest,
    needsSnapshot: Bool
  ) throws {
    let store = try context.store()
    if let tree = source.tree {
      if !source.definition.isDirectory,
        try ImageCapturer(context).statLive(tree)?.kind != .directory
      {
        throw PackSources(context).noRootTree(
          source.definition, in: source.directory, hint: "Check that its file system is mounted")
      }
      try store.layout.requireWritable("the history of \(source.image)")
      try DirectoryLocker(context).expectDirectoriesFree(
        source.image,
        [tree] + ImageCapturer(context).requests(source.definition, latest: nil).all.map(\.path))
    }
    if needsSnapshot {
      let plan = try SnapshotPlanner(context).planSnapshot(
        source.image.text, tags: [], .skipIfUnchanged)
      if let refusal = plan.refusal { throw refusal }
    }
    guard let snapshot, !needsSnapshot || source.tree == nil else { return }
    let top = try PackSources(context).rootTree(
      of: snapshot, source.definition, in: source.directory)
    if request.changesLiveTree {
      try ImagePacker(context).requireNoStatelite(
        EditableTree(top, in: OverlayTree(store, modified: snapshot.snapshot.created)),
        source.image)
    }
  }
}
