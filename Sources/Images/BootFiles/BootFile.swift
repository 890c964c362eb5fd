// The files of a snapshot that nodes load over HTTP, under the names that xCAT gives them.
//
// 1. A stored file is in the snapshot, bit for bit: its size and its SHA-256 are known. A rendered file is made of
//    the snapshot, as `pack` and `export` make it.
// 2. The list says what an image has, and why it lacks what others have.

import Codec
import Platform
import Render
import Store

/// A boot file of a snapshot.
public struct BootFile: Sendable {
  /// What a file is.
  public enum Kind: String, Sendable, CaseIterable {
    case kernel
    case ramdisk
    case hypervisor
    /// The root image that nodes load.
    case rootImage = "root-image"
    case bundle
    case manifest
    /// Another file of the image's directory.
    case other
  }

  /// Where the content comes from.
  enum Source: Sendable {
    case stored(Entry)
    case packed(PackMethod, SegmentCodec)
    case bundle
    case manifest
  }

  public let name: String
  public let kind: Kind
  /// The media type for HTTP.
  public let mediaType: String
  let source: Source

  init(_ name: String, _ kind: Kind, _ source: Source) {
    self.name = name
    self.kind = kind
    self.source = source
    mediaType = BootFile.mediaType(of: name)
  }

  /// The SHA-256 of a stored file; nil for a rendered one.
  public var digest: Digest? {
    if case .stored(let entry) = source { entry.blob } else { nil }
  }

  /// The size of a stored file in bytes; nil for a rendered one.
  public var sizeBytes: UInt64? {
    if case .stored(let entry) = source { entry.sizeBytes } else { nil }
  }

  /// Whether the file is in the snapshot as it is.
  public var isStored: Bool { digest != nil }

  /// Whether its bytes are final in their order while it is rendered. The first block of a squashfs image is
  /// written last.
  public var isStream: Bool {
    if case .packed(.squashfs, _) = source { false } else { true }
  }

  /// Returns the media type for the ending of a name.
  static func mediaType(of name: String) -> String {
    let types = [
      ("gz", "application/gzip"), ("tgz", "application/gzip"), ("xz", "application/x-xz"),
      ("zst", "application/zstd"), ("xml", "application/xml"), ("csv", "text/csv; charset=utf-8"),
    ]
    let ending = name.split(separator: ".", omittingEmptySubsequences: false).dropFirst().last
    return types.first { $0.0 == ending.map(String.init) }?.1 ?? "application/octet-stream"
  }
}

/// The boot files of a snapshot.
public struct BootFileList: Sendable {
  /// The files, sorted by name.
  public let files: [BootFile]
  /// The names that images of other kinds have, with the reason why this one lacks them.
  public let unavailable: [(name: String, reason: String)]
  /// The snapshot, such as "compute@13".
  public let snapshot: String
  /// The name of the root image that nodes load by default; nil if the image has none.
  public let rootImage: String?
  /// The reason why no iPXE script can boot the image; nil if one can.
  public let bootObstacle: String?

  /// Returns the file of a name.
  /// - Throws: `ImageError` (`pathNotFound`) with the reason and the names that exist.
  public func file(_ name: String) throws -> BootFile {
    if let file = files.first(where: { $0.name == name }) { return file }
    let reason = unavailable.first { $0.name == name }?.reason
    throw ImageError(
      .pathNotFound, "boot file \(snapshot)/\(printable(name.utf8.prefix(255)))",
      reason.map { "is not available: \($0)" } ?? "does not exist",
      hint: files.isEmpty
        ? "The snapshot has no boot files"
        : "It has " + files.map(\.name).joined(separator: ", "))
  }
}
