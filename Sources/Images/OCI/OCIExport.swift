// imgstore export --oci: writes snapshots of an image as an OCI image.
//
//     snapshots ─▶ trees ─▶ layers: entries ─▶ compressed, in files without a name ─▶ archive or layout
//
// 1. The same snapshots give the same bytes: times, order and names come from the snapshots.
// 2. The image is complete or absent: an archive gets its name at the end, and so does a layout directory.
// 3. The layer of a snapshot depends only on that snapshot and on the one below it. So a registry keeps the
//    layers of an earlier export if the list of snapshots only grew.

import Codec
import OCI
import Platform
import Render
import Store

extension Workspace {
  /// Writes an image of snapshots in the format of OCI.
  /// - Throws: `ImageError`, `StoreError`, `SystemError`; nothing remains of an incomplete image.
  public func exportOCI(_ request: OCIExportRequest) throws -> OCIExportOutcome {
    try OCIExporter(context).export(request)
  }
}

/// Exports OCI images.
struct OCIExporter: Collaborator {
  let context: Context
  /// The maximum number of layers. Docker mounts no image with more than 127.
  static let maxLayers = 120

  func export(_ request: OCIExportRequest) throws -> OCIExportOutcome {
    let start = monotonicSeconds()
    let store = try context.store(create: true)
    let snapshot = try BundleExporter(context).snapshotOrLive(
      Reference(request.reference), label: SnapshotLabel(.export, "for export"))
    let steps = try self.steps(request, snapshot)
    let trees = try OCITrees(context, steps, isScrubbed: request.scrubs)
    let description = try OCIDescription(steps, request)
    let output = try OCIOutput.locate(request, snapshot, context)
    let entries = try store.withReadTransaction {
      try trees.entries.enumerated().map { index, tree in
        try LayerEntryList(
          tree, over: index == 0 ? nil : trees.entries[index - 1], from: trees.view)
      }
    }
    let layers =
      request.isDryRun ? [] : try OCILayerRenderer(context, trees, request.codec).render(entries)
    let image = description.image(layers)
    if !request.isDryRun { try output.write(image, layers, snapshot.snapshot.created) }
    var outcomes: [OCILayerOutcome] = []
    for (index, list) in entries.enumerated() where !list.isEmpty {
      let layer = request.isDryRun ? nil : layers[index]
      outcomes.append(
        OCILayerOutcome(
          snapshot: steps[index].name, digest: layer?.blob.digest,
          sizeBytes: layer?.blob.sizeBytes ?? 0, contentBytes: list.contentBytes))
    }
    return OCIExportOutcome(
      snapshot: snapshot, destination: output.text, name: description.name,
      platform: description.platform.description,
      digest: request.isDryRun ? nil : image.manifest.digest,
      sizeBytes: request.isDryRun ? 0 : image.sizeBytes(layers), layers: outcomes,
      gaps: snapshot.snapshot.gaps(), remarks: OCIExporter.remarks(layers), secrets: trees.secrets,
      isDryRun: request.isDryRun, seconds: monotonicSeconds() - start)
  }

  /// Returns the snapshots that become layers, from the oldest.
  private func steps(
    _ request: OCIExportRequest, _ snapshot: CommittedSnapshot
  ) throws -> [CommittedSnapshot] {
    let refs = try context.store().refs
    let image = try ImageName(snapshot.snapshot.image)
    var steps: [CommittedSnapshot]
    switch request.layers {
    case .single: return [snapshot]
    case .history:
      steps = try refs.numbers(of: image).filter { $0 < snapshot.number }.map {
        try refs.read(image, $0)
      }
      // The state before the image existed.
      steps.removeAll { $0.snapshot.components.rootTree == nil }
    case .snapshots(let texts):
      steps = try texts.map { try SnapshotResolver(context).find(Reference("\(image)@\($0)")) }
      guard zip(steps, steps.dropFirst()).allSatisfy({ $0.number < $1.number }),
        steps.allSatisfy({ $0.number < snapshot.number })
      else {
        throw ImageError(
          .usage, "--layers", "does not name earlier snapshots in ascending order",
          hint: "Name snapshots from the oldest; \(snapshot.name) is always the last layer")
      }
    }
    guard steps.count < OCIExporter.maxLayers else {
      throw ImageError(
        .usage, "--layers \(request.layers == .history ? "history" : "LIST")",
        "would give \(steps.count + 1) layers, more than \(OCIExporter.maxLayers), which programs mount",
        hint: "Name some snapshots: --layers 3,7,12")
    }
    return steps + [snapshot]
  }

