// imgstore import: stores the images of a bundle as snapshots and makes them live.
//
//     bundle ─read once─▶ store ─▶ check everything ─▶ plan ─┬─ dry run: print it
//                                                            └─▶ safety snapshot ─▶ ref ─▶ files ─▶ rows
//
// 1. The whole bundle is checked before anything on the machine is changed.
// 2. A safety snapshot holds all files that would be overwritten, and notes the paths that do not exist. So a
//    revert to it removes everything that the import added, including directories and rows.
// 3. Large files are written once, while they are read, as files without a name (StagedBlobs). They get
//    their names when they are placed. If the import ends before that, the system deletes them.
// 4. Files are placed first, table rows are set last, all rows of an image in one step.

import Ingest
import OCI
import Platform
import Store
import XCAT

/// The outcome of an import, or of its dry run.
public struct ImportOutcome: Sendable {
  public let images: [ImportedImage]
  /// The signatures that the images have from the stores that exported them.
  public let origins: [OriginSignature]
  /// The number of bytes that were read from the bundle.
  public let bundleBytes: UInt64
  public let isDryRun: Bool
  /// The error that the import would end with, in a dry run; nil if it would not be refused.
  public let refusal: (any ExplainedError)?
  public let seconds: Double
}

extension Workspace {
  /// Imports a bundle.
  /// - Parameter report: receives each event when it happens.
  /// - Throws: `BundleError`, `XCATError`, `ImageError`, `StoreError`, `SystemError` before files are placed:
  ///   nothing outside the store has changed then. Later `InterruptedChangeError`, which advises how to
  ///   resume.
  public func importBundle(
    _ request: ImportRequest, report: @escaping (BundleEvent) -> Void = { _ in }
  ) throws -> ImportOutcome {
    try BundleImporter(context).importBundle(request, report: report)
  }
}

/// Imports bundles.
struct BundleImporter: Collaborator {
  let context: Context

  func importBundle(
    _ request: ImportRequest, report: @escaping (BundleEvent) -> Void = { _ in }
  ) throws -> ImportOutcome {
    let start = monotonicSeconds()
    Interruption.ignoreClosedPipes()
    if request.isDryRun, try context.storeIfPresent() == nil {
      return try ScratchStore(context).with {
        try BundleImporter($0).importBundle(request, report: report)
      }
    }
    let store = try context.store(create: true)
    let session = try store.beginSession()
    let staged = request.isDryRun ? nil : try stagedBlobs()
    let signatures = try ImportSignatures(context, request)
    let name = request.bundle
    let image = try namingBundle(name) { try readImage(request, into: session) }
    if let image, case .rootTree(let target) = image.destination {
      return try importTree(image, to: target, request, session, signatures, start)
    }
    let (bundled, bundleBytes) = try namingBundle(name) {
      let content =
        try image.map { ([try $0.bundled()], $0.sizeBytes) }
        ?? read(name, into: session, staging: staged, signatures.gate)
      try signatures.requireStatements(content.0)
      return content
    }
    let request = try resolvingDestination(request, bundled)
    let preparation = try ImportPreparation(context, request, session)
    let prepared = try namingBundle(name) { try preparation.prepare(bundled) }
    context.progress.begin("syncing")
    try session.finish()
    let origins = try bundled.flatMap {
      try signatures.check($0, store, install: preparation.targets.install)
    }

    let locks = try prepared.map(\.image).sorted { $0.text < $1.text }.map {
      try ImageLocks(context).lock($0, store, isDryRun: request.isDryRun, usesTree: true)
    }
    defer { withExtendedLifetime(locks) {} }
    let inspected = try prepared.map(preparation.inspect)
    let refusal = try refusal(of: inspected, preparation)
    var images: [ImportedImage] = []
    for (image, source) in zip(inspected, bundled) {
      report(.foundImage(name: image.image.text))
      images.append(
        try ImageImporter(context, preparation.targets, request).apply(image, staged, report) {
          committed in
          for line in signatures.keep(source, with: committed, store) {
            context.reporter.warn(line)
          }
        })
    }
    return ImportOutcome(
      images: images, origins: origins, bundleBytes: bundleBytes, isDryRun: request.isDryRun,
      refusal: refusal, seconds: monotonicSeconds() - start)
  }

  /// Reads an OCI or squashfs image into a session; returns nil if the request names a bundle.
  private func readImage(
    _ request: ImportRequest, into session: WriteSession
  ) throws -> DefinitionlessImage? {
    if let source = try ConfluentReader(context).file(request) {
      return try ConfluentReader(context).read(source, request, into: session)
    }
    guard let files = try OCIRecognition(context).files(request) else { return nil }
    return try OCIImageReader(context).read(files, request, into: session)
  }

  /// Checks whether the images may be placed. A dry run shows what the import would do with --force.
  private func refusal(
    of images: [PreparedImage], _ preparation: ImportPreparation
  ) throws -> (any ExplainedError)? {
    let isDryRun = preparation.request.isDryRun
    return try DryRunRefusal(context).refusal(isDryRun: isDryRun) {
      for image in images { try preparation.checkMayReplace(image) }
      for image in images where isDryRun {
        try DirectoryLocker(context).expectDirectoriesFree(
          image.image, image.components.compactMap { AbsolutePath($0.path) })
      }
    }
  }

