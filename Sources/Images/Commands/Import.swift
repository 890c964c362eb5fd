// imgstore import: a bundle becomes snapshots, and the snapshots become live.
//
//     bundle ─read once─▶ store ─▶ check everything ─▶ plan ─┬─ dry run: say it
//                                                            └─▶ safety snapshot ─▶ ref ─▶ files ─▶ rows
//
// 1. Everything in the bundle is checked before anything on the machine is touched.
// 2. What would be overwritten is in the store first, and so is what was not there: a revert to the
//    snapshot before removes what the import brought, folders and rows included.
// 3. Large files are written once, as they are read, without a name (StagedBlobs): they get one when
//    they are placed, and vanish when the import ends otherwise.
// 4. Files go first, table rows last, all rows of an image in one step.

import Ingest
import Platform
import Store
import XCAT

/// What an import did, or would do.
public struct ImportOutcome: Sendable {
  public let images: [ImportedImage]
  /// Who signed the images where they come from.
  public let origins: [OriginSignature]
  /// Bytes of the bundle that were read.
  public let bundleBytes: UInt64
  public let isDryRun: Bool
  public let seconds: Double
}

extension Workspace {
  /// Imports a bundle.
  /// - Parameter report: told what happens, as it happens.
  /// - Throws: `BundleError`, `XCATError`, `ImageError`, `StoreError`, `SystemError`. Until files are
  ///   being placed nothing outside the store has changed; afterwards the error says how to go on.
  public func importBundle(
    _ request: ImportRequest, report: @escaping (BundleEvent) -> Void = { _ in }
  ) throws -> ImportOutcome {
    let start = monotonicSeconds()
    Interruption.ignoreClosedPipes()
    if request.isDryRun, try storeIfPresent() == nil {
      return try withScratchStore { try $0.importBundle(request, report: report) }
    }
    let store = try store(create: true)
    let session = try store.beginSession()
    let staged = request.isDryRun ? nil : try stagedBlobs()
    let signatures = try ImportSignatures(self, request)
    let name = request.bundle
    let (bundled, bundleBytes) = try namingBundle(name) {
      let content = try read(name, into: session, staging: staged, signatures.gate)
      try signatures.requireStatements(content.0)
      return content
    }
    let request = try placed(request, bundled)
    let preparation = try ImportPreparation(self, request, session)
    let prepared = try namingBundle(name) { try preparation.prepare(bundled) }
    progress.begin("syncing")
    try session.finish()
    let origins = try bundled.flatMap {
      try signatures.check($0, store, install: preparation.targets.install)
    }

    let locks = try prepared.map(\.image).sorted { $0.text < $1.text }.map { try lock($0, store) }
    defer { withExtendedLifetime(locks) {} }
    let inspected = try prepared.map(preparation.inspect)
    for image in inspected {
      do {
        try preparation.checkMayReplace(image)
      } catch let error as ImageError where request.isDryRun {
        // What it would do with --force is what a dry run is asked for.
        tell("without --force the import is refused: \(error.statement)")
      }
    }
    var images: [ImportedImage] = []
    for (image, source) in zip(inspected, bundled) {
      report(.foundImage(name: image.image.text))
      images.append(
        try apply(image, preparation.targets, request, staged, report) { committed in
          for line in signatures.keep(source, with: committed, store) { tell(line) }
        })
    }
    return ImportOutcome(
      images: images, origins: origins, bundleBytes: bundleBytes, isDryRun: request.isDryRun,
      seconds: monotonicSeconds() - start)
  }

  /// Runs `body`, which reads a bundle or looks at what it holds; its errors name the bundle.
  private func namingBundle<R>(_ path: String, _ body: () throws -> R) throws -> R {
    let bundle = "bundle \(path == "-" ? "on standard input" : printable(path.utf8))"
    do {
      return try body()
    } catch let error as BundleError {
      let isWhole = ["the bundle", "the archive"].contains(error.object)
      throw BundleError(
        isWhole ? bundle : "\(bundle): \(error.object)", error.finding, advice: error.advice)
    } catch let error as SystemError where error.path.isEmpty {
      throw ImageError(error.errorCode, bundle, error.finding, advice: error.advice)
    }
  }

  /// The request with the place of an image that is a directory and is here already: its tree goes there.
  private func placed(
    _ request: ImportRequest, _ bundled: [BundledImage]
  ) throws -> ImportRequest {
    var request = request
    if let directory = request.directory {
      guard bundled.count == 1 else {
        throw ImageError(
          .usage, "--to \(directory)",
          "is one directory, and the bundle holds \(bundled.count) images",
          advice: "Nothing was imported; import each from a bundle of its own")
      }
      request.directory = try directoryPath(directory).text
    } else if bundled.count == 1, let manifest = try? Manifest.parse(bundled[0].manifest),
      let path = manifest.definition.directoryPath,
      try tables().definition(of: request.name ?? manifest.imageName)?.directoryPath == path
    {
      request.directory = path.text
    }
    return request
  }

  /// Large files lie ready where images usually lie, before anything has been decided.
  private func stagedBlobs() throws -> StagedBlobs? {
    let install = try installDirectory(tables())
    guard try statLive(install)?.kind == .directory else { return nil }
    let place = try resolver.resolve(install)
    let directory = try fileSystem.openDirectory(at: place.directory.raw, place.name)
    return StagedBlobs(fileSystem, on: directory)
  }

  private func read(
    _ bundle: String, into session: WriteSession, staging: StagedBlobs?,
    _ gate: @escaping SignatureGate
  ) throws -> ([BundledImage], UInt64) {
    let fileSystem = fileSystem
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
          "bundle \(printable(bundle.utf8))", "is a directory, where a bundle is a file",
          advice:
            "Nothing was imported; name the file that 'imgstore export' wrote. 'imgstore snapshot' "
            + "takes a directory as an image")
      }
    }
    progress.begin("importing", totalBytes: 0)
    let taken = Monitor<UInt64>(0)
    let images = try BundleReader(
      progress: progress, staging: staging, forecast: forecast(try store()), signatureGate: gate
    ).read(
      { target in
        let n = try fileSystem.read(file?.raw ?? 0, into: target)
        taken.withLock { $0 += UInt64(n) }
        return n
      }, into: session)
    return (images, taken.withLock { $0 })
  }

  /// What a bundle may resemble: the large files of the images' newest snapshots.
  private func forecast(_ store: ObjectStore) -> ChunkPredictor {
    // A guess: what cannot be read, or has just been forgotten, foretells nothing.
    let images = (try? store.refs.images()) ?? []
    let newest = images.compactMap { try? store.refs.latestReadable(of: $0) }
      .sorted { $0.snapshot.created > $1.snapshot.created }
    return store.forecast(
      from: newest.lazy.flatMap(\.snapshot.pieces).compactMap { piece in
        guard case .file(let blob, let size) = piece.entry.content,
          size > UInt64(Chunker.maxBytes)
        else { return nil }
        return blob
      })
  }
}
