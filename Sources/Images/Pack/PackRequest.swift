// What can be asked of `imgstore pack`, and what it tells.

import Platform
import Render
import Store

/// How entries are put one behind another.
public enum PackMethod: String, Sendable, CaseIterable {
  case cpio
  case tar
  case squashfs
}

extension SegmentCodec {
  /// As file names end.
  public var suffix: String {
    switch self {
    case .gzip: "gz"
    case .zstd, .zstdFrame: "zst"
    case .xz: "xz"
    }
  }

  /// As mksquashfs compresses where nothing else is said.
  var squashfs: SquashfsOptions.Compression {
    switch self {
    case .gzip: .gzip()
    case .zstd, .zstdFrame: .zstd()
    case .xz: .xz()
    }
  }
}

/// What to pack, and how.
public struct PackRequest: Sendable {
  /// An image name packs the live tree; a reference to a snapshot packs that one, to `output`.
  public var reference: String
  public var method = PackMethod.cpio
  public var codec = SegmentCodec.gzip
  /// Files of synclists are left out (`--nosyncfiles`).
  public var skipsSyncfiles = false
  /// What packing changes is changed in the live tree, as xCAT does; a snapshot is taken first.
  public var changesLiveTree = false
  /// As xCAT's packimage: what it demands of the definition, in its words; packed images of other
  /// forms go when the new one is in its place.
  public var isPackimage = false
  /// The tree as it is: nothing of the management node's is added, and nothing is left out.
  public var isPlain = false
  /// The file to write; nil for the image's own in its folder.
  public var output: String?
  public var threads = processorCount
  public var cacheLimitBytes = SegmentCache.defaultLimitBytes
  public init(_ reference: String) { self.reference = reference }

  /// What the stream is encoded with: a ramdisk's zstd is one that kernels read.
  var streamCodec: SegmentCodec { method == .cpio && codec == .zstd ? .zstdFrame : codec }

  /// What the file is called in the image's folder, as xCAT and its nodes know it.
  var fileName: String {
    method == .squashfs ? "rootimg.sfs" : "rootimg.\(method.rawValue).\(codec.suffix)"
  }
}

/// What packing did.
public struct PackOutcome: Sendable {
  public let snapshot: CommittedSnapshot
  /// A snapshot was taken, because the live image had changed.
  public let isNewSnapshot: Bool
  public let destination: String
  public let report: RenderReport
  public let counts: TreeArchiveCounts
  /// What the snapshot does not have of what belongs into the packed image.
  public let gaps: [Snapshot.Note]
  /// What an administrator should know; not all of it is a problem.
  public let remarks: [String]
  public let seconds: Double
}

/// What happens while packing, for those who speak as xCAT does.
public enum PackEvent: Sendable {
  /// Everything was found and allowed; the tree is about to be packed.
  case packing(tree: String)
}
