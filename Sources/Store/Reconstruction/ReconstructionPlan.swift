// Plans: how a blob is made of others, where it is not a list of chunks (docs/format.md, "Plans").
//
//     rootimg.cpio.gz ──deflated──▶ rootimg.cpio ──woven──▶ the files of the tree beside it
//
// 1. A plan is data. This room weaves; who makes deflate streams again is told to it (`StreamReencoder`).
// 2. Plans come from a store, and nothing in them is trusted: counts, sums and sizes are checked
//    before use, and how deep plans may lie in plans is bounded (`ReconstructedBlob.maxDepth`).

import Codec

/// How a blob is made.
public enum ReconstructionPlan: Sendable {
  case deflated(DeflatePlan)
  case woven(ArchivePlan)

  public static let maxBytes = 128 << 20
  static let deflatedTag: UInt8 = 1
  static let wovenTag: UInt8 = 2

  public var sizeBytes: UInt64 {
    switch self {
    case .deflated(let plan): plan.sizeBytes
    case .woven(let plan): plan.sizeBytes
    }
  }

  public static func decode(_ bytes: [UInt8]) throws(CodecError) -> ReconstructionPlan {
    switch bytes.first {
    case deflatedTag: return .deflated(try DeflatePlan.decode(bytes))
    case wovenTag: return .woven(try ArchivePlan.decode(bytes))
    default: throw .corrupt("the plan is of a newer kind")
    }
  }

  /// The blobs that it is over, with their sizes; some more than once.
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
    case .woven(let plan):
      return try decoding("a plan") { () throws(CodecError) in try plan.references() }
    }
  }
}

/// Makes stretches of deflate streams again. Given to the store from above: this room knows no
/// encoder. Any thread may call it.
public protocol StreamReencoder: Sendable {
  /// What the encoder that is at hand makes, as a text to compare (`EncoderFingerprint`).
  func fingerprint(of encoder: DeflateMethod.Encoder) -> String

  /// Makes one run (`DeflateReencoder.replay`).
  /// - Returns: how many bytes were written to `target`; what does not fit is left out.
  func replay(
    _ run: DeflatePlan.Run, _ method: DeflateMethod, _ bytes: UnsafeRawBufferPointer,
    history: Int, isLast: Bool, into target: UnsafeMutableRawBufferPointer
  ) throws -> Int
}
