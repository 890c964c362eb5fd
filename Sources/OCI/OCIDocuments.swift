// The documents of an image: index, manifest and configuration (OCI image specification 1.1). Docker's
// documents with the same fields are read, too.
//
// 1. Every document has limits: `JSONParser`, `maxEntries` descriptors, `maxLayers` layers.
// 2. Unknown fields are ignored, as the specification requires.

import Codec
import Platform

/// An index: a list of manifests, and of further indexes.
public struct OCIIndex: Sendable {
  static let maxEntries = 10_000

  public let entries: [OCIDescriptor]

  /// Reads an index.
  /// - Throws: `OCIError`.
  public init(_ json: ParsedJSON, in subject: String) throws(OCIError) {
    guard let items = json["manifests"]?.elements else {
      throw OCIError(subject, "has no list of manifests", hint: OCIError.incomplete)
    }
    guard items.count <= OCIIndex.maxEntries else {
      throw OCIError(subject, "has \(items.count) entries, too many", hint: OCIError.distrust)
    }
    var entries: [OCIDescriptor] = []
    for item in items { entries.append(try OCIDescriptor(item, in: subject)) }
    self.entries = entries
  }

  /// Creates the index of one image.
  public static func json(of manifest: OCIDescriptor) -> ParsedJSON {
    .object([
      .init("schemaVersion", .integer(2)), .init("mediaType", .string(OCIMediaType.index)),
      .init("manifests", .array([manifest.json])),
    ])
  }
}

/// A manifest: the configuration and the layers of one image.
public struct OCIManifest: Sendable {
  /// The maximum number of layers. Docker and overlayfs hold about 127 and 500.
  public static let maxLayers = 1000

  public let config: OCIDescriptor
  public let layers: [OCIDescriptor]
  public let annotations: [String: String]

  /// Creates a manifest.
  public init(
    config: OCIDescriptor, layers: [OCIDescriptor], annotations: [String: String] = [:]
  ) {
    self.config = config
    self.layers = layers
    self.annotations = annotations
  }

  /// Reads a manifest.
  /// - Throws: `OCIError`; the code is `unsupported` for a manifest of another artifact than an image.
  public init(_ json: ParsedJSON, in subject: String) throws(OCIError) {
    guard let config = json["config"], let layers = json["layers"]?.elements else {
      throw OCIError(
        subject, "has no configuration or no layers", hint: OCIError.incomplete)
    }
    self.config = try OCIDescriptor(config, in: subject)
    guard OCIMediaType.configs.contains(self.config.mediaType) || self.config.mediaType.isEmpty
    else {
      throw OCIError(
        .unsupported, subject,
        "is not an image: its configuration is of the type "
          + "'\(printable(self.config.mediaType.utf8.prefix(100)))'",
        hint: "Nothing was imported; only images with root trees can be")
    }
    guard layers.count <= OCIManifest.maxLayers else {
      throw OCIError(
        subject, "has \(layers.count) layers, more than \(OCIManifest.maxLayers)",
        hint: OCIError.distrust)
    }
    var descriptors: [OCIDescriptor] = []
    for layer in layers {
      let descriptor = try OCIDescriptor(layer, in: subject)
      guard OCIMediaType.layers.contains(descriptor.mediaType) || descriptor.mediaType.isEmpty
      else {
        let type = printable(descriptor.mediaType.utf8.prefix(100))
        throw OCIError(
          .unsupported, subject,
          "has a layer of the type '\(type)'"
            + (type.hasSuffix("+encrypted") ? ", which is encrypted" : ""),
          hint: "Nothing was imported; write the image with layers of tar, plain, gzip or zstd")
      }
      descriptors.append(descriptor)
    }
    self.layers = descriptors
    annotations = OCIDescriptor.annotations(json["annotations"])
  }

  /// The manifest as JSON.
  public var json: ParsedJSON {
    var members: [ParsedJSON.Member] = [
      .init("schemaVersion", .integer(2)), .init("mediaType", .string(OCIMediaType.manifest)),
      .init("config", config.json), .init("layers", .array(layers.map(\.json))),
    ]
    if !annotations.isEmpty {
      members.append(.init("annotations", ParsedJSON.object(texts: annotations)))
    }
    return .object(members)
  }
}

/// The configuration of an image.
public struct OCIConfig: Sendable {
  /// A line of the image's history.
  public struct Step: Sendable, Equatable {
    /// The time, as RFC 3339.
    public let created: String
    public let createdBy: String
    public let comment: String
    /// Whether the step has no layer.
    public let isEmpty: Bool

    /// Creates a step.
    public init(created: String, createdBy: String, comment: String = "", isEmpty: Bool = false) {
      self.created = created
      self.createdBy = createdBy
      self.comment = comment
      self.isEmpty = isEmpty
    }
  }

  public let platform: OCIPlatform
  /// The digests of the plain layers; nil if the document has none.
  public let layerDigests: [Digest]?
  /// What to run, and how: the member `config`, as it is.
  public let execution: ParsedJSON?
  /// The time of the image, as RFC 3339; empty if unknown.
  public let created: String
  public let history: [Step]

  /// Creates a configuration.
  public init(
    platform: OCIPlatform, layerDigests: [Digest], execution: ParsedJSON?, created: String,
    history: [Step]
  ) {
    self.platform = platform
    self.layerDigests = layerDigests
    self.execution = execution
    self.created = created
    self.history = history
  }

  /// Reads a configuration. The history is not read.
  /// - Throws: `OCIError`.
  public init(_ json: ParsedJSON, in subject: String) throws(OCIError) {
    guard json.members != nil else {
      throw OCIError(subject, "is not an object", hint: OCIError.incomplete)
    }
    platform = OCIPlatform(json) ?? OCIPlatform(system: "", architecture: "")
    execution = json["config"]
    created = json["created"]?.text ?? ""
    history = []
    guard let items = json["rootfs"]?["diff_ids"]?.elements else {
      layerDigests = nil
      return
    }
    guard items.count <= OCIManifest.maxLayers else {
      throw OCIError(subject, "has \(items.count) layers, too many", hint: OCIError.distrust)
    }
    var digests: [Digest] = []
    for item in items {
      guard let text = item.text, let digest = OCIDescriptor.digest(text) else {
        throw OCIError(
          subject, "has a layer's digest that is not sha256 and 64 digits",
          hint: OCIError.distrust)
      }
      digests.append(digest)
    }
    layerDigests = digests
  }

  /// The configuration as JSON.
  public var json: ParsedJSON {
    var members: [ParsedJSON.Member] = [.init("created", .string(created))]
    members += platform.json.members ?? []
    members.append(.init("config", execution ?? .object([])))
    let digests = (layerDigests ?? []).map { ParsedJSON.string("sha256:\($0.hex)") }
    members.append(
      .init(
        "rootfs", .object([.init("type", .string("layers")), .init("diff_ids", .array(digests))])))
    members.append(
      .init(
        "history",
        .array(
          history.map { step in
            var items: [ParsedJSON.Member] = [
              .init("created", .string(step.created)), .init("created_by", .string(step.createdBy)),
            ]
            if !step.comment.isEmpty { items.append(.init("comment", .string(step.comment))) }
            if step.isEmpty { items.append(.init("empty_layer", .bool(true))) }
            return .object(items)
          })))
    return .object(members)
  }
}
