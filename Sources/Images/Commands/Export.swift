// imgstore export: writes a snapshot as a bundle that stock xCAT can read.
//
//     live image ─changed?─▶ snapshot ─────┐
//     extras, dependencies ─capture────────┴─▶ layout ─▶ render ─▶ temporary file, synced, renamed
//
// 1. A bundle is written completely or not at all. Required files are checked before a snapshot is taken, and
//    all missing ones are reported at once.
// 2. xCAT's export leaves out files that are needed to generate the image again. They are reported, and a
//    complete export includes them.

import Platform
import Render
import Store
import XCAT

/// The outcome of an export, or of its dry run.
public struct ExportOutcome: Sendable {
  /// The exported snapshot.
  public let snapshot: CommittedSnapshot
  /// The path of the bundle; nil for standard output.
  public let destination: String?
  /// The size of the bundle; 0 in a dry run.
  public let sizeBytes: UInt64
  /// The size of the files in the bundle.
  public let contentBytes: UInt64
  /// The members of the bundle: the name inside, and the path of the source.
  public let members: [(name: String, path: String)]
  /// The parts that the snapshot or an extra lacks, and so the bundle, too.
  public let gaps: [Snapshot.Note]
  /// The files that are needed to generate the image again, and that the bundle lacks.
  public let missing: [MissingFile]
  public let remarks: [String]
  /// The secrets in the bundle or, after scrubbing, the removed ones.
  public let secrets: SecretReport
  public let isDryRun: Bool
  public let seconds: Double
}

/// A file that the image needs and the bundle lacks.
public struct MissingFile: Sendable, Equatable {
  public let path: String
  /// The reason why the image needs the file, or why it is missing.
  public let reason: String
}

extension Workspace {
  /// Writes the bundle of a snapshot.
  /// - Parameter report: receives each event when it happens.
  /// - Throws: `XCATError` if the image lacks required files, and other errors. No partial file remains.
  public func export(
    _ request: ExportRequest, report: @escaping (BundleEvent) -> Void = { _ in }
  ) throws -> ExportOutcome {
    try BundleExporter(context).export(request, report: report)
  }
}

/// Exports bundles.
struct BundleExporter: Collaborator {
  let context: Context

  func export(
    _ request: ExportRequest, report: @escaping (BundleEvent) -> Void = { _ in }
  ) throws -> ExportOutcome {
    let start = monotonicSeconds()
    try request.requireFittingName()
    let store = try context.store(create: true)
    let cache = SegmentCache(store.layout)
    let snapshot = try snapshotOrLive(
      Reference(request.reference), label: SnapshotLabel(.export, "for export")
    ) {
      let transient = CommittedSnapshot(number: 0, id: $0.id, snapshot: $0)
      _ = try ExportCollection(context, transient, request, store, cache).layout()
    }
    var collection = try ExportCollection(context, snapshot, request, store, cache)
    var layout = try collection.layout()
    let scan = SecretScan(store, progress: context.progress)
    scan.rootTree = snapshot.snapshot.components.rootTree?.entry
    let secrets = try BundleSecrets(collection, layout, scan)
    scan.finish()
    if request.scrubs {
      try secrets.requireScrubbable()
      collection.scrub(secrets, scan)
      layout = try collection.layout()
    }
    if snapshot.snapshot.definition.template == nil,
      let template = layout.manifest.template
    {
      report(.foundTemplate(path: template))
    }
    let destination = try destination(request, layout, snapshot)
    var files = try collection.rendered(layout, report)
    if request.scrubs { files = try secrets.scrubbed(files, scan, context) }
    let contents = try BundleContents(context, snapshot, collection, layout, files, request)
    let signatures = contents.signatures
    var writtenBytes: UInt64 = 0
    if !request.isDryRun {
      report(.writing(image: snapshot.snapshot.image))
      writtenBytes = try write(destination) { sink in
        try contents.write(
          with: BundleWriter(store, progress: context.progress, cache: cache), to: sink)
      }
    }
    let contentBytes = files.reduce(0) { $0 &+ $1.sizeBytes }
    return ExportOutcome(
      snapshot: snapshot, destination: destination?.path.text, sizeBytes: writtenBytes,
      contentBytes: contentBytes, members: (files + signatures.files).map { ($0.name, $0.path) },
      gaps: snapshot.snapshot.gaps() + collection.gaps, missing: collection.missing,
      remarks: collection.remarks + signatures.remarks
        + ExportCheck.remarks(
          layout.manifest, contentBytes: contentBytes,
          sizeBytes: writtenBytes == 0 ? contentBytes : writtenBytes),
      secrets: secrets.report(isScrubbed: request.scrubs), isDryRun: request.isDryRun,
      seconds: monotonicSeconds() - start)
  }

