// imgstore export --since, --have: writes a snapshot without the data that the receiver has. imgstore have: lists
// what a receiver has.
//
// 1. The file is complete or absent.
// 2. The receiver's snapshots decide what is omitted: those that the user names, or those in its list.

import Codec
import Platform
import Store
import Transfer

/// The parameters of a thin export.
public struct ThinExportRequest: Sendable {
  /// The image or snapshot; a name alone means the live image, which is snapshotted first if it changed.
  public var reference: String
  /// Snapshots of the same image that the receiver has.
  public var since: [String] = []
  /// The file that `imgstore have` wrote at the receiver.
  public var have: String?
  public var destination: BundleDestination = .file(nil)
  public var isDryRun = false

  /// Creates a request.
  public init(_ reference: String) { self.reference = reference }
}

/// The outcome of a thin export.
public struct ThinExportOutcome: Sendable {
  public let snapshot: CommittedSnapshot
  /// The snapshots that the receiver must have.
  public let bases: [NamedSnapshot]
  /// The path of the file; nil for standard output.
  public let destination: String?
  /// The size of the file; in a dry run the bytes of its data.
  public let sizeBytes: UInt64
  public let amount: TransferredAmount
  public let secrets: SecretReport
  public let isDryRun: Bool
  public let seconds: Double
}

extension Workspace {
  /// Writes a thin bundle.
  /// - Throws: `ImageError`, `TransferError`, `StoreError`, `SystemError`. No partial file remains.
  public func exportThin(_ request: ThinExportRequest) throws -> ThinExportOutcome {
    try ThinExporter(context).export(request)
  }

  /// Returns the list of what this store has of an image, for `export --have` on another machine.
  /// - Throws: `ImageError` (`imageNotFound`); `StoreError`.
  public func have(_ name: String) throws -> HaveList {
    let store = try context.store()
    return try HaveList(try ImageResolver(context).image(named: name), in: store)
  }
}

/// Writes thin bundles.
struct ThinExporter: Collaborator {
  let context: Context

  func export(_ request: ThinExportRequest) throws -> ThinExportOutcome {
    let start = monotonicSeconds()
    Interruption.ignoreClosedPipes()
    let have = try request.have.map { try haveList($0) }
    let snapshot = try BundleExporter(context).snapshotOrLive(
      Reference(request.reference), label: SnapshotLabel(.export, "for export"))
    let store = try context.store()
    let image = try ImageName(snapshot.snapshot.image)
    let source = LocalSource(store, name: "store \(printable(context.storePath))")
    var transferred = try source.snapshot(image, snapshot.number)
    transferred.remoteName = SnapshotName(image: image, number: snapshot.number)
    let (bases, required) = try bases(request, have, image, snapshot)
    let host = snapshot.snapshot.provenance(.host) ?? ""
    let manifest = ThinBundleManifest(
      image: image,
      snapshot: NamedSnapshot(
        number: snapshot.number, id: snapshot.id, created: snapshot.snapshot.created),
      bases: required, host: host)
    var amount = TransferredAmount()
    let baseSnapshots = bases.map(\.snapshot)
    let known =
      try have?.objects ?? baseSnapshots.last.map { try HaveList.objects(of: $0, in: store) } ?? []
    func compose(_ put: @escaping ([UInt8]) throws -> Void) throws -> UInt64 {
      let writer = try ThinBundleWriter(manifest, transferred, known: known, write: put)
      let transfer = SnapshotTransfer(
        from: source, to: writer, baseStore: store, progress: context.progress)
      amount = try transfer.send(try transfer.missing(transferred.snapshot, bases: baseSnapshots))
      _ = try writer.commit(transferred, bases: [])
      return writer.writtenBytes
    }
    let (sizeBytes, path) = try write(request, snapshot, required, compose)
    return ThinExportOutcome(
      snapshot: snapshot, bases: required, destination: path, sizeBytes: sizeBytes, amount: amount,
      secrets: try SecretReporter(context).secretReport(of: snapshot.snapshot),
      isDryRun: request.isDryRun, seconds: monotonicSeconds() - start)
  }

