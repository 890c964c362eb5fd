// Finds one image in an OCI layout or in an archive of Docker: the manifest, its configuration and its
// layers.
//
// 1. The size and the digest of each document are verified before it is parsed. Those of a layer are
//    verified while it is read (`OCIImageReader`).
// 2. The number of documents is limited, so indexes cannot lead to endless work. They cannot form a loop,
//    because a document would have to contain its own digest.

import Codec
import OCI
import Platform

/// A layer of an image.
struct OCILayer {
  /// The name for messages.
  let subject: String
  let file: OCIFile
  /// The digest of the file; nil if only the plain layer's digest is known.
  let digest: Digest?
  /// The digest of the plain layer; nil if the image does not name it.
  let plainDigest: Digest?
}

/// An image.
struct OCIImage {
  let config: OCIConfig
  let layers: [OCILayer]
  /// The digest of the manifest; for an archive of Docker, of the configuration.
  let digest: Digest
  /// The name in the index; empty if there is none.
  let reference: String
  let annotations: [String: String]
}

/// Which image of a layout a user wants.
struct OCISelection {
  /// The name in the index; nil if the layout has only one.
  var reference: String?
  /// The platform; nil for that of this machine, if there are several.
  var platform: OCIPlatform?
}

/// Finds images.
struct OCIImageFinder {
  /// The maximum number of documents to read.
  private static let maxDocuments = 1000
  /// The maximum number of nested indexes.
  private static let maxDepth = 4

  private let files: any OCIFiles
  private let selection: OCISelection
  private var documentCount = 0
  private var candidates: [OCIDescriptor] = []

  init(_ files: any OCIFiles, _ selection: OCISelection) {
    self.files = files
    self.selection = selection
  }

  /// Returns the selected image.
  /// - Throws: `OCIError` for an invalid image; `notFound` if the selected image does not exist, `usage` if
  ///   several match.
  mutating func find() throws -> OCIImage {
    if let layout = try files.file("oci-layout") {
      let json = try JSONParser.parse(layout.document("oci-layout"))
      guard json["imageLayoutVersion"]?.text?.hasPrefix("1.") == true else {
        throw OCIError(
          .unsupported, "oci-layout", "is of a version that is not supported",
          hint: "Only layouts of version 1 can be imported")
      }
    }
    if let index = try files.file("index.json") {
      return try image(OCIIndex(parse(index, "index.json"), in: "index.json"))
    }
    if let list = try files.file("manifest.json") {
      return try dockerImage(parse(list, "manifest.json"))
    }
    throw OCIError(
      .notFound, "index.json", "does not exist, so this is not an OCI image",
      hint: "Name an OCI layout, an OCI archive or an archive of 'docker save'")
  }

  private func parse(_ file: OCIFile, _ subject: String) throws -> ParsedJSON {
    do {
      return try JSONParser.parse(file.document(subject))
    } catch let error as OCIError where error.subject == "the JSON document" {
      throw OCIError(subject, error.reason, hint: OCIError.incomplete)
    }
  }

  // MARK: Layouts

  private mutating func image(_ index: OCIIndex) throws -> OCIImage {
    var entries = index.entries
    if let reference = selection.reference {
      entries = entries.filter { OCIImageFinder.names(of: $0).contains(reference) }
      guard !entries.isEmpty else {
        throw OCIError(
          .notFound, "index.json", "has no image '\(printable(reference.utf8.prefix(255)))'",
          hint: "It has: \(OCIImageFinder.list(index.entries))")
      }
    } else if Set(entries.map { $0.annotations[OCIDescriptor.refName] ?? "" }).count > 1 {
      throw OCIError(
        .usage, "index.json", "has several images",
        hint: "Name one with --ref: \(OCIImageFinder.list(entries))")
    }
    for entry in entries { try collect(entry, depth: 0) }
    let descriptor = try select()
    let subject = "manifest \(descriptor.digest.shortHex)"
    let manifest = try OCIManifest(document(descriptor, subject), in: subject)
    let configSubject = "configuration \(manifest.config.digest.shortHex)"
    let config = try OCIConfig(document(manifest.config, configSubject), in: configSubject)
    try require(config, platformOf: descriptor)
    if let digests = config.layerDigests, digests.count != manifest.layers.count {
      throw OCIError(
        configSubject, "has \(digests.count) layers, but the manifest has \(manifest.layers.count)",
        hint: OCIError.distrust)
    }
    let layers = try manifest.layers.enumerated().map { number, layer in
      OCILayer(
        subject: "layer \(number + 1) (\(layer.digest.shortHex))",
        file: try blob(layer, "layer \(layer.digest.shortHex)"),
        digest: layer.digest, plainDigest: config.layerDigests?[number])
    }
    return OCIImage(
      config: config, layers: layers, digest: descriptor.digest,
      reference: entries.first?.annotations[OCIDescriptor.refName] ?? "",
      annotations: manifest.annotations)
  }

  /// Collects the manifests of an entry, which may be an index.
  private mutating func collect(_ entry: OCIDescriptor, depth: Int) throws {
    if let platform = entry.platform, platform.system == "unknown" { return }
    let subject = "index \(entry.digest.shortHex)"
    guard entry.isIndex else {
      candidates.append(entry)
      return
    }
    guard depth < OCIImageFinder.maxDepth else {
      throw OCIError(
        subject, "is nested in \(depth) others, too deeply", hint: OCIError.distrust)
    }
    let index = try OCIIndex(document(entry, subject), in: subject)
    for inner in index.entries { try collect(inner, depth: depth + 1) }
  }

