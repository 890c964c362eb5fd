// Renders the boot files of snapshots: the bytes that `pack` and `export` write for the same snapshot.
//
// 1. Only the store and the management node's data are read. No lock of an image is taken, and a store that cannot
//    be written is enough.
// 2. The content of a stored file is compared with its id.

import Codec
import Platform
import Render
import Store
import XCAT

extension Workspace {
  /// Renders a boot file.
  /// - Parameter threads: the number of compressing threads.
  /// - Throws: as `pack` and `export`; errors of the output.
  public func render(
    _ file: BootFile, of snapshot: CommittedSnapshot, to output: BootFileOutput,
    threads: Int = processorCount
  ) throws {
    try BootFileRenderer(context).render(file, of: snapshot, to: output, threads: threads)
  }

  /// Returns the key of a boot file's content: equal keys mean equal bytes.
  /// - Throws: errors of reading the store and the management node's files.
  public func renderingKey(
    of file: BootFile, in snapshot: CommittedSnapshot
  ) throws -> RenderingKey {
    try RenderingKeys(context).key(of: file, in: snapshot)
  }
}

/// Renders boot files.
struct BootFileRenderer: Collaborator {
  let context: Context

  func render(
    _ file: BootFile, of snapshot: CommittedSnapshot, to output: BootFileOutput, threads: Int
  ) throws {
    switch file.source {
    case .stored(let entry): try writeStored(entry, file.name, to: output)
    case .packed(let method, let codec):
      var request = PackRequest(snapshot.name)
      (request.method, request.codec, request.threads) = (method, codec, threads)
      try pack(request, snapshot, to: output)
    case .manifest:
      let layout = try bundle(snapshot).layout
      try layout.manifest.render().withUnsafeBytes { try output.write($0) }
      try output.publish()
    case .bundle: try writeBundle(snapshot, to: output, threads: threads)
    }
  }

  private func writeStored(
    _ entry: Entry, _ name: String, to output: BootFileOutput
  ) throws {
    guard case .file(let blob, let size) = entry.content else { return }
    context.progress.begin("reading \(name)", totalBytes: size)
    try context.store().read(blob, sizeBytes: size) { _, bytes in try output.write(bytes) }
    try output.publish()
    guard try output.digest() == blob else {
      throw ImageError(
        .damaged, "boot file \(name)", "does not have the content that the snapshot names",
        hint: "Run 'imgstore verify'")
    }
  }

  private func pack(
    _ request: PackRequest, _ snapshot: CommittedSnapshot, to output: BootFileOutput
  ) throws {
    let store = try context.store()
    let source = try PackSources(context).input(of: snapshot)
    let top = try PackSources(context).rootTree(
      of: snapshot, source.definition, in: source.directory)
    let preparation = try TreePreparation(context, source, top, of: snapshot, request)
    let edits = try preparation.edits(
      syncfiles: preparation.wantsSyncfiles ? .memory(store) : nil)
    let list = try ImagePacker(context).excludeList(
      source, leavesOut: !preparation.isPlain
    ).addingIncludes(edits.includes)
    _ = try PackRendering(
      context: context, store: store, tree: edits.tree, list: list, created: preparation.created,
      request: request
    ).write(to: output)
    // `which` finds the snapshot of a node by it.
    if !store.layout.isReadOnly, snapshot.remote == nil {
      ImagePacker(context).recordBuild(edits.tree, snapshot)
    }
  }

  private func writeBundle(
    _ snapshot: CommittedSnapshot, to output: BootFileOutput, threads: Int
  ) throws {
    let store = try context.store()
    let (collection, layout) = try bundle(snapshot)
    let contents = try BundleContents(
      context, snapshot, collection, layout, try collection.rendered(layout) { _ in },
      ExportRequest(snapshot.name))
    try contents.write(
      with: BundleWriter(
        store, progress: context.progress, cache: context.segmentCache(store),
        threads: threads),
      to: { try output.write($0) })
    try output.publish()
  }

  /// Returns the parts of the snapshot's bundle.
  /// - Throws: `ImageError` (`pathNotFound`) if the image lacks a file that every bundle of its kind has.
  func bundle(
    _ snapshot: CommittedSnapshot
  ) throws -> (collection: ExportCollection, layout: ExportLayout) {
    let store = try context.store()
    let collection = try ExportCollection(
      context, snapshot, ExportRequest(snapshot.name), store, context.segmentCache(store))
    do throws(XCATError) {
      return (collection, try collection.layout())
    } catch {
      throw ImageError(
        .pathNotFound, "bundle of \(snapshot.name)", "is not available: \(error.reason)",
        hint: error.hint)
    }
  }
}
