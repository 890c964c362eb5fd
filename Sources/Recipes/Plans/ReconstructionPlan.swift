// Plans: how a blob is rebuilt from other blobs instead of chunks (docs/format.md, "Plans").
//
//     rootimg.cpio.gz ──streams──▶ rootimg.cpio ──archive─▶ the files of the tree next to it
//
// 1. A plan is data. `PlannedBlob` assembles archives, and its `StreamReencoder` repeats streams.
// 2. Plans come from a store and are not trusted: counts, sums and sizes are checked before use, and the
//    depth of nested plans is limited (`ObjectStore.maxReconstructionDepth`).

import Codec
import Store

/// Describes how a blob is rebuilt.
public enum ReconstructionPlan: Sendable {
  /// A file of compressed streams.
  case streams(StreamPlan)
  /// An archive.
  case archive(ArchivePlan)

  static let streamsTag: UInt8 = 1
  static let archiveTag: UInt8 = 2

  /// Returns the size of the blob that the plan rebuilds, in bytes.
  public var sizeBytes: UInt64 {
    switch self {
    case .streams(let plan): plan.sizeBytes
    case .archive(let plan): plan.sizeBytes
    }
  }

  /// Reads a plan of either kind.
  /// - Throws: `corrupt` for another kind or invalid contents; `overLimit`; `truncated`.
  public static func decode(_ bytes: [UInt8]) throws(CodecError) -> ReconstructionPlan {
    switch bytes.first {
    case streamsTag: return .streams(try StreamPlan.decode(bytes))
    case archiveTag: return .archive(try ArchivePlan.decode(bytes))
    default: throw .corrupt("the plan has an unknown kind")
    }
  }

  /// Returns the blobs that the plan reads, with their sizes. A blob may occur more than once.
  public func references() throws(StoreError) -> [(id: Digest, sizeBytes: UInt64)] {
    switch self {
    case .streams(let plan):
      return plan.spans.compactMap { span in
        switch span {
        case .literal: nil
        case .blob(let id, let size): (id, size)
        case .encoded(let stream): (stream.inner, stream.innerBytes)
        }
      }
    case .archive(let plan):
      return try mapCodecErrors("a plan") { () throws(CodecError) in try plan.references() }
    }
  }
}
