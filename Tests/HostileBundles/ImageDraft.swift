// A small OCI image that imports, as an archive of a layout in which one thing is then made wrong.

import Codec

/// An OCI image to be.
public struct ImageDraft: Sendable {
  /// The plain layers.
  public var layers: [[UInt8]]
  /// The layers as they are stored; nil for `layers` with gzip.
  public var stored: [[UInt8]]?
  /// Changes the text of a document before it is stored: "config", "manifest", "index.json".
  public var edit: @Sendable (_ name: String, _ text: String) -> String = { $1 }
  /// Changes the files of the layout, by path.
  public var files: @Sendable (inout [String: [UInt8]]) -> Void = { _ in }

  /// An image of one layer, with the members that `more` appends.
  public init(_ more: (inout RawTar) -> Void = { _ in }) { layers = [ImageDraft.tar(more)] }

  public init(layers: [[UInt8]]) { self.layers = layers }

  /// A layer of a small tree.
  public static func tar(_ more: (inout RawTar) -> Void = { _ in }) -> [UInt8] {
    layer { tar in
      tar.directory("etc/")
      tar.file("etc/motd", "hello\n")
      tar.header("lib", type: "2", link: "usr/lib")
      more(&tar)
    }
  }

  /// A layer of any members.
  public static func layer(_ members: (inout RawTar) -> Void) -> [UInt8] {
    var tar = RawTar()
    members(&tar)
    tar.end()
    return tar.bytes
  }

  /// A descriptor of a blob.
  public static func descriptor(_ type: String, _ blob: [UInt8]) -> String {
    #"{"mediaType":"application/vnd.oci.image.\#(type)","digest":"sha256:\#(SHA256.digest(of: blob).hex)","size":\#(blob.count)}"#
  }

  /// The files of the layout, by path.
  public var layout: [String: [UInt8]] {
    let blobs = stored ?? layers.map { gzip($0) }
    let identifiers = layers.map { #""sha256:\#(SHA256.digest(of: $0).hex)""# }
    let config = Array(
      edit(
        "config",
        #"{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[\#(identifiers.joined(separator: ","))]}}"#
      ).utf8)
    let list = blobs.map { ImageDraft.descriptor("layer.v1.tar+gzip", $0) }
    let manifest = Array(
      edit(
        "manifest",
        #"{"schemaVersion":2,"config":\#(ImageDraft.descriptor("config.v1+json", config)),"layers":[\#(list.joined(separator: ","))]}"#
      ).utf8)
    let index = edit(
      "index.json",
      #"{"schemaVersion":2,"manifests":[\#(ImageDraft.descriptor("manifest.v1+json", manifest))]}"#)
    var files = [
      "oci-layout": Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8), "index.json": Array(index.utf8),
    ]
    for blob in blobs + [config, manifest] {
      files["blobs/sha256/\(SHA256.digest(of: blob).hex)"] = blob
    }
    self.files(&files)
    return files
  }

  /// The archive of the layout.
  public var archive: [UInt8] {
    var tar = RawTar()
    for (name, bytes) in layout.sorted(by: { $0.key > $1.key }) { tar.file(name, bytes) }
    tar.end()
    return tar.bytes
  }
}

/// An OCI image that must be refused.
public struct HostileImage: Sendable, CustomStringConvertible {
  /// Its defect.
  public let name: String
  /// The bytes of an archive.
  public let make: @Sendable () -> [UInt8]
  public var description: String { name }

  init(_ name: String, make: @escaping @Sendable () -> [UInt8]) {
    self.name = name
    self.make = make
  }

  /// Members added to the good layer.
  static func member(
    _ name: String, _ more: @escaping @Sendable (inout RawTar) -> Void
  ) -> HostileImage {
    HostileImage(name) { ImageDraft(more).archive }
  }

  /// The good image with a document changed.
  static func document(
    _ name: String, _ document: String, _ edit: @escaping @Sendable (String) -> String
  ) -> HostileImage {
    HostileImage(name) {
      var draft = ImageDraft()
      draft.edit = { $0 == document ? edit($1) : $1 }
      return draft.archive
    }
  }

  /// The good image with files changed.
  static func files(
    _ name: String, _ edit: @escaping @Sendable (inout [String: [UInt8]]) -> Void
  ) -> HostileImage {
    HostileImage(name) {
      var draft = ImageDraft()
      draft.files = edit
      return draft.archive
    }
  }

  public static let all = members + whiteouts + sizes + documents + archives
}

extension [UInt8] {
  var digestHex: String { SHA256.digest(of: self).hex }
}

extension [String: [UInt8]] {
  /// The path of the layer: the largest file, apart from documents.
  var largest: String? {
    filter { $0.value.starts(with: [0x1f, 0x8b]) }.max { $0.value.count < $1.value.count }?.key
  }

  mutating func flipBit(ofLargest: Bool) {
    guard let path = largest, let count = self[path]?.count else { return }
    self[path]?[count / 2] ^= 1
  }
}

extension String {
  /// Returns the text with its first digest replaced.
  func replacingDigest(with digest: String) -> String {
    guard let start = range("\"sha256:") else { return self }
    let rest = self[start.upperBound...]
    return self[..<start.lowerBound] + "\"" + digest + rest.drop { $0 != "\"" }
  }

  /// Returns the range of a part.
  func range(_ part: String) -> Range<String.Index>? {
    let bytes = Array(part.utf8)
    var index = startIndex
    while index < endIndex {
      if self[index...].utf8.starts(with: bytes) {
        return index..<(utf8.index(index, offsetBy: bytes.count))
      }
      index = self.index(after: index)
    }
    return nil
  }
}
