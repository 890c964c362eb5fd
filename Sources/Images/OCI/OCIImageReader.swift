// Reads an OCI image as one tree.
//
// 1. Each layer's digest and size are verified, and the digest of its plain bytes, before anything is
//    recorded. A mismatch is reported in place of the damage that it causes.
// 2. What the image runs, and where it comes from, are facts of the snapshot
//    (docs/format.md#provenance-and-facts).

import Codec
import Ingest
import OCI
import Platform
import Store
import XCAT

/// A fact about the OCI image that a snapshot's tree comes from.
enum OCIFact {
  /// The digest of the manifest.
  static let digest = "oci.digest"
  /// The name of the image in its index.
  static let reference = "oci.reference"
  /// The platform.
  static let platform = "oci.platform"
  /// What to run, and how: the member `config` of the configuration, as JSON.
  static let execution = "oci.config"
  /// The maximum size of the JSON. A larger one is left out, with a remark.
  static let maxExecutionBytes = 256 << 10
  /// All keys. They describe one import: the next one replaces them.
  static let keys: Set<String> = [digest, reference, platform, execution]
}

/// Reads OCI images for an import.
struct OCIImageReader: Collaborator {
  let context: Context

  /// Reads the image that a request names.
  /// - Parameter files: the files of the layout or archive.
  /// - Throws: `OCIError`, `BundleError` for an invalid image; `ImageError` (`usage`) without a destination.
  func read(
    _ files: any OCIFiles, _ request: ImportRequest, into session: WriteSession
  ) throws -> DefinitionlessImage {
    let selection = OCISelection(
      reference: request.ociReference, platform: try platform(request.platform))
    var finder = OCIImageFinder(files, selection)
    let image = try finder.find()
    let destination = try OCIDestinationFinder(context).destination(
      named: image.annotations[OCIAnnotation.imageName], request)
    let sizeBytes = image.layers.reduce(UInt64(0)) { $0 &+ $1.file.sizeBytes }
    context.progress.begin("importing", totalBytes: 0)
    let progress = context.progress
    let earlier = EarlierVersions(context).tree(for: destination)
    let tree = try session.runOnce { worker in
      var reader = LayerReader(worker: worker, progress: progress, following: earlier)
      for layer in image.layers { try OCIImageReader.apply(layer, &reader) }
      return try reader.finish()
    }
    let (facts, remarks) = self.facts(of: image)
    return DefinitionlessImage(
      tree: tree, destination: destination, facts: facts, remarks: remarks, sizeBytes: sizeBytes)
  }

  private static func apply(_ layer: OCILayer, _ reader: inout LayerReader) throws {
    let hash = Monitor(LayerFileHash())
    let file = layer.file
    var position: UInt64 = 0
    do {
      let plainDigest = try reader.apply { target in
        let n = try file.read(at: position, into: target)
        position += UInt64(n)
        hash.withLock { $0.update(UnsafeRawBufferPointer(rebasing: target[..<n])) }
        return n
      }
      let digest = hash.withLock { $0.finish() }
      try require(layer.digest ?? digest, digest, "its digest", layer)
      try require(
        layer.plainDigest ?? plainDigest, plainDigest, "the digest in the configuration", layer)
    } catch let error as BundleError {
      if let digest = layer.digest { try require(digest, file.digest(), "its digest", layer) }
      throw BundleError(
        "\(layer.subject): \(error.subject)", error.reason, hint: error.hint, form: error.form)
    }
  }

  private static func require(
    _ expected: Digest, _ actual: Digest, _ name: String, _ layer: OCILayer
  ) throws(OCIError) {
    guard expected == actual else {
      throw OCIError(layer.subject, "does not match \(name)", hint: OCIError.incomplete)
    }
  }

  /// Parses the platform of a request.
  private func platform(_ text: String?) throws(ImageError) -> OCIPlatform? {
    guard let text else { return nil }
    guard let platform = OCIPlatform(text) else {
      throw ImageError(
        .usage, "--platform \(printable(text.utf8.prefix(80)))", "is not a platform",
        hint: "Write OS/ARCH, for example linux/amd64")
    }
    return platform
  }

  // MARK: Facts

  private func facts(of image: OCIImage) -> (facts: [Snapshot.Fact], remarks: [String]) {
    var facts = [Snapshot.Fact(OCIFact.digest, "sha256:\(image.digest.hex)")]
    if !image.reference.isEmpty, image.reference.utf8.count <= 1024 {
      facts.append(.init(OCIFact.reference, image.reference))
    }
    if !image.config.platform.architecture.isEmpty,
      OCIPlatform(image.config.platform.description) != nil
    {
      facts.append(.init(OCIFact.platform, image.config.platform.description))
    }
    guard let execution = image.config.execution else { return (facts, []) }
    let text = String(decoding: execution.encoded, as: UTF8.self)
    guard text.utf8.count <= OCIFact.maxExecutionBytes else {
      return (facts, ["the image's configuration is too large and was left out"])
    }
    return (facts + [.init(OCIFact.execution, text)], [])
  }
}

/// The annotations that imgstore writes.
enum OCIAnnotation {
  static let imageName = "org.imgstore.image"
  static let snapshot = "org.imgstore.snapshot"
  static let snapshotID = "org.imgstore.snapshot.id"
}

/// The hash of a layer's file.
private final class LayerFileHash {
  private var hash = SHA256()
  func update(_ bytes: UnsafeRawBufferPointer) { hash.update(bytes) }
  func finish() -> Digest { hash.finish() }
}
