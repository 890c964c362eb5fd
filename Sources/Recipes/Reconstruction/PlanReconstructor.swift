// The reconstructor of stores: it reads plans and rebuilds blobs with this program's encoders.

import Codec
import Store

/// Reads plans for `ObjectStore`.
public struct PlanReconstructor: BlobReconstructor {
  private let reencoder: any StreamReencoder

  /// Creates a reconstructor; `reencoder` repeats deflate streams.
  public init(reencoder: any StreamReencoder = RunEncoderPool.shared) {
    self.reencoder = reencoder
  }

  public func blob(_ id: Digest, plan: [UInt8]) throws(CodecError) -> any ReconstructedBlob {
    PlannedBlob(id, try ReconstructionPlan.decode(plan), reencoder: reencoder)
  }
}
