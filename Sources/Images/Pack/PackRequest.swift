// The request, the result and the events of `imgstore pack`.

import Platform
import Render
import Store

/// The form of a packed image: an archive of the tree, or a squashfs (`pack -m`).
public enum PackMethod: String, Sendable, CaseIterable {
  case cpio
  case tar
  case squashfs
}

extension SegmentCodec {
  /// The ending of file names.
  public var suffix: String {
    switch self {
    case .gzip: "gz"
    case .zstd, .zstdFrame, .zstdFast: "zst"
    case .xz: "xz"
    }
  }

  /// The squashfs compression, with the default options of mksquashfs.
  var squashfs: SquashfsOptions.Compression {
    switch self {
    case .gzip: .gzip()
    case .zstd, .zstdFrame, .zstdFast: .zstd()
    case .xz: .xz()
    }
  }
}

/// The options of packing.
public struct PackRequest: Sendable {
  /// The image to pack. An image name packs the live tree; a reference to a snapshot packs the snapshot, and
  /// needs `output`.
  public var reference: String
  /// The format.
  public var method = PackMethod.cpio
  /// The compression.
  public var codec = SegmentCodec.gzip
  /// Whether the files of synclists are left out (`--nosyncfiles`).
  public var skipsSyncfiles = false
  /// Whether packing also changes the live tree, as xCAT does. A snapshot is taken first.
  public var changesLiveTree = false
  /// Whether to behave like xCAT's packimage: with its checks of the definition and its messages. Packed
  /// images of other forms are removed after the new one is published.
  public var isPackimage = false
  /// Whether the tree is packed unchanged: without data of the management node and without the exlist.
  public var isPlain = false
  /// The file to write; nil for the image's own packed image in its directory.
  public var output: String?
  /// The number of compressing threads.
  public var threads = processorCount
  /// The maximum size of the segment cache in bytes.
  public var cacheLimitBytes = PackRequest.defaultCacheLimitBytes
  public static let defaultCacheLimitBytes = SegmentCache.defaultLimitBytes
  /// Creates a request with the default options.
  public init(_ reference: String) { self.reference = reference }

  /// The encoding of the stream. The zstd of a ramdisk is a form that kernels can read.
  var streamCodec: SegmentCodec { method == .cpio && codec == .zstd ? .zstdFrame : codec }

  /// The name of the file in the image's directory, as xCAT and its nodes expect it.
  var fileName: String {
    method == .squashfs ? "rootimg.sfs" : "rootimg.\(method.rawValue).\(codec.suffix)"
  }
}

/// The result of packing.
public struct PackOutcome: Sendable {
  /// The packed snapshot.
  public let snapshot: CommittedSnapshot
  /// Whether the snapshot is new. One is taken if the live image had changed.
  public let isNewSnapshot: Bool
  /// The path of the packed image.
  public let destination: String
  /// The amounts of rendered and cached data.
  public let report: RenderReport
  /// The numbers of packed entries, and of losses of the format.
  public let counts: TreeArchiveCounts
  /// Notes on parts of the packed image that the snapshot does not have.
  public let gaps: [Snapshot.Note]
  /// Remarks for the administrator. Not all of them are problems.
  public let remarks: [String]
  /// The format and the compression of the packed image.
  public let method: PackMethod
  public let codec: SegmentCodec
  /// The permission bits of the packed image.
  public let mode: UInt16
  /// Whether the packed image is a new file that only its owner can read, because it was written to a path
  /// of the user's choice and the tree holds secrets.
  public let isPrivate: Bool
  /// The UUID in the packed image, by which `which` finds the snapshot; nil if it contains none.
  public let uuid: ImageUUID?
  /// The duration in seconds.
  public let seconds: Double
}

/// An event of packing, for output in xCAT's style.
public enum PackingEvent: Sendable {
  /// All checks passed; the tree is about to be packed.
  case packing(tree: String)
}
