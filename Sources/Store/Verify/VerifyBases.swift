// The part of a verification that looks for the bases of frames (FrameBase.swift). A frame that no snapshot
// needs may lack its base: so the chunks of such frames are listed, and only a snapshot that needs one makes
// a problem of it.

import Codec
import Platform

extension VerifyRun {
  /// Lists the chunks whose bases are missing in `chunksWithoutBase`.
  func checkBases() throws(StoreError) {
    chunksWithoutBase = [:]
    let index = store.index
    var complete: Set<FrameAddress> = []
    // The least deep frames come first, so each frame asks only about frames that were checked.
    for address in try index.framesWithBases().reversed() {
      // A deep verification reports a directory that cannot be read.
      guard let frame = try? index.directory(of: address), let base = frame.base else { continue }
      var missing: FrameBase.Chunk?
      for chunk in base.chunks {
        let location = try index.location(.chunk, chunk.id)
        if let location, location.length == chunk.length, location.depth < base.depth,
          location.depth == 0 || complete.contains(location.address)
        {
          continue
        }
        missing = chunk
        break
      }
      guard let missing else {
        complete.insert(address)
        continue
      }
      for object in frame.objects {
        // Another copy may be read.
        guard try index.location(.chunk, object.id)?.address == address else { continue }
        chunksWithoutBase[object.id] = "is based on chunk \(missing.id.hex), which no pack contains"
      }
    }
  }

  /// Returns why a chunk that a snapshot needs cannot be read without its base; nil if it can. Before it
  /// reports a missing base, it rebuilds the index once a process.
  func missingBase(of chunk: Digest) throws(StoreError) -> String? {
    guard chunksWithoutBase[chunk] != nil else { return nil }
    try store.index.rebuildOnce("index: rebuilt to look for a missing object")
    if !hasRepeatedBases {
      hasRepeatedBases = true
      try checkBases()
    }
    return chunksWithoutBase[chunk]
  }
}
