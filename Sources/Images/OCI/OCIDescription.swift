// The documents of an exported OCI image: configuration, manifest and index.
//
// 1. All values come from the snapshots and the request, so equal exports have equal digests.
// 2. An image that came from an OCI image keeps its platform and its instructions for execution.

import Codec
import OCI
import Platform
import Store

/// The documents of an image, as bytes.
struct OCIDocuments {
  let config: [UInt8]
  let manifestBytes: [UInt8]
  let manifest: OCIDescriptor
  let index: [UInt8]
  static let layout = Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8)

  /// Returns the number of bytes of all blobs.
  func sizeBytes(_ layers: [OCIRenderedLayer]) -> UInt64 {
    layers.reduce(UInt64(config.count + manifestBytes.count)) {
      $0 &+ ($1.isEmpty ? 0 : $1.blob.sizeBytes)
    }
  }
}

/// Describes an exported image.
struct OCIDescription {
  private let steps: [CommittedSnapshot]
  /// The name in the index.
  let name: String
  let platform: OCIPlatform

  /// - Parameter steps: the snapshots of the layers, from the oldest. The last one is the image.
  /// - Throws: `ImageError` (`usage`) for an invalid name or platform.
  init(_ steps: [CommittedSnapshot], _ request: OCIExportRequest) throws(ImageError) {
    self.steps = steps
    let last = steps[steps.count - 1]
    if let text = request.name {
      guard OCIDescription.isName(text) else {
        throw ImageError(
          .usage, "--ref \(printable(text.utf8.prefix(80)))", "is not a name of an image",
          hint: "Write NAME:TAG with letters, digits and '._-/', for example compute:3")
      }
      name = text
    } else {
      name = "\(OCIDescription.component(last.snapshot.image)):\(last.number)"
    }
    platform = try OCIDescription.platform(last.snapshot, request.platform)
  }

  private static func platform(
    _ snapshot: Snapshot, _ text: String?
  ) throws(ImageError) -> OCIPlatform {
    if let text {
      guard let platform = OCIPlatform(text) else {
        throw ImageError(
          .usage, "--platform \(printable(text.utf8.prefix(80)))", "is not a platform",
          hint: "Write OS/ARCH, for example linux/amd64")
      }
      return platform
    }
    if let fact = snapshot.facts.first(where: { $0.key == OCIFact.platform }),
      let platform = OCIPlatform(fact.value)
    {
      return platform
    }
    let architecture = snapshot.definition.architecture
    if !architecture.isEmpty, let platform = OCIPlatform("linux/\(architecture)") {
      return platform
    }
    return .machine
  }

  /// Returns whether a text may name an image in an index (OCI image specification, "Image Layout").
  static func isName(_ text: String) -> Bool {
    guard let first = text.utf8.first, let last = text.utf8.last, text.utf8.count <= 255 else {
      return false
    }
    func isAlphanumeric(_ byte: UInt8) -> Bool {
      (0x30...0x39).contains(byte) || (0x61...0x7a).contains(byte | 0x20)
    }
    return isAlphanumeric(first) && isAlphanumeric(last)
      && text.utf8.allSatisfy { isAlphanumeric($0) || "-._:@/+".utf8.contains($0) }
  }

  /// Returns a component of a registry's path for the name of an image: small letters and digits.
  static func component(_ name: String) -> String {
    let parts = name.lowercased().unicodeScalars.split {
      !("a"..."z").contains($0) && !("0"..."9").contains($0) && $0 != "." && $0 != "_"
    }
    let text = parts.map { String(String.UnicodeScalarView($0)) }.joined(separator: "-")
    let trimmed = text.drop { $0 == "." || $0 == "_" }
    return trimmed.isEmpty ? "image" : String(trimmed.prefix(128))
  }

  /// Returns the documents of the image with these layers.
  func image(_ layers: [OCIRenderedLayer]) -> OCIDocuments {
    let last = steps[steps.count - 1]
    let created = isoText(last.snapshot.created)
    let kept = layers.filter { !$0.isEmpty }
    let annotations = [
      "org.opencontainers.image.created": created,
      OCIAnnotation.imageName: last.snapshot.image,
      OCIAnnotation.snapshot: last.name,
      OCIAnnotation.snapshotID: last.id.hex,
    ]
    let config = OCIConfig(
      platform: platform, layerDigests: kept.map(\.plainDigest),
      execution: execution(last.snapshot, annotations), created: created,
      history: zip(steps, layers).map { step, layer in
        OCIConfig.Step(
          created: isoText(step.snapshot.created), createdBy: "imgstore snapshot \(step.name)",
          comment: step.snapshot.message, isEmpty: layer.isEmpty)
      }
    ).json.encoded
    let manifest = OCIManifest(
      config: OCIDescriptor(
        mediaType: OCIMediaType.config, digest: SHA256.digest(of: config),
        sizeBytes: UInt64(config.count)),
      layers: kept.map(\.descriptor), annotations: annotations
    ).json.encoded
    let descriptor = OCIDescriptor(
      mediaType: OCIMediaType.manifest, digest: SHA256.digest(of: manifest),
      sizeBytes: UInt64(manifest.count), platform: platform,
      annotations: [OCIDescriptor.refName: name])
    return OCIDocuments(
      config: config, manifestBytes: manifest, manifest: descriptor,
      index: OCIIndex.json(of: descriptor).encoded)
  }

  /// Returns the member `config`: that of the imported image with our labels.
  private func execution(_ snapshot: Snapshot, _ labels: [String: String]) -> ParsedJSON {
    let fact = snapshot.facts.first { $0.key == OCIFact.execution }
    let known = fact.flatMap { try? JSONParser.parse(Array($0.value.utf8)) }?.members ?? []
    var texts = labels
    for member in known.first(where: { $0.name == "Labels" })?.value.members ?? [] {
      if let text = member.value.text, texts[member.name] == nil { texts[member.name] = text }
    }
    return .object(
      known.filter { $0.name != "Labels" } + [.init("Labels", ParsedJSON.object(texts: texts))])
  }
}