  private static func remarks(_ layers: [OCIRenderedLayer]) -> [String] {
    let sockets = layers.reduce(0) { $0 + $1.counts.skippedSockets }
    let filled = layers.reduce(0) { $0 + $1.counts.filledSparseFiles }
    return (sockets > 0 ? ["\(sockets) sockets are left out"] : [])
      + (filled > 0 ? ["the holes of \(filled) sparse files are written as zeros"] : [])
  }
}

/// The trees of an export, and the secrets in them.
struct OCITrees {
  /// Contains all trees.
  let view: OverlayTree
  let store: ObjectStore
  /// The top of each tree.
  private(set) var entries: [Entry] = []
  private(set) var secrets = SecretReport()

  /// Scans the trees of snapshots, and leaves secrets out on request.
  init(_ context: Context, _ steps: [CommittedSnapshot], isScrubbed: Bool) throws {
    store = try context.store()
    // A constant time, so that a layer does not depend on the export.
    view = OverlayTree(store, modified: steps[0].snapshot.created)
    let scan = SecretScan(store, progress: context.progress)
    defer { scan.finish() }
    var report = SecretReport()
    var seen: Set<[UInt8]> = []
    // From the newest: earlier states are in the image, too, whatever later layers remove.
    for step in steps.reversed() {
      guard let tree = step.snapshot.components.rootTree, tree.entry.kind == .directory else {
        throw ImageError(
          .filesMissing, step.name, "has no root tree, so there is nothing to export",
          hint: "'imgstore show \(step.name)' lists its files")
      }
      scan.rootTree = tree.entry
      let found = try scan.tree(tree.entry)
      report.isOfDirectory = step.snapshot.definition.isDirectory
      report.add(
        TreeSecrets(found: found.found.filter { !seen.contains($0.path) }), .tree, in: tree.path)
      seen.formUnion(found.found.map(\.path))
      let edited = isScrubbed ? try view.apply(found.edits, to: tree.entry) : tree.entry
      entries.insert(try view.regrouped(edited), at: 0)
    }
    report.sort()
    report.isScrubbed = isScrubbed
    secrets = report
  }
}

/// A layer in a file without a name.
struct OCIRenderedLayer {
  let blob: Spool
  /// The digest of the plain layer.
  let plainDigest: Digest
  let codec: SegmentCodec
  let counts: TreeArchiveCounts
  /// Whether the layer changes nothing, so that the image leaves it out.
  let isEmpty: Bool

  var descriptor: OCIDescriptor {
    OCIDescriptor(
      mediaType: OCIMediaType.layer + (codec == .zstd ? "+zstd" : "+gzip"), digest: blob.digest,
      sizeBytes: blob.sizeBytes)
  }
}

/// Renders layers.
struct OCILayerRenderer {
  private let context: Context
  private let trees: OCITrees
  private let codec: SegmentCodec

  init(_ context: Context, _ trees: OCITrees, _ codec: SegmentCodec) {
    self.context = context
    self.trees = trees
    self.codec = codec
  }

  func render(_ lists: [LayerEntryList]) throws -> [OCIRenderedLayer] {
    let store = trees.store
    let cache = SegmentCache(store.layout)
    let contentBytes = lists.reduce(UInt64(0)) { $0 &+ $1.contentBytes }
    context.progress.begin("exporting", totalBytes: contentBytes &* 2)
    return try lists.map { list in
      var counts = TreeArchiveCounts()
      let plainDigest = try list.plainDigest(context.progress)
      let renderer = SegmentRenderer(
        store, view: trees.view, cache: cache, codec: codec, progress: context.progress)
      let blob = try Spool(store) { sink in
        _ = try renderer.render(
          { body in
            let (trailer, written) = try list.forEach(body)
            counts = written
            return trailer
          }, to: sink)
      }
      return OCIRenderedLayer(
        blob: blob, plainDigest: plainDigest, codec: codec, counts: counts, isEmpty: list.isEmpty)
    }
  }
}
