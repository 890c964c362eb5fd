// imgstore export: a snapshot becomes the bundle that stock xCAT reads.
//
//     live image ─changed?─▶ snapshot ─┐
//     extras, closure ─capture─────────┴─▶ layout ─▶ render ─▶ file beside, synced, renamed
//
// 1. A bundle is there whole, or not at all. What it must have is looked for before a snapshot is taken, and all
//    that is missing is named at once.
// 2. What xCAT's export leaves out, and the image needs to be generated again, is named; a complete
//    export takes it along.

import Codec
import Ingest
import Platform
import Render
import Store
import XCAT

/// What an export did, or would do.
public struct ExportOutcome: Sendable {
  public let snapshot: CommittedSnapshot
  /// The file; nil for standard output, or in a dry run to it.
  public let destination: String?
  public let sizeBytes: UInt64
  public let contentBytes: UInt64
  /// What the bundle holds: the name inside, and the path that it comes from.
  public let members: [(name: String, path: String)]
  /// What the snapshot, or an extra, does not have, and so the bundle neither.
  public let gaps: [Snapshot.Note]
  /// What the image needs to be generated again, and the bundle has not.
  public let missing: [MissingFile]
  public let remarks: [String]
  /// The secrets that the bundle carries or, scrubbed, does not.
  public let secrets: SecretReport
  public let isDryRun: Bool
  public let seconds: Double
}

/// A file that an image needs elsewhere, and a bundle lacks.
public struct MissingFile: Sendable, Equatable {
  public let path: String
  public let why: String
}

extension Workspace {
  /// Writes the bundle of a snapshot.
  /// - Parameter report: told what happens, as it happens.
  /// - Throws: `XCATError` where the image lacks what a bundle must have; nothing is left behind.
  public func export(
    _ request: ExportRequest, report: @escaping (BundleEvent) -> Void = { _ in }
  ) throws -> ExportOutcome {
    let start = monotonicSeconds()
    try request.requireFittingName()
    let store = try store(create: true)
    let cache = SegmentCache(store.layout)
    let snapshot = try snapshotOrLive(
      Reference(request.reference), message: "for export", command: "export"
    ) { candidate in
      let transient = CommittedSnapshot(number: 0, id: candidate.id, snapshot: candidate)
      let collection = try ExportCollection(self, transient, request, store, cache)
      _ = try ExportLayout(collection.contents, installDirectory: collection.install)
    }
    var collection = try ExportCollection(self, snapshot, request, store, cache)
    var layout = try ExportLayout(collection.contents, installDirectory: collection.install)
    let scan = SecretScan(store, progress: progress)
    scan.rootTree = snapshot.snapshot.pieces.rootTree?.entry
    let secrets = try BundleSecrets(collection, layout, scan)
    scan.finish()
    if request.scrubs {
      try secrets.requireScrubbable()
      collection.scrub(secrets, scan)
      layout = try ExportLayout(collection.contents, installDirectory: collection.install)
    }
    if snapshot.snapshot.definition.linuximage["template"] == nil,
      let template = layout.manifest.linuximage["template"]
    {
      report(.foundTemplate(path: template))
    }
    let destination = try destination(request, layout, snapshot)
    var files = try collection.rendered(layout, report)
    if request.scrubs { files = try secrets.scrubbed(files, scan, self) }
    let manifest = try layout.manifest.render()
    try ExportCheck(layout, files).run(
      manifest: Array(manifest), install: collection.install)
    let signatures = try ExportSignatures(
      self, snapshot, collection.view(layout, manifest, files, snapshot),
      install: collection.install, isScrubbed: request.scrubs, key: request.signingKey)
    let members = (files + signatures.files).map { ($0.name, $0.path) }
    let contentBytes = files.reduce(0) { $0 &+ $1.file.sizeBytes }
    let carried = secrets.report(isScrubbed: request.scrubs)

    func outcome(_ path: String?, _ sizeBytes: UInt64) -> ExportOutcome {
      ExportOutcome(
        snapshot: snapshot, destination: path, sizeBytes: sizeBytes, contentBytes: contentBytes,
        members: members, gaps: snapshot.snapshot.gaps() + collection.gaps,
        missing: collection.missing,
        remarks: collection.remarks + signatures.remarks
          + ExportCheck.remarks(
            layout.manifest, contentBytes: contentBytes,
            sizeBytes: sizeBytes == 0 ? contentBytes : sizeBytes),
        secrets: carried, isDryRun: request.isDryRun,
        seconds: monotonicSeconds() - start)
    }
    let path = destination?.path.text
    if request.isDryRun { return outcome(path, 0) }
    report(.writing(image: snapshot.snapshot.image))
    let written = try write(destination) { sink in
      try BundleWriter(store, progress: progress, cache: cache).write(
        folder: layout.folder, manifest: manifest, files: files.map(\.file),
        modified: snapshot.snapshot.created, leading: signatures.files.map(\.file), to: sink)
    }
    return outcome(path, written)
  }

  /// The snapshot that a reference means: of a bare name the live image, taken now where it changed.
  func snapshotOrLive(
    _ reference: Reference, message: String, command: String,
    checking: ((Snapshot) throws -> Void)? = nil
  ) throws -> CommittedSnapshot {
    guard reference.selector == .latest || reference.selector == .live, !reference.image.isEmpty
    else { return try find(reference) }
    if try !isDefined(reference.image), let found = try find(idOrName: reference.image) {
      return found
    }
    let image = try image(named: reference.image)
    guard let definition = try tables().definition(of: image.text) else {
      return try find(Reference(image.text))
    }
    let store = try store(create: true)
    if store.layout.isReadOnly {
      // Nothing can be stored: the latest snapshot stands for the live image if it is the same.
      let latest = try find(reference)
      guard try diffLive(latest).diff.isEmpty else {
        throw ImageError(
          "image \(image)", "differs from \(latest.name), and the store is read-only here",
          advice: "Name a snapshot, for example \(latest.name)")
      }
      return latest
    }
    let lock = try lock(image, store)
    let folders = try lockFolders(image, definition, for: .reads)
    defer { withExtendedLifetime((lock, folders)) {} }
    return try commitLive(
      image, definition, skipIfUnchanged: true, checking: checking, message: message,
      command: command
    ).committed
  }

  // MARK: Writing

  /// - Returns: nil for standard output.
  private func destination(
    _ request: ExportRequest, _ layout: ExportLayout, _ snapshot: CommittedSnapshot
  ) throws -> OutputPlace? {
    guard case .file(let wanted) = request.destination else { return nil }
    // The number: another snapshot's bundle is another file.
    let name = "\(layout.folder)@\(snapshot.number).tgz"
    let object = "destination \(wanted ?? name)"
    let place = try outputPlace(wanted ?? name, named: name, object)
    try requireOutsideStore(place.resolved.directory, object)
    try requireOutside(snapshot.snapshot.requests.map(\.path), place.resolved, object)
    return place
  }

  /// - Parameter place: nil for standard output.
  private func write(
    _ place: OutputPlace?,
    _ render: (@escaping (UnsafeRawBufferPointer) throws -> Void) throws -> Void
  ) throws -> UInt64 {
    func renderAll(to target: BackgroundWriter.Target) throws -> UInt64 {
      let stream = BackgroundWriter(fileSystem, target)
      try render { try stream.write($0) }
      try stream.finish()
      return stream.countBytes
    }
    guard let place else { return try renderAll(to: .open(1)) }
    let output = try OutputFile(
      fileSystem, in: place.resolved.directory, named: place.resolved.name)
    let count = try renderAll(to: .newFile(output.file))
    try output.publish()
    return count
  }
}