  /// Writes the file to its place.
  private func write(
    _ request: ThinExportRequest, _ snapshot: CommittedSnapshot, _ bases: [NamedSnapshot],
    _ body: (@escaping ([UInt8]) throws -> Void) throws -> UInt64
  ) throws -> (sizeBytes: UInt64, path: String?) {
    if request.isDryRun { return (try body { _ in }, nil) }
    guard case .file(let text) = request.destination else {
      return (try write(to: .open(1), body), nil)
    }
    let since = bases.last.map { "-since-\($0.number)" } ?? ""
    let name = "\(snapshot.snapshot.image)@\(snapshot.number)\(since).thin.tar"
    let object = "destination \(text ?? name)"
    let location = try OutputLocator(context).outputLocation(text ?? name, named: name, object)
    try StoreProtection(context).requireOutsideStore(location.resolved.directory, object)
    try StoreProtection(context).requireOutside(
      snapshot.snapshot.requests.map(\.path), location.resolved, object)
    let output = try OutputFile(
      context.fileSystem, in: location.resolved.directory, named: location.resolved.name)
    let size = try write(to: .newFile(output.file), body)
    try output.publish()
    return (size, location.path.text)
  }

  private func write(
    to target: BackgroundWriter.Target,
    _ body: (@escaping ([UInt8]) throws -> Void) throws -> UInt64
  ) throws -> UInt64 {
    let stream = BackgroundWriter(context.fileSystem, target)
    let size = try body { bytes in try bytes.withUnsafeBytes { try stream.write($0) } }
    try stream.finish()
    return size
  }

  /// Returns the snapshots to compare with, and the names of those that the receiver must have.
  private func bases(
    _ request: ThinExportRequest, _ have: HaveList?, _ image: ImageName,
    _ snapshot: CommittedSnapshot
  ) throws -> (bases: [BaseSnapshot], required: [NamedSnapshot]) {
    var bases: [BaseSnapshot] = []
    var required: [NamedSnapshot] = []
    for text in request.since {
      let base = try SnapshotResolver(context).find(Reference(text))
      guard base.snapshot.image == image.text else {
        throw ImageError(
          .usage, "--since \(text)", "is not a snapshot of \(image)",
          hint: "Name a snapshot of \(image) that the receiver has")
      }
      bases.append(BaseSnapshot(id: base.id, snapshot: base.snapshot))
      required.append(
        NamedSnapshot(number: base.number, id: base.id, created: base.snapshot.created))
    }
    guard let have else { return (bases, required) }
    guard have.image == image else {
      throw ImageError(
        .usage, "--have", "lists snapshots of \(have.image), not of \(image)",
        hint: "Run 'imgstore have \(image)' on the receiving machine")
    }
    let store = try context.store()
    let theirs = Dictionary(have.snapshots.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
    let common = try store.refs.ids(of: image).filter { theirs[$0.id] != nil }
    let nearest = common.last { $0.number <= snapshot.number } ?? common.first
    for item in [nearest, common.last].compactMap(\.self)
    where !bases.contains(where: { $0.id == item.id }) {
      guard let found = try store.refs.readIfPresent(image, item.number),
        let named = theirs[item.id]
      else { continue }
      bases.append(BaseSnapshot(id: found.id, snapshot: found.snapshot))
      required.append(named)
    }
    // The objects in the list are those of the receiver's latest snapshot.
    if !have.objects.isEmpty, let last = have.snapshots.last,
      !required.contains(where: { $0.id == last.id })
    {
      required.append(last)
    }
    return (bases, required)
  }

  private func haveList(_ path: String) throws -> HaveList {
    let name = "list \(printable(path.utf8))"
    let file = try context.fileSystem.openFile(
      at: context.fileSystem.workingDirectory, Array(absolute(path).utf8), [.read, .nonBlocking])
    let stat = try context.fileSystem.stat(file.raw)
    guard stat.kind == .file, stat.size <= UInt64(HaveList.maxBytes) else {
      throw ImageError(
        .bundleInvalid, name, "is not a list of 'imgstore have'",
        hint: "Write it with 'imgstore have IMAGE > FILE' on the receiving machine")
    }
    var bytes = [UInt8](repeating: 0, count: Int(stat.size))
    let count = try bytes.withUnsafeMutableBytes { (buffer) throws(SystemError) in
      try context.fileSystem.readFully(file.raw, at: 0, into: buffer)
    }
    return try HaveList(decoding: Array(bytes[..<count]), name: name)
  }
}