  /// Imports a tree as the root tree of an image of xCAT.
  /// - Parameter session: protects the objects of the tree until a snapshot references them.
  private func importTree(
    _ source: DefinitionlessImage, to image: ImageName, _ request: ImportRequest,
    _ session: WriteSession, _ signatures: ImportSignatures, _ start: Double
  ) throws -> ImportOutcome {
    try namingBundle(request.bundle) { try signatures.requireStatements([source.bundled()]) }
    context.progress.begin("syncing")
    try session.finish()
    let (imported, refusal) = try withExtendedLifetime(session) {
      try RootTreeImporter(context, request).importTree(source, to: image)
    }
    return ImportOutcome(
      images: [imported], origins: [], bundleBytes: source.sizeBytes, isDryRun: request.isDryRun,
      refusal: refusal, seconds: monotonicSeconds() - start)
  }

  /// Runs `body`, which reads or examines the bundle, and adds the bundle's name to its errors.
  private func namingBundle<R>(_ path: String, _ body: () throws -> R) throws -> R {
    let bundle = "bundle \(path == "-" ? "on standard input" : printable(path.utf8))"
    do {
      return try body()
    } catch let error as BundleError {
      throw BundleError(
        error.errorCode, error.isWhole ? bundle : "\(bundle): \(error.subject)", error.reason,
        hint: error.hint, form: error.form)
    } catch let error as OCIError {
      throw ImageError(
        error.errorCode, "\(bundle): \(error.subject)", error.reason, hint: error.hint,
        form: error.form)
    } catch let error as SystemError where error.path.isEmpty {
      throw ImageError(bundle, passing: error)
    }
  }

  /// Returns the request with the destination of an image that is a directory: an absolute path, or the path
  /// of the image if it is defined here already.
  /// - Throws: `ImageError` (`usage`) if a destination is given for several images.
  private func resolvingDestination(
    _ request: ImportRequest, _ bundled: [BundledImage]
  ) throws -> ImportRequest {
    var request = request
    if let directory = request.directory {
      guard bundled.count == 1 else {
        throw ImageError(
          .usage, "--to \(directory)",
          "is one directory, but the bundle has \(bundled.count) images",
          hint: "Nothing was imported. Import each image from its own bundle")
      }
      request.directory = try DirectoryImages(context).directoryPath(directory).text
    } else if bundled.count == 1, let manifest = try? Manifest.parse(bundled[0].manifest),
      let path = manifest.definition.directoryPath,
      try context.tables().definition(of: request.name ?? manifest.imageName)?.directoryPath == path
    {
      request.directory = path.text
    }
    return request
  }

  /// Returns staging for large files in the install directory, before their final paths are known; nil if the
  /// directory does not exist.
  private func stagedBlobs() throws -> StagedBlobs? {
    let install = try context.installDirectory(context.tables())
    guard try ImageCapturer(context).statLive(install)?.kind == .directory else { return nil }
    let location = try context.resolver.resolve(install)
    let directory = try context.fileSystem.openDirectory(at: location.directory.raw, location.name)
    return StagedBlobs(context.fileSystem, on: directory)
  }

  /// Reads a bundle into a session, and returns its images and its size in bytes.
  private func read(
    _ bundle: String, into session: WriteSession, staging: StagedBlobs?,
    _ gate: @escaping SignatureGate
  ) throws -> ([BundledImage], UInt64) {
    let fileSystem = context.fileSystem
    let file: Descriptor?
    if bundle == "-" {
      file = nil
    } else {
      do throws(SystemError) {
        file = try fileSystem.openFile(
          at: fileSystem.workingDirectory, Array(absolute(bundle).utf8), [.read])
      } catch {
        if error.isAbsent {
          throw ImageError.sentence(.notFound, "Cannot find \(absolute(bundle))")
        }
        throw error
      }
      if let file, try fileSystem.stat(file.raw).kind == .directory {
        throw ImageError(
          "bundle \(printable(bundle.utf8))", "is a directory, but a bundle is a file",
          hint:
            "Nothing was imported. Name the file that 'imgstore export' wrote; 'imgstore snapshot' "
            + "takes a directory as an image")
      }
    }
    context.progress.begin("importing", totalBytes: 0)
    let bytesRead = Monitor<UInt64>(0)
    let earlier = EarlierVersions(context)
    let images = try BundleReader(
      progress: context.progress, staging: staging, forecast: forecast(try context.store()),
      earlierTree: { (try? Manifest.parse($0)).flatMap { earlier.tree(for: $0) } },
      signatureGate: gate
    ).read(
      { target in
        let n = try fileSystem.read(file?.raw ?? 0, into: target)
        bytesRead.withLock { $0 += UInt64(n) }
        return n
      }, into: session)
    return (images, bytesRead.withLock { $0 })
  }

  /// Returns a predictor for the chunks of the bundle, based on the large files of the newest snapshots.
  private func forecast(_ store: ObjectStore) -> ChunkPredictor {
    // The prediction is optional, so snapshots that cannot be read are skipped.
    let images = (try? store.refs.images()) ?? []
    let newest = images.compactMap { try? store.refs.latestReadable(of: $0) }
      .sorted { $0.snapshot.created > $1.snapshot.created }
    return store.forecast(
      from: newest.lazy.flatMap(\.snapshot.components).compactMap { component in
        guard case .file(let blob, let size) = component.entry.content,
          size > UInt64(Chunker.maxBytes)
        else { return nil }
        return blob
      })
  }
}
