// imgstore import of a thin bundle: adds its snapshot to the history of the image, and with --force reverts the
// live image to it.
//
// 1. Nothing is read from the file beyond its description unless this store has the snapshots that it builds on.
// 2. Everything that arrives is verified before the ref is created, as in a pull.

import Archive
import Codec
import Platform
import Store
import Transfer

/// The outcome of an import of a thin bundle.
public struct ThinImportOutcome: Sendable {
  public let manifest: ThinBundleManifest
  /// The snapshot in this store; nil in a dry run that would add it.
  public let snapshot: SnapshotName?
  /// Whether the store lacked the snapshot.
  public let isNew: Bool
  public let bytes: UInt64
  /// The revert of the live image; nil without `--force`.
  public let applied: RevertOutcome?
  public let isDryRun: Bool
  public let seconds: Double
}

extension Workspace {
  /// Imports a thin bundle; returns nil if the file is something else.
  /// - Throws: `TransferError`: `bundleInvalid`; `baseMissing` if this store lacks a snapshot that the bundle
  ///   builds on; errors of `revert`.
  public func importThin(_ request: ImportRequest) throws -> ThinImportOutcome? {
    try ThinImporter(context).importBundle(request)
  }
}

/// Imports thin bundles.
struct ThinImporter: Collaborator {
  let context: Context

  func importBundle(_ request: ImportRequest) throws -> ThinImportOutcome? {
    guard request.form == .automatic, request.bundle != "-" else { return nil }
    let path = Array(absolute(request.bundle).utf8)
    let fileSystem = context.fileSystem
    // The reader of bundles reports what cannot be examined.
    guard
      let kind = try? fileSystem.statIfPresent(
        at: fileSystem.workingDirectory, path, followLink: true)?.kind, kind == .file,
      let file = try? fileSystem.openFile(at: fileSystem.workingDirectory, path, [.read]),
      ThinBundleReader.recognizes(tar(file))
    else { return nil }
    let start = monotonicSeconds()
    Interruption.ignoreClosedPipes()
    let name = "thin bundle \(printable(request.bundle.utf8))"
    try refuseOptions(request)
    let reader = try ThinBundleReader(tar(file), name: name)
    let store = try context.store()
    let image = reader.manifest.image
    let known = try store.refs.ids(of: image)
    let own = known.last { $0.id == reader.snapshot.id }
    if own == nil { try requireBases(reader.manifest, known.map(\.id), name) }
    var number = own?.number
    var bytes: UInt64 = 0
    if own == nil {
      let record = OriginTemplate(
        remote: "bundle", url: printable(path), user: CallerIdentity.text(fileSystem),
        time: context.now())
      let session = try LocalSink(
        store, name: "store \(printable(context.storePath))", origin: name,
        lockWait: context.lockWait, record: record
      ).begin()
      defer { session.end() }
      context.progress.begin("reading")
      try reader.frames { frame in
        if !request.isDryRun { try session.append(frame) }
        bytes += UInt64(frame.bytes.count)
        context.progress.add(bytes: UInt64(frame.bytes.count))
      }
      if !request.isDryRun {
        var snapshot = reader.snapshot
        snapshot.remoteName = SnapshotName(image: image, number: reader.manifest.snapshot.number)
        number = try session.commit(snapshot, bases: reader.manifest.bases.map(\.id))
      }
    }
    let committed = number.map { SnapshotName(image: image, number: $0) }
    let applied =
      request.replaces ? try committed.map { try apply($0, request) } : nil
    return ThinImportOutcome(
      manifest: reader.manifest, snapshot: committed, isNew: own == nil, bytes: bytes,
      applied: applied, isDryRun: request.isDryRun, seconds: monotonicSeconds() - start)
  }

  private func apply(_ snapshot: SnapshotName, _ request: ImportRequest) throws -> RevertOutcome {
    var revert = RevertRequest("\(snapshot)")
    revert.allowed = request.allowed
    revert.isDryRun = request.isDryRun
    revert.trust.allowsPrivileged = request.allowsPrivileged
    revert.trust.allowsUnsafeValues = request.allowsUnsafeValues
    return try ImageReverter(context).revert(revert)
  }

  private func tar(_ file: Descriptor) -> TarReader {
    let fileSystem = context.fileSystem
    var offset: UInt64 = 0
    return TarReader { target in
      let n = try fileSystem.readFully(file.raw, at: offset, into: target)
      offset += UInt64(n)
      return n
    }
  }

  /// Refuses options that would place the image elsewhere: the snapshot keeps its id, and so its paths.
  private func refuseOptions(_ request: ImportRequest) throws {
    let given = [
      ("--profile", request.profile), ("--name", request.name), ("--to", request.directory),
      ("--postscripts", request.nodes),
    ].filter { $0.1 != nil }.map(\.0)
    guard let option = given.first else { return }
    throw ImageError(
      .usage, option, "does not go with a thin bundle, whose snapshot keeps its place and its id",
      hint: "Import it without \(option), then copy the snapshot with 'imgstore copy'")
  }

  private func requireBases(
    _ manifest: ThinBundleManifest, _ known: [Digest], _ name: String
  ) throws {
    let missing = manifest.bases.filter { !known.contains($0.id) }
    guard let first = missing.first else { return }
    throw TransferError(
      .baseMissing, name,
      "builds on \(manifest.image)@\(first.number) of \(printable(manifest.host.utf8)) (\(first.id.shortHex)), "
        + "which this store does not have",
      hint: "Run 'imgstore have \(manifest.image) > FILE' here, and export with '--have FILE' there"
    )
  }
}