  /// Returns the snapshot that a reference means. A plain name means the live image, which is snapshotted if
  /// it has changed.
  /// - Parameter checking: receives the state before it is recorded, and throws if the command cannot use it.
  func snapshotOrLive(
    _ reference: Reference, label: SnapshotLabel,
    checking: ((Snapshot) throws -> Void)? = nil
  ) throws -> CommittedSnapshot {
    guard reference.selector == .latest || reference.selector == .live, !reference.image.isEmpty
    else { return try SnapshotResolver(context).find(reference, remotes: .readInPlace) }
    if try RemoteReader(context).remoteName(of: reference.image) != nil {
      return try SnapshotResolver(context).find(reference, remotes: .readInPlace)
    }
    if try context.tables().definition(of: reference.image) == nil,
      let snapshot = try SnapshotResolver(context).find(idOrName: reference.image)
    {
      return snapshot
    }
    let image = try ImageResolver(context).image(named: reference.image)
    guard let definition = try context.tables().definition(of: image.text) else {
      return try SnapshotResolver(context).find(Reference(image.text))
    }
    let store = try context.store(create: true)
    if store.layout.isReadOnly {
      // Nothing can be stored, so the latest snapshot must equal the live image.
      let latest = try SnapshotResolver(context).find(reference)
      guard try StatusReader(context).diffLive(latest).diff.isEmpty else {
        throw ImageError(
          .readOnly,
          "image \(image)", "differs from \(latest.name), and the store is read-only here",
          hint: "Name a snapshot, for example \(latest.name)")
      }
      return latest
    }
    let lock = try ImageLocks(context).lock(image, store, usesTree: true)
    let directories = try DirectoryLocker(context).lockDirectories(image, definition, for: .reads)
    defer { withExtendedLifetime((lock, directories)) {} }
    return try SnapshotTaker(context).commitLive(
      image, CaptureScope(definition, recipes: .existing),
      SnapshotRecord(label, skipIfUnchanged: true), checking: checking
    ).committed
  }

  // MARK: Writing

  /// Returns the path to write to, after checks; nil for standard output.
  private func destination(
    _ request: ExportRequest, _ layout: ExportLayout, _ snapshot: CommittedSnapshot
  ) throws -> OutputLocation? {
    guard case .file(let path) = request.destination else { return nil }
    // The number keeps bundles of different snapshots apart.
    let name = "\(layout.directory)@\(snapshot.number).tgz"
    let object = "destination \(path ?? name)"
    let output = try OutputLocator(context).outputLocation(path ?? name, named: name, object)
    try StoreProtection(context).requireOutsideStore(output.resolved.directory, object)
    try StoreProtection(context).requireOutside(
      snapshot.snapshot.requests.map(\.path), output.resolved, object)
    return output
  }

  /// Writes the rendered bytes, and returns their number.
  /// - Parameter destination: the file, which is replaced at the end; nil for standard output.
  private func write(
    _ destination: OutputLocation?,
    _ render: (@escaping (UnsafeRawBufferPointer) throws -> Void) throws -> Void
  ) throws -> UInt64 {
    func renderAll(to target: BackgroundWriter.Target) throws -> UInt64 {
      let stream = BackgroundWriter(context.fileSystem, target)
      try render { try stream.write($0) }
      try stream.finish()
      return stream.countBytes
    }
    guard let destination else { return try renderAll(to: .open(1)) }
    let output = try OutputFile(
      context.fileSystem, in: destination.resolved.directory, named: destination.resolved.name)
    let count = try renderAll(to: .newFile(output.file))
    try output.publish()
    return count
  }
}
