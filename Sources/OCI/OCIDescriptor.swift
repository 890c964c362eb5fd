// References to blobs (OCI image specification, "Content Descriptors"), and the media types that matter.
//
// 1. A digest is accepted only in the form `sha256:` and 64 lower-case digits. So a digest is never a path.
// 2. Sizes are checked before they are used.

import Codec
import Platform

/// The media types of OCI images, and of Docker's images with the same content.
public enum OCIMediaType {
  public static let index = "application/vnd.oci.image.index.v1+json"
  public static let manifest = "application/vnd.oci.image.manifest.v1+json"
  public static let config = "application/vnd.oci.image.config.v1+json"
  public static let layer = "application/vnd.oci.image.layer.v1.tar"

  static let indexes: Set<String> = [
    index, "application/vnd.docker.distribution.manifest.list.v2+json",
  ]
  static let manifests: Set<String> = [
    manifest, "application/vnd.docker.distribution.manifest.v2+json",
  ]
  static let configs: Set<String> = [
    config, "application/vnd.docker.container.image.v1+json",
  ]
  static let layers: Set<String> = [
    layer, layer + "+gzip", layer + "+zstd",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
  ]
}

/// A reference to a blob: its digest and its size.
public struct OCIDescriptor: Sendable, Equatable {
  /// The maximum number of annotations of a descriptor or document.
  static let maxAnnotations = 1000

  public let mediaType: String
  public let digest: Digest
  public let sizeBytes: UInt64
  /// The platform; nil if the descriptor has none.
  public let platform: OCIPlatform?
  public let annotations: [String: String]

  /// The annotation of a manifest in an index that names it.
  public static let refName = "org.opencontainers.image.ref.name"

  /// Creates a descriptor.
  public init(
    mediaType: String, digest: Digest, sizeBytes: UInt64, platform: OCIPlatform? = nil,
    annotations: [String: String] = [:]
  ) {
    self.mediaType = mediaType
    self.digest = digest
    self.sizeBytes = sizeBytes
    self.platform = platform
    self.annotations = annotations
  }

  /// Reads a descriptor.
  /// - Parameter subject: the document, for messages.
  /// - Throws: `OCIError` for a missing or invalid field.
  init(_ json: ParsedJSON, in subject: String) throws(OCIError) {
    guard let text = json["digest"]?.text, let digest = OCIDescriptor.digest(text) else {
      let found = json["digest"]?.text.map { " '\(printable($0.utf8.prefix(80)))'" } ?? ""
      throw OCIError(
        subject, "has a digest\(found) that is not sha256 and 64 digits", hint: OCIError.distrust)
    }
    guard let size = json["size"]?.integer, size >= 0 else {
      throw OCIError(subject, "has a descriptor without a valid size", hint: OCIError.distrust)
    }
    mediaType = json["mediaType"]?.text ?? ""
    self.digest = digest
    sizeBytes = UInt64(size)
    platform = json["platform"].flatMap { OCIPlatform($0) }
    annotations = OCIDescriptor.annotations(json["annotations"])
  }

  /// Parses `sha256:` and 64 lower-case digits; returns nil for any other text.
  public static func digest(_ text: String) -> Digest? {
    guard text.utf8.starts(with: "sha256:".utf8) else { return nil }
    let digits = text.utf8.dropFirst(7)
    guard digits.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }) else {
      return nil
    }
    return Digest(hexDigits: Array(digits))
  }

  /// Returns the texts among the members of an object.
  static func annotations(_ json: ParsedJSON?) -> [String: String] {
    var texts: [String: String] = [:]
    for member in (json?.members ?? []).prefix(maxAnnotations) {
      texts[member.name] = member.value.text
    }
    return texts
  }

  /// The descriptor as JSON.
  public var json: ParsedJSON {
    var members: [ParsedJSON.Member] = [
      .init("mediaType", .string(mediaType)), .init("digest", .string("sha256:\(digest.hex)")),
      .init("size", .integer(Int64(clamping: sizeBytes))),
    ]
    if let platform { members.append(.init("platform", platform.json)) }
    if !annotations.isEmpty {
      members.append(.init("annotations", ParsedJSON.object(texts: annotations)))
    }
    return .object(members)
  }
}

extension ParsedJSON {
  /// Creates an object of texts, in byte order of their names.
  public static func object(texts: [String: String]) -> ParsedJSON {
    .object(
      texts.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        .map { Member($0.key, .string($0.value)) })
  }
}

extension OCIDescriptor {
  /// Whether the blob is an index.
  public var isIndex: Bool { OCIMediaType.indexes.contains(mediaType) }
}