  /// Returns the manifest for the platform among the candidates.
  private func select() throws -> OCIDescriptor {
    let target = selection.platform ?? .machine
    let isChoice = Set(candidates.map(\.digest)).count > 1
    let matching =
      isChoice || selection.platform != nil
      ? candidates.filter { $0.platform?.matches(target) ?? !isChoice } : candidates
    if let first = matching.first {
      guard Set(matching.map(\.digest)).count == 1 else {
        throw OCIError(
          .usage, "index.json", "has several images for \(target)",
          hint: "Name one with --platform OS/ARCH/VARIANT: \(platforms)")
      }
      return first
    }
    throw OCIError(
      .notFound, "index.json", "has no image for \(target)",
      hint: candidates.isEmpty ? OCIError.incomplete : "Choose with --platform: \(platforms)")
  }

  private var platforms: String {
    Set(candidates.map { $0.platform?.description ?? "unnamed" }).sorted().prefix(20)
      .map { printable($0.utf8.prefix(80)) }.joined(separator: ", ")
  }

  /// Checks the platform of a manifest that an index does not describe.
  private func require(_ config: OCIConfig, platformOf descriptor: OCIDescriptor) throws {
    guard let target = selection.platform, descriptor.platform == nil,
      !config.platform.matches(target)
    else { return }
    let actual = printable(config.platform.description.utf8.prefix(80))
    throw OCIError(
      .notFound, "the image", "is for \(actual), not for \(target)",
      hint: "Leave out --platform to import it anyway")
  }

  /// Returns the names of an image in an index.
  private static func names(of entry: OCIDescriptor) -> [String] {
    [OCIDescriptor.refName, "io.containerd.image.name"].compactMap { entry.annotations[$0] }
  }

  private static func list(_ entries: [OCIDescriptor]) -> String {
    let texts = entries.map { OCIImageFinder.names(of: $0).first ?? "(no name)" }
    return Set(texts).sorted().prefix(20).map { printable($0.utf8.prefix(80)) }
      .joined(separator: ", ")
  }

  // MARK: Blobs

  /// Returns the file of a blob, whose size is right.
  private func blob(_ descriptor: OCIDescriptor, _ subject: String) throws -> OCIFile {
    guard let file = try files.file("blobs/sha256/\(descriptor.digest.hex)") else {
      throw OCIError(subject, "is missing", hint: OCIError.incomplete)
    }
    guard file.sizeBytes == descriptor.sizeBytes else {
      throw OCIError(
        subject, "has \(file.sizeBytes) bytes, but its descriptor says \(descriptor.sizeBytes)",
        hint: OCIError.incomplete)
    }
    return file
  }

  /// Returns a verified document.
  private mutating func document(
    _ descriptor: OCIDescriptor, _ subject: String
  ) throws -> ParsedJSON {
    documentCount += 1
    guard documentCount <= OCIImageFinder.maxDocuments else {
      throw OCIError(subject, "is one document too many", hint: OCIError.distrust)
    }
    let bytes = try blob(descriptor, subject).document(subject)
    guard SHA256.digest(of: bytes) == descriptor.digest else {
      throw OCIError(
        subject, "does not match its digest", hint: OCIError.incomplete)
    }
    do {
      return try JSONParser.parse(bytes)
    } catch {
      throw OCIError(subject, error.reason, hint: OCIError.incomplete)
    }
  }

  // MARK: Archives of Docker

  /// Returns the image of an archive of `docker save`. Its layers are named by path, so that only the
  /// configuration has digests.
  private func dockerImage(_ list: ParsedJSON) throws -> OCIImage {
    var images = list.elements ?? []
    func tags(_ image: ParsedJSON) -> [String] {
      (image["RepoTags"]?.elements ?? []).compactMap(\.text)
    }
    if let reference = selection.reference {
      images = images.filter { tags($0).contains(reference) }
    }
    guard let image = images.first else {
      throw OCIError(
        .notFound, "manifest.json", "has no such image", hint: OCIError.incomplete)
    }
    guard images.count == 1 else {
      let names = images.flatMap(tags).prefix(20).map { printable($0.utf8.prefix(80)) }
      throw OCIError(
        .usage, "manifest.json", "has several images",
        hint: "Name one with --ref: \(names.joined(separator: ", "))")
    }
    guard let path = image["Config"]?.text, let file = try files.file(path),
      let paths = image["Layers"]?.elements
    else {
      throw OCIError(
        "manifest.json", "names no configuration or no layers", hint: OCIError.incomplete)
    }
    let bytes = try file.document("the configuration")
    let config = try OCIConfig(JSONParser.parse(bytes), in: "the configuration")
    try require(
      config, platformOf: OCIDescriptor(mediaType: "", digest: .zero, sizeBytes: 0))
    guard let digests = config.layerDigests, digests.count == paths.count else {
      throw OCIError(
        "the configuration", "has other layers than manifest.json", hint: OCIError.distrust)
    }
    let layers = try zip(paths, digests).enumerated().map { number, layer in
      guard let path = layer.0.text, let file = try files.file(path) else {
        throw OCIError("layer \(number + 1)", "is missing", hint: OCIError.incomplete)
      }
      return OCILayer(
        subject: "layer \(number + 1) (\(layer.1.shortHex))", file: file, digest: nil,
        plainDigest: layer.1)
    }
    return OCIImage(
      config: config, layers: layers, digest: SHA256.digest(of: bytes),
      reference: tags(image).first ?? "", annotations: [:])
  }
}
