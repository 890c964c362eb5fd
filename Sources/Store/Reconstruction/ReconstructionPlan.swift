// Plans: how a blob is rebuilt from other blobs instead of chunks (docs/format.md, "Plans").
//
//     rootimg.cpio.gz ──deflated──▶ rootimg.cpio ──archive─▶ the files of the tree next to it
//
// 1. A plan is data. This module assembles archives; an injected encoder (`StreamReencoder`) repeats
//    deflate streams.
// 2. Plans come from a store and are not trusted: counts, sums and sizes are checked before use, and the
//    depth of nested plans is limited (`ReconstructedBlob.maxDepth`).

import Codec

/// Describes how a blob is rebuilt.
public enum ReconstructionPlan: Sendable {
  /// A file of deflate streams.
  case deflated(DeflatePlan)
  /// An archive.
  case archive(ArchivePlan)

  /// The maximum size of an encoded plan.
  public static let maxBytes = 128 << 20
  static let deflatedTag: UInt8 = 1
  static let archiveTag: UInt8 = 2

  /// Returns the size of the blob that the plan rebuilds, in bytes.
  public var sizeBytes: UInt64 {
    switch self {
    case .deflated(let plan): plan.sizeBytes
    case .archive(let plan): plan.sizeBytes
    }
  }

  /// Reads a plan of either kind.
  /// - Throws: `corrupt` for another kind or invalid contents; `overLimit`; `truncated`.
  public static func decode(_ bytes: [UInt8]) throws(CodecError) -> ReconstructionPlan {
    switch bytes.first {
    case deflatedTag: return .deflated(try DeflatePlan.decode(bytes))
    case archiveTag: return .archive(try ArchivePlan.decode(bytes))
    default: throw .corrupt("the plan has an unknown kind")
    }
  }

  /// Returns the blobs that the plan reads, with their sizes. A blob may occur more than once.
  public func references() throws(StoreError) -> [(id: Digest, sizeBytes: UInt64)] {
    switch self {
    case .deflated(let plan):
      return plan.spans.compactMap { span in
        switch span {
        case .literal: nil
        case .blob(let id, let size): (id, size)
        case .deflated(let stream): (stream.inner, stream.innerBytes)
        }
      }
    case .archive(let plan):
      return try mapCodecErrors("a plan") { () throws(CodecError) in try plan.references() }
    }
  }
}

/// Encodes parts of deflate streams again. The caller injects it into the store, because this module has no
/// encoder. All methods may be called from any thread.
public protocol StreamReencoder: Sendable {
  /// Returns a text that identifies the output of the present encoder (`EncoderFingerprint`).
  func fingerprint(of encoder: DeflateMethod.Encoder) -> String

  /// Encodes one run (`DeflateReencoder.replay`).
  /// - Parameters:
  ///   - bytes: the plain bytes of the run, preceded by `history` bytes and followed by the method's
  ///     lookahead.
  ///   - isLast: whether the run ends the stream.
  /// - Returns: the number of bytes written to `target`; bytes that do not fit are dropped.
  func replay(
    _ run: DeflatePlan.Run, _ method: DeflateMethod, _ bytes: UnsafeRawBufferPointer,
    history: Int, isLast: Bool, into target: UnsafeMutableRawBufferPointer
  ) throws -> Int
}
