// Export and import by request, over the verbs as they are. Deleted when those take requests.

import Platform
import Store
import XCAT

/// A file that the image needs and the bundle lacks.
public struct MissingFile: Sendable {
  public let path: String
  public let why: String
}

/// What an export did.
public struct ExportOutcome: Sendable {
  public let snapshot: CommittedSnapshot?
  /// The file; nil for standard output.
  public let destination: String?
  public let sizeBytes: UInt64
  public let contentBytes: UInt64
  public let members: [(name: String, path: String)]
  public let missing: [MissingFile]
  public let isDryRun: Bool
  public let seconds: Double
}

/// What an import did.
public struct ImportOutcome: Sendable {
  public let images: [ImportedImage]
  public let bundleBytes: UInt64
  public let isDryRun: Bool
  public let seconds: Double
}

/// An image of a bundle.
public struct ImportedImage: Sendable {
  public let name: String
  /// Nil for a dry run.
  public let imported: CommittedSnapshot?
  public let safety: CommittedSnapshot?
  public let replaced: Bool
  public let apply: ApplyOutcome
  public let remaining: ImageDiff?
  public let remarks: [String]
}

extension Workspace {
  public func export(
    _ request: ExportRequest, report: @escaping (BundleEvent) -> Void
  ) throws -> ExportOutcome {
    try refuse(!request.extras.isEmpty, "extra files")
    try refuse(request.postscriptsOf != nil, "script lists")
    try refuse(request.isComplete, "a complete export")
    try refuse(request.isDryRun, "a dry run of an export")
    let reference = try Reference(request.reference)
    if reference.selector == .latest, try isDefined(reference.image) {
      _ = try snapshot(reference.image)
    }
    let taken = try find(reference)
    let pieces = taken.snapshot.pieces.filter { $0.role != "rootimg/" && $0.entry.kind == .file }
    for piece in pieces { report(.collected(path: printable(piece.path))) }
    report(.writing(image: taken.snapshot.image))
    let destination: String? =
      switch request.destination {
      case .file(let path): path
      case .standardOutput: "-"
      }
    let outcome = try export(request.reference, to: destination)
    return ExportOutcome(
      snapshot: outcome.snapshot, destination: outcome.destination, sizeBytes: outcome.sizeBytes,
      contentBytes: outcome.contentBytes,
      members: pieces.map { piece in
        let path = printable(piece.path)
        return (name: path.split(separator: "/").last.map(String.init) ?? path, path: path)
      }, missing: [], isDryRun: false, seconds: outcome.seconds)
  }

  public func importBundle(
    _ request: ImportRequest, report: @escaping (BundleEvent) -> Void
  ) throws -> ImportOutcome {
    try refuse(request.nodes != nil, "script lists")
    try refuse(request.appendsPostscripts, "script lists")
    try refuse(request.keepsOriginals, "keeping originals")
    try refuse(request.mergesColumns, "merging columns")
    try refuse(!request.allowed.isEmpty, "writing elsewhere")
    try refuse(request.isDryRun, "a dry run of an import")
    let before = Set(try images().filter(\.isDefined).map(\.name))
    let outcome = try importBundle(
      request.bundle, profile: request.profile, name: request.name, force: request.replaces)
    let name = outcome.imported.snapshot.image
    report(.foundImage(name: name))
    for piece in outcome.imported.snapshot.pieces {
      report(.placing(path: printable(piece.path)))
    }
    report(.imported(image: name))
    return ImportOutcome(
      images: [
        ImportedImage(
          name: name, imported: outcome.imported, safety: outcome.safety,
          replaced: before.contains(name), apply: outcome.apply, remaining: outcome.remaining,
          remarks: [])
      ], bundleBytes: outcome.bundleBytes, isDryRun: false, seconds: outcome.seconds)
  }

  private func refuse(_ isAsked: Bool, _ what: String) throws {
    if isAsked { throw ImageError("this version", "cannot do \(what) yet") }
  }
}
